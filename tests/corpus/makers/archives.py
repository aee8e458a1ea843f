"""Archives, fonts and programs."""

import bz2
import gzip
import io
import lzma
import os
import random
import shutil
import tarfile
import zipfile

from . import maker, prose, run


def goods(shelf):
    """A folder to pack: texts, a picture, noise, an empty file, a folder within."""
    root = shelf.scratch / "goods"
    if root.exists():
        return root
    (root / "inner").mkdir(parents=True)
    (root / "note.txt").write_text(prose("goods", 200))
    (root / "inner" / "naïve 東京.md").write_text(prose("inner", 300))
    (root / "noise.bin").write_bytes(random.Random(7).randbytes(3000))
    (root / "empty").touch()
    shutil.copyfile(shelf.seeds / "p4.png", root / "inner" / "p.png")
    return root


SETS = (["note.txt"], ["noise.bin"], ["note.txt", "noise.bin", "empty"], ["inner"], ["note.txt", "inner", "noise.bin"])


@maker("info-zip", "zip")
def by_zip(shelf):
    root = goods(shelf)
    for at, names in enumerate(SETS):
        for flags in ([], ["-0"], ["-D", "-X"]):
            shelf.make("zip", f"s{at}{''.join(flags)}", lambda path: run("zip", "-q", "-r", *flags, path, *names, cwd=root))
    shelf.make("zip", "streamed", lambda path: path.write_bytes(run("sh", "-c", "cat note.txt | zip -q - -", cwd=root)))
    shelf.make("zip", "locked", lambda path: run("zip", "-q", "-P", "secret", path, "note.txt", cwd=root))
    shelf.make("zip", "comment", lambda path: run("zip", "-q", "-z", path, "note.txt", cwd=root, stdin=b"a comment on the archive\n"))


@maker("7zip", "7zz")
def by_seven_zip(shelf):
    root = goods(shelf)
    for at, names in enumerate(SETS):
        for kind, flags in (
            ("zip", []), ("zip", ["-mm=Copy"]), ("zip", ["-mm=Deflate64"]), ("zip", ["-mm=LZMA"]), ("zip", ["-mem=AES256", "-psecret"]), ("7z", []), ("7z", ["-m0=PPMd"]), ("7z", ["-m0=Copy"]), ("7z", ["-psecret"]), ("tar", []), ("tar", ["-mm=pax"]),
        ):
            shelf.make(kind, f"s{at}{''.join(flags)}".replace("=", ""), lambda path: run("7zz", "a", "-bd", f"-t{kind}", *flags, path, *names, cwd=root))
        if len(names) == 1 and names != ["inner"]:
            for kind, form in (("gz", "gzip"), ("bz2", "bzip2"), ("xz", "xz")):
                shelf.make(kind, f"s{at}", lambda path: run("7zz", "a", "-bd", f"-t{form}", path, *names, cwd=root))


@maker("python-archives")
def by_python(shelf):
    root = goods(shelf)
    for at, names in enumerate(SETS):
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            def pack(path):
                with zipfile.ZipFile(path, "w", method) as archive:
                    for name in names:
                        archive.write(root / name, name)
            shelf.make("zip", f"s{at}-{method}", pack)
        for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            def tar(path):
                with tarfile.open(path, "w", format=form) as archive:
                    for name in names:
                        archive.add(root / name, name)
            shelf.make("tar", f"s{at}-{form}", tar)
    def many(path):
        with zipfile.ZipFile(path, "w") as archive:
            for at in range(2500):
                archive.writestr(f"folder/a file with a longish name {at}.txt", "x")
    shelf.make("zip", "many", many)
    text = prose("python", 500).encode()
    for at, data in enumerate((b"", b"x", text, bytes(9000), random.Random(3).randbytes(2000))):
        shelf.write("gz", f"d{at}", gzip.compress(data, mtime=0))
        named = io.BytesIO()
        with gzip.GzipFile("a name.txt", "wb", fileobj=named, mtime=at) as out:
            out.write(data)
        shelf.write("gz", f"named{at}", named.getvalue())
        shelf.write("bz2", f"d{at}", bz2.compress(data, 1 + at))
        shelf.write("xz", f"d{at}", lzma.compress(data, preset=at))
        shelf.write("xz", f"crc{at}", lzma.compress(data, check=lzma.CHECK_CRC32))


@maker("py7zr")
def by_py7zr(shelf):
    import py7zr

    root = goods(shelf)
    for at, names in enumerate(SETS):
        def pack(path):
            with py7zr.SevenZipFile(path, "w") as archive:
                for name in names:
                    archive.writeall(root / name, name)
        shelf.make("7z", f"s{at}", pack)


@maker("libarchive", "bsdtar")
def by_bsdtar(shelf):
    root = goods(shelf)
    for at, names in enumerate(SETS):
        for kind, form in (("zip", "zip"), ("7z", "7zip"), ("tar", "ustar"), ("tar", "pax"), ("tar", "gnutar"), ("tar", "v7")):
            shelf.make(kind, f"s{at}-{form}", lambda path: run("bsdtar", "-c", "--format", form, "-f", path, *names, cwd=root))


@maker("gnu-tar", "tar")
def by_tar(shelf):
    root = goods(shelf)
    for at, names in enumerate(SETS):
        for form in ("v7", "oldgnu", "gnu", "ustar", "pax"):
            if form == "v7" and "inner" in names:
                continue
            shelf.make("tar", f"s{at}-{form}", lambda path: run("tar", f"--format={form}", "--mtime=@0", "-cf", path, *names, cwd=root))
        shelf.make("gz", f"tgz{at}", lambda path: run("tar", "-czf", path, *names, cwd=root))


@maker("gzip", "gzip", "bzip2", "xz", "zstd", "pigz")
def by_compressors(shelf):
    root = goods(shelf)
    for name in ("note.txt", "noise.bin", "empty"):
        data = (root / name).read_bytes()
        stem = name.split(".")[0]
        for kind, command in (
            ("gz", ["gzip", "-9nc"]), ("gz", ["gzip", "-1c"]), ("gz", ["pigz", "-c"]), ("gz", ["pigz", "-11c"]), ("gz", ["pigz", "-p1", "-b128", "-c"]),
            ("bz2", ["bzip2", "-1c"]), ("bz2", ["bzip2", "-9c"]), ("xz", ["xz", "-0c"]), ("xz", ["xz", "-9c", "--check=sha256"]), ("xz", ["xz", "-c", "--x86", "--lzma2"]),
            ("zst", ["zstd", "-c", "-q", "-1"]), ("zst", ["zstd", "-c", "-q", "-19"]), ("zst", ["zstd", "-c", "-q", "--no-check"]), ("zst", ["zstd", "-c", "-q", "--single-thread", "--ultra", "-22"]),
        ):
            shelf.make(kind, f"{stem}-{''.join(command)}".replace("=", ""), lambda path: path.write_bytes(run(*command, stdin=data)))
        shelf.make("gz", f"{stem}-named", lambda path: path.write_bytes(run("gzip", "-c", name, cwd=root)))


@maker("python-zstandard")
def by_zstandard(shelf):
    import zstandard

    text = prose("zstd", 400).encode()
    for at, options in enumerate(({}, {"write_checksum": True}, {"write_content_size": False}, {"level": 15}, {"threads": 1})):
        for size in (1, 40, len(text)):
            shelf.write("zst", f"o{at}-{size}", zstandard.ZstdCompressor(**options).compress(text[:size]))


@maker("jdk", "jar", "javac")
def by_jdk(shelf):
    for at, target in enumerate(("8", "11", "17")):
        folder = shelf.scratch / f"c{target}"
        plain = shelf.scratch / f"p{at}" / "Main.java"
        plain.parent.mkdir()
        plain.write_text("public class Main { interface A {} public static void main(String[] a) { System.out.println(1); } }\n")
        run("javac", "--release", target, "-d", folder, plain)
        for name in ("Main", "Main$A"):
            shelf.copy("class", f"{name.replace('$', '-')}-{target}", folder / f"{name}.class")
        for flags, name in ((["cf"], "plain"), (["cfe"], "entry"), (["c0f"], "stored")):
            entry = ["Main"] if name == "entry" else []
            shelf.make("jar", f"{name}-{target}", lambda path: run("jar", flags[0], path, *entry, "-C", folder, "."))
    crowd = shelf.scratch / "crowd"
    crowd.mkdir()
    for at in range(1200):
        shutil.copyfile(shelf.scratch / "c8" / "Main.class", crowd / f"AClassWithALongishName{at}.class")
    shelf.make("jar", "many", lambda path: run("jar", "cf", path, "-C", crowd, "."))
    shelf.make("jar", "sources", lambda path: run("jar", "cf", path, "-C", shelf.scratch / "p0", "Main.java"))


@maker("go", "go")
def by_go(shelf):
    """Programs for other systems; nothing of Go's own runtime is fetched for them."""
    source = shelf.scratch / "main.go"
    source.write_text("package main\n\nfunc main() { println(1) }\n")
    for kind, system, machine in (("exe", "windows", "amd64"), ("macho", "darwin", "arm64"), ("wasm", "wasip1", "wasm")):
        env = {"GOOS": system, "GOARCH": machine, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOPROXY": "off", "GO111MODULE": "off"}
        shelf.make(kind, f"{system}-{machine}", lambda path: run("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, source, cwd=shelf.scratch, env=env, timeout=200))


@maker("wabt", "wat2wasm")
def by_wabt(shelf):
    for at in range(20):
        body = " ".join(f"(func $f{n} (param i32) (result i32) local.get 0 i32.const {n} i32.add)" for n in range(at))
        text = f'(module {body} {"(memory 1)" if at % 2 else ""} {"(data (i32.const 0) " + chr(34) + "words" + chr(34) + ")" if at % 2 else ""})'
        module = shelf.scratch / f"m{at}.wat"
        module.write_text(text)
        flags = ["--debug-names"] if at % 3 == 0 else []
        shelf.make("wasm", f"m{at}", lambda path: run("wat2wasm", *flags, module, "-o", path))


FONTS = "/usr/share/fonts"


def fonts_of_the_machine():
    """Fonts that packages brought, small ones first."""
    found = []
    for folder, _, names in os.walk(FONTS):
        found += [os.path.join(folder, name) for name in names if name.lower().endswith((".ttf", ".otf"))]
    return sorted(found, key=lambda path: (os.path.getsize(path), path))


@maker("debian-fonts")
def by_debian(shelf):
    for path in fonts_of_the_machine()[:60]:
        kind = path.rsplit(".", 1)[1].lower()
        shelf.copy(kind, os.path.basename(path).rsplit(".", 1)[0], path)


@maker("fonttools")
def by_fonttools(shelf):
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.t2CharStringPen import T2CharStringPen
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from fontTools.ttLib import TTFont

    def built(at, cff):
        names = [".notdef", *(f"g{n}" for n in range(1 + at))]
        builder = FontBuilder(1000, isTTF=not cff)
        builder.setupGlyphOrder(names)
        builder.setupCharacterMap({65 + n: f"g{n}" for n in range(1 + at)})
        shapes = {}
        for n, name in enumerate(names):
            pen = T2CharStringPen(600, None) if cff else TTGlyphPen(None)
            pen.moveTo((0, 0))
            pen.lineTo((500, 10 * n))
            pen.lineTo((250, 700))
            pen.closePath()
            shapes[name] = pen.getCharString() if cff else pen.glyph()
        if cff:
            builder.setupCFF("Made-Regular", {}, shapes, {})
        else:
            builder.setupGlyf(shapes)
        builder.setupHorizontalMetrics({name: (600, 0) for name in names})
        builder.setupHorizontalHeader(ascent=800, descent=-200)
        builder.setupNameTable({"familyName": f"Made {at}", "styleName": "Regular"})
        builder.setupOS2()
        builder.setupPost()
        return builder

    for at in range(9):
        for cff in (False, True):
            font = built(at * 5, cff)
            kind = "otf" if cff else "ttf"
            plain = shelf.scratch / f"{at}.{kind}"
            font.save(plain)
            shelf.copy(kind, f"f{at}", plain)
            for flavour in ("woff", "woff2"):
                def repack(path):
                    again = TTFont(plain)
                    again.flavor = flavour
                    again.save(path)
                shelf.make(flavour, f"{kind}{at}", repack)


@maker("woff2-tools", "woff2_compress")
def by_woff2(shelf):
    for path in fonts_of_the_machine()[:12]:
        name = os.path.basename(path)
        copy = shelf.scratch / name
        shutil.copyfile(path, copy)
        shelf.make("woff2", name.replace(".", "-"), lambda out: (run("woff2_compress", copy), shutil.move(copy.with_suffix(".woff2"), out)))


@maker("woff-tools", "sfnt2woff")
def by_woff(shelf):
    for path in fonts_of_the_machine()[:12]:
        name = os.path.basename(path)
        copy = shelf.scratch / name
        shutil.copyfile(path, copy)
        shelf.make("woff", name.replace(".", "-"), lambda out: (run("sfnt2woff", copy), shutil.move(copy.with_suffix(".woff"), out)))


@maker("fontforge", "fontforge")
def by_fontforge(shelf):
    for at, path in enumerate(fonts_of_the_machine()[:6]):
        for kind in ("ttf", "otf", "woff", "woff2"):
            shelf.make(kind, f"f{at}", lambda out: run("fontforge", "-lang=ff", "-c", "Open($1); Generate($2)", path, out))
