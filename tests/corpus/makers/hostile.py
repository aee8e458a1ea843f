"""The liars that take bytes of their own: polyglots, fakes, text lies, bombs.

The judge itself renames every honest file to every other kind and cuts them short; what
is here is derived from honest files of the corpus and written beside them. Each has a
line in hostile.tsv: path, the kinds under which it must be refused (`*`: all, `!a,b`: all
but these, `flag=x`: it may be taken, and the finding has this flag), what it is.
"""

import io
import struct
import zipfile
import zlib

from . import prose

SCRIPT = b"<script>alert(document.domain)</script>"
PHP = b"<?php system($_GET['c']); ?>"


class Liars:
    def __init__(self, out):
        self.out = out / "hostile"
        self.out.mkdir(exist_ok=True)
        self.lines = []

    def add(self, name, data, refused, what):
        path = self.out / name
        path.write_bytes(data)
        self.lines.append(f"hostile/{name}\t{refused}\t{what}\n")


def zipped(members, method=zipfile.ZIP_DEFLATED, comment=b""):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
        archive.comment = comment
    return buffer.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, rows=b"", depth=8, colour=2, extra=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def rezipped(data, also=(), without=()):
    """An archive's members again, with others added or left out."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(entry.filename, archive.read(entry)) for entry in archive.infolist() if entry.filename not in without]
    return zipped([*members, *also])


def make(out, honest):
    liars = Liars(out)
    by_kind = {}
    for path, kind, producer, _ in honest:
        by_kind.setdefault(kind, []).append((producer, path))

    def specimen(kind, most=60_000, least=200, skip=0):
        """An honest file that the head holds whole; the same one on every run."""
        for producer, path in sorted(by_kind.get(kind, [])):
            data = (out / path).read_bytes()
            if least <= len(data) <= most and "locked" not in path and "psecret" not in path:
                if skip == 0:
                    return data
                skip -= 1
        return None

    pictures(liars, specimen)
    polyglots(liars, specimen)
    archives(liars, specimen)
    brands(liars, specimen)
    texts(liars, specimen)
    vectors(liars)
    programs(liars, specimen)
    headers(liars, specimen)
    (out / "hostile.tsv").write_text("".join(sorted(liars.lines)))


def pictures(liars, specimen):
    """Magic numbers with nothing behind them, and headers that claim too much."""
    fakes = {
        "jpg-three-bytes": b"\xff\xd8\xff", "jpg-marker": b"\xff\xd8\xff\xe0" + SCRIPT, "jpg-soi-eoi": b"\xff\xd8\xff\xd9", "jpg-jfif-script": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + SCRIPT * 3,
        "png-magic": b"\x89PNG\r\n\x1a\n", "png-four": b"\x89PNG" + SCRIPT, "png-magic-script": b"\x89PNG\r\n\x1a\n" + SCRIPT,
        "png-bad-crc": png(4, 4, bytes(52))[:29] + b"abcd" + png(4, 4, bytes(52))[33:], "png-zero": png(0, 4), "png-depth": png(4, 4, depth=3), "png-no-ihdr": b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", b"x") + chunk(b"IEND", b""),
        "png-only-ihdr": png(4, 4)[:33], "png-then-script": png(4, 4)[:33] + SCRIPT, "png-colour": png(4, 4, colour=5),
        "gif-magic": b"GIF89a", "gif-script": b"GIF89a/*" + SCRIPT + b"*/=1;", "gif-assign": b"GIF89a=1;alert(1);//" + b" " * 200, "gif-php": b"GIF89a;\n" + PHP, "gif-87-html": b"GIF87a<html><body onload=alert(1)>",
        "gif-comment-js": b"GIF89a/*\0\0\0\0*/=1;alert(1)", "gif-bad-version": b"GIF88a" + bytes(7) + b";", "gif-sizes": b"GIF89a\x10\0\x10\0\xff\0\0" + SCRIPT,
        "webp-no-riff": b"<script>WEBP=1;alert(1)</script>", "webp-bare": b"RIFF\x04\0\0\0WEBP", "webp-script": b"RIFF<scrWEBP" + SCRIPT, "webp-vp8-script": b"RIFF\x40\0\0\0WEBPVP8 " + SCRIPT,
        "bmp-two": b"BM" + SCRIPT, "bmp-prose": b"BM" + b"\0" * 12 + b"<html>" + SCRIPT, "bmp-header": b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "bmp-js": b"BM=1;alert(1)//" + bytes(50),
        "tiff-magic": b"II*\0", "tiff-script": b"II*\0" + SCRIPT, "tiff-beyond": b"II*\0\xff\xff\xff\x7f" + bytes(40), "tiff-mm-html": b"MM\0*" + b"<html>" + SCRIPT,
        "ico-magic": b"\0\0\1\0\1\0", "ico-script": b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\x68\4\0\0\x16\0\0\0" + SCRIPT, "ico-beyond": b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\xff\xff\xff\x7f\x16\0\0\0" + bytes(64),
        "psd-magic": b"8BPS\0\1" + SCRIPT, "jp2-magic": b"\0\0\0\x0cjP  \r\n\x87\n" + SCRIPT, "jxl-naked": b"\xff\x0a" + SCRIPT,
        "heic-brand-only": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + SCRIPT, "avif-brand-only": b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + SCRIPT, "avif-comment": b"<!--ftypavif--><script>alert(1)</script>",
    }  # fmt: skip
    for name, data in fakes.items():
        # Where the letters are text, it is text, and only of the text kinds.
        liars.add(f"fake-{name}.{name.split('-')[0]}", data, "!" + TEXTUAL if textual(data) else "*", "a magic number with nothing behind it")
    for kind in ("png", "webp"):
        honest = specimen(kind)
        if honest is None:
            continue
        if kind == "png":
            huge = png(2**31 - 1, 2**31 - 1)
            liars.add("huge.png", huge, "!png", "2 147 483 647 pixels square (dimensions are the image limits' business)")
            liars.add("over.png", png(2**31, 1), "*", "wider than PNG allows")
        else:
            for name, size in (("small", 4), ("large", 2**31), ("zero", 0)):
                liars.add(f"riff-{name}.webp", honest[:4] + struct.pack("<I", size) + honest[8:], "*", "the RIFF size is not the file's")


TEXTUAL = "txt,csv,tsv,md,css,yaml,toml,sql,js,html,sh,ini,ics,vcf,srt,vtt"


def textual(data):
    return not any(byte < 9 or 14 <= byte < 27 or byte == 127 for byte in data) and not data.startswith(b"\xff\xd8")


def polyglots(liars, specimen):
    """Two formats in one file."""
    jar = zipped([("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\nMain-Class: A\r\n\r\n"), ("A.class", b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(90))])
    page = b"<html><body>" + SCRIPT + b"</body></html>"
    for kind in ("gif", "jpg", "png", "webp", "bmp", "tiff", "avif", "heic", "pdf", "mp3", "ico", "wav", "mp4"):
        base = specimen(kind)
        if base is None:
            continue
        for name, load, what in (("jar", jar, "a Java archive"), ("zip", zipped([("a.txt", b"words")]), "a ZIP archive")):
            liars.add(f"{kind}-and-{name}.{kind}", base + load, "*", f"{what} behind it (GIFAR)")
        if kind in ("gif", "jpg", "png", "webp", "bmp", "tiff", "avif", "heic", "ico"):
            liars.add(f"{kind}-then-php.{kind}", base + PHP, "*", "PHP behind the picture")
            liars.add(f"{kind}-then-page.{kind}", base + page, "*", "a page behind the picture")
        if kind in ("gif", "jpg", "png", "pdf", "mp4"):
            liars.add(f"jar-{kind}.jar", base + jar, "*", "an archive behind other bytes")
            liars.add(f"late-jar.{kind}", base + bytes(200_000) + jar, "*", "a Java archive far behind it")
    jpg, gif, picture = specimen("jpg"), specimen("gif"), specimen("png")
    if jpg:
        for name, load in (("php", PHP), ("script", SCRIPT), ("halt", b"<?php __HALT_COMPILER(); ?>"), ("echo", b"<?= `id` ?>")):
            comment = b"\xff\xfe" + struct.pack(">H", len(load) + 2) + load
            liars.add(f"comment-{name}.jpg", jpg[:2] + comment + jpg[2:], "*", "code in a JPEG comment")
            exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0e\x01\x02\0" + struct.pack("<I", len(load)) + b"\x1a\0\0\0\0\0\0\0" + load
            liars.add(f"exif-{name}.jpg", jpg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpg[2:], "*", "code in the EXIF description")
    if gif:
        load = PHP
        liars.add("comment-php.gif", gif[:-1] + b"!\xfe" + bytes([len(load)]) + load + b"\0;", "*", "PHP in a GIF comment")
        liars.add("comment-page.gif", gif[:-1] + b"!\xfe" + bytes([len(SCRIPT)]) + SCRIPT + b"\0;", "*", "script in a GIF comment")
        liars.add("phar.gif", b"GIF89a" + b"<?php __HALT_COMPILER(); ?>\r\n" + bytes(60), "*", "a PHAR that begins like a GIF")
        liars.add("size-js.gif", b"GIF89a/*" + gif[8:] + b"*/=1;alert(1)", "*", "the size opens a JavaScript comment")
    if picture:
        for name, load in (("php", PHP), ("script", SCRIPT)):
            liars.add(f"text-{name}.png", picture[:33] + chunk(b"tEXt", b"Comment\0" + load) + picture[33:], "*", "code in a PNG text chunk")
        archive = zipped([("a.txt", b"words")])
        liars.add("png-before.zip", picture + archive, "*", "a PNG before the archive")
    archive = zipped([("a.txt", b"words")])
    liars.add("junk-before.zip", b"junk" * 30 + archive, "!" + TEXTUAL, "junk before the archive")
    liars.add("script-before.zip", b"#!/bin/sh\nid\nexit\n" + archive, "*", "a shell script before the archive")
    liars.add("page-before.zip", page + archive, "*", "a page before the archive")
    pdf = specimen("pdf")
    if pdf:
        liars.add("junk-2k.pdf", b"A" * 2000 + b"\n" + pdf, "!" + TEXTUAL, "2 000 bytes before the header")
        liars.add("html-before.pdf", page + pdf, "!" + TEXTUAL, "a page before the header")
        liars.add("js-before.pdf", b"alert(1);/*\n" + pdf + b"\n*/", "!" + TEXTUAL, "script before the header")
        liars.add("mz-before.pdf", b"MZ" + bytes(62) + pdf, "!exe", "a program's header before the PDF's")
    for name, data in (
        ("html", b"<html><!-- %PDF-1.7 -->" + SCRIPT), ("sh", b"#!/bin/sh\n# %PDF-1.4\nid\n"), ("bare", b"%PDF-"), ("script", b"%PDF-1.7\n" + SCRIPT), ("php", b"%PDF-1.7\n" + PHP), ("version", b"%PDF-x" + SCRIPT),
    ):  # fmt: skip
        liars.add(f"fake-{name}.pdf", data, "!" + TEXTUAL if name in ("sh", "html") else "pdf,png,jpg,zip,docx,json,mp4", "mentions %PDF, is none")


def archives(liars, specimen):
    """Archives that are not what their members say, and members that should not be."""
    docx, xlsx, pptx, odt, epub, jar = (specimen(kind, 400_000) for kind in ("docx", "xlsx", "pptx", "odt", "epub", "jar"))
    plain = zipped([("word/notes.txt", b"words"), ("xl/a.txt", b"words"), ("ppt/b.txt", b"words")])
    for kind in ("docx", "xlsx", "pptx", "odt", "ods", "odp", "epub", "jar"):
        liars.add(f"plain-zip.{kind}", plain, "!zip", "an archive with a folder of the right name")
    liars.add("word-prefix.docx", b"PK\x03\x04\x14\0\0\0\0\0" + bytes(16) + b"\x05\0\0\0word/" + bytes(40), "*", "a member's header without an archive")
    liars.add("types-prefix.docx", b"PK\x03\x04\x14\0\0\0\0\0" + bytes(16) + b"\x13\0\0\0[Content_Types].xml" + bytes(40), "*", "a member's header without an archive")
    liars.add("mimetype-prefix.epub", b"PK\x03\x04\x14\0\0\0\0\0" + bytes(16) + b"\x08\0\0\0mimetypeapplication/epub+zip", "*", "58 bytes of an EPUB")
    if docx:
        liars.add("evil-exe.docx", rezipped(docx, [("word/evil.exe", b"MZ" + bytes(300))]), "docx,xlsx,pptx,jar,epub", "a document that holds a program")
        liars.add("script.docx", rezipped(docx, [("word/run.js", b"WScript.Shell")]), "docx,xlsx,pptx,jar,epub", "a document that holds a script")
        types = zipfile.ZipFile(io.BytesIO(docx)).read("[Content_Types].xml")
        macro = types.replace(b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml", b"application/vnd.ms-word.document.macroEnabled.main+xml")
        liars.add("macros.docx", rezipped(docx, [("[Content_Types].xml", macro), ("word/vbaProject.bin", b"\xd0\xcf\x11\xe0" + bytes(600))], ["[Content_Types].xml"]), "docx,xlsx,pptx,zip", "a document with macros")
        liars.add("project.docx", rezipped(docx, [("word/vbaProject.bin", b"\xd0\xcf\x11\xe0" + bytes(600))]), "docx,xlsx,pptx,zip", "a macro project in a document that denies it")
        liars.add("template.docx", rezipped(docx, [("[Content_Types].xml", types.replace(b"document.main+xml", b"template.main+xml"))], ["[Content_Types].xml"]), "docx,xlsx,pptx", "a template")
        liars.add("escape.docx", rezipped(docx, [("../../evil.txt", b"words")]), "flag=path-escape", "a member outside the archive's folder")
        liars.add("no-types.docx", rezipped(docx, without=["[Content_Types].xml"]), "docx,xlsx,pptx", "no [Content_Types].xml")
        liars.add("cut.docx", docx[: len(docx) // 2], "*", "half a document")
        liars.add("no-directory.docx", docx[:-22], "*", "no end of central directory")
        liars.add("xl-types.xlsx", docx, "xlsx,pptx,odt,epub,jar", "a Word document called a workbook")
    if jar and docx:
        liars.add("jar-in.docx", rezipped(docx, [("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\nMain-Class: A\r\n\r\n"), ("A.class", b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(60))]), "docx", "a document that runs as a Java archive")
        liars.add("jar.zip", jar, "docx,xlsx,epub,png", "a Java archive called a ZIP (zip takes what is built on it)")
    if odt:
        liars.add("mimetype-late.odt", zipped([("content.xml", b"<a/>"), ("notes/mimetype", b"application/vnd.oasis.opendocument.text")]), "!zip", "a mimetype that is not the archive's")
        liars.add("other-mimetype.odt", zipped([("mimetype", b"application/x-evil")], zipfile.ZIP_STORED), "!zip", "a mimetype nobody knows")
    apk = zipped([("AndroidManifest.xml", b"\3\0\x08\0" + bytes(80)), ("classes.dex", b"dex\n035\0" + bytes(80)), ("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\n\r\n")])
    liars.add("app.zip", apk, "docx,xlsx,pptx,odt,epub,png,jar", "an Android app")
    liars.add("app.docx", apk, "docx,xlsx,pptx,odt,epub,png,jar", "an Android app called a document")
    for name, member in (("slash", "../evil.txt"), ("absolute", "/etc/cron.d/evil"), ("backslash", "..\\..\\evil.txt"), ("drive", "C:\\evil.txt"), ("inner", "a/../../evil.txt")):
        liars.add(f"escape-{name}.zip", zipped([(member, b"words")]), "docx,xlsx,pptx,odt,epub,jar,png", "a member outside the archive's folder")
        liars.add(f"escape-{name}-flagged.zip", zipped([(member, b"words")]), "flag=path-escape", "a member outside the archive's folder")
    liars.add("bomb.docx", zipped([("[Content_Types].xml", bytes(9_000_000)), ("word/document.xml", bytes(9_000_000))]), "flag=bomb-ratio", "unpacks to a thousand times its size")
    liars.add("encrypted.docx", encrypted_zip(), "docx,xlsx,pptx,odt,epub,jar", "an encrypted archive called a document")
    liars.add("encrypted-flagged.zip", encrypted_zip(), "flag=encrypted", "an encrypted archive")
    liars.add("end-only.zip", b"PK\5\6" + bytes(17), "*", "one byte short of an empty archive")
    liars.add("local-only.zip", b"PK\3\4" + SCRIPT, "*", "a ZIP's first letters before script")
    liars.add("counts.zip", zipped([("a", b"a")])[:-14] + struct.pack("<HHIIH", 60000, 60000, 46, 35, 0), "*", "a directory that is too short for its count")
    for kind, data in (("gz", b"\x1f\x8b\x08\0" + SCRIPT), ("7z", b"7z\xbc\xaf\x27\x1c" + SCRIPT), ("bz2", b"BZh9" + SCRIPT), ("xz", b"\xfd7zXZ\0" + SCRIPT), ("zst", b"\x28\xb5\x2f\xfd" + SCRIPT), ("rar", b"Rar!\x1a\7\0" + SCRIPT), ("rar", b"Rar!\x1a\7\1\0" + SCRIPT)):
        liars.add(f"magic-script{len(data)}.{kind}", data, "!" + TEXTUAL if textual(data) else "*", "an archive's magic number before script")
    liars.add("ustar.tar", bytes(257) + b"ustar\x0000" + bytes(300), "*", "ustar without a checksum")
    liars.add("script-ustar.tar", SCRIPT + bytes(257 - len(SCRIPT)) + b"ustar\x0000" + bytes(300), "*", "script before ustar")
    for kind, stream in (("doc", "WordDocument"), ("xls", "Workbook"), ("ppt", "PowerPoint Document")):
        liars.add(f"magic.{kind}", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + SCRIPT + bytes(600), "*", "OLE2's magic number before script")
        liars.add(f"named.{kind}", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + stream.encode("utf-16-le") + bytes(600), "*", "OLE2's magic number and a stream's name")


def encrypted_zip():
    """A stored member with the encryption bit, as any packer writes it."""
    name, data = b"[Content_Types].xml", bytes(range(60))
    local = b"PK\3\4" + struct.pack("<HHHHHIIIHH", 20, 1, 0, 0, 33, 7, len(data), len(data) - 12, len(name), 0) + name + data
    central = b"PK\1\2" + struct.pack("<HHHHHHIIIHHHHHII", 20, 20, 1, 0, 0, 33, 7, len(data), len(data) - 12, len(name), 0, 0, 0, 0, 0, 0) + name
    return local + central + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)


def brands(liars, specimen):
    """Films and pictures that name another's brand, and boxes with nothing in them."""
    films = ("mp4", "mov", "m4a", "m4v", "3gp", "heic", "avif")
    brand = {"mp4": b"isom", "mov": b"qt  ", "m4a": b"M4A ", "m4v": b"M4V ", "3gp": b"3gp4", "heic": b"heic", "avif": b"avif"}
    for kind in films:
        base = specimen(kind, 300_000)
        if base is None:
            continue
        for other in ("heic", "avif") if kind not in ("heic", "avif") else ("mp4", "mov", "m4a", "avif" if kind == "heic" else "heic"):
            lie = base[:8] + brand[other] + base[12:]
            liars.add(f"{kind}-brand-{other}.{other}", lie, other, f"{kind} that names {other}'s brand")
    for kind, name in brand.items():
        liars.add(f"ftyp-only.{kind}", b"\0\0\0\x14ftyp" + name + b"\0\0\0\0" + name, "*", "a brand and nothing behind it")
        liars.add(f"ftyp-script.{kind}", b"\0\0\0\x14ftyp" + name + b"\0\0\0\0" + name + SCRIPT, "*", "a brand before script")
        liars.add(f"ftyp-comment.{kind}", b"<!--ftyp" + name + b"-->" + SCRIPT, "!" + TEXTUAL, "a brand in an HTML comment")
    for word in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        liars.add(f"{word.decode()}-comment.mov", b"<!--" + word + b"-->" + SCRIPT, "!" + TEXTUAL, "a box's name in an HTML comment")
        liars.add(f"{word.decode()}-bare.mov", b"\0\0\0\x08" + word, "*", "an empty box")
    for kind, data in (
        ("webm", b"\x1a\x45\xdf\xa3" + SCRIPT), ("mkv", b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01" + SCRIPT), ("webm", b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska" + SCRIPT), ("webm", b"<!--\x1a\x45\xdf\xa3webm-->" + SCRIPT),
        ("avi", b"RIFF\x40\0\0\0AVI " + SCRIPT), ("wav", b"RIFF\x40\0\0\0WAVE" + SCRIPT), ("wav", b"RIFF<scrWAVEfmt "), ("ogg", b"OggS" + SCRIPT), ("ogg", b"OggS\0\2" + bytes(20) + b"\1\x1e" + SCRIPT), ("flac", b"fLaC" + SCRIPT), ("flac", b"fLaC\0\0\0\x22" + SCRIPT),
        ("mp3", b"\xff\xfb" + SCRIPT), ("mp3", b"ID3" + SCRIPT), ("mp3", b"ID3\3\0\0\0\0\0\0" + SCRIPT), ("mp3", b"ID3\4\0\0\0\0\0\x10" + bytes(16) + SCRIPT), ("mp3", b"\xff\xfb\x90\x64" + SCRIPT), ("mp3", b"\xff\xfb\x90\x64" + bytes(100)), ("aac", b"\xff\xf1" + SCRIPT), ("aac", b"\xff\xf1\x50\x80" + SCRIPT),
        ("aiff", b"FORM\0\0\0\x40AIFF" + SCRIPT), ("amr", b"#!AMR\n" + SCRIPT), ("mid", b"MThd" + SCRIPT), ("flv", b"FLV\1" + SCRIPT), ("ttf", b"\0\1\0\0" + SCRIPT), ("ttf", b"true, $where" + SCRIPT), ("otf", b"OTTO" + SCRIPT), ("woff", b"wOFF" + SCRIPT), ("woff2", b"wOF2" + SCRIPT), ("wasm", b"\0asm" + SCRIPT), ("mpg", b"\0\0\1\xba" + SCRIPT), ("swf", b"FWS\x09" + SCRIPT),
    ):  # fmt: skip
        index = sum(1 for line in liars.lines if line.startswith(f"hostile/magic{kind}"))
        liars.add(f"magic{kind}{index}.{kind}", data, "!" + TEXTUAL if textual(data) else "*", "a magic number before script")


def texts(liars, specimen):
    """Pages and scripts under the names of harmless texts and pictures."""
    pages = {
        "plain": b"<html><body>" + SCRIPT, "upper": b"<HTML><SCRIPT>alert(1)</SCRIPT>", "doctype": b"<!DOCTYPE html><title>x</title>" + SCRIPT, "script": SCRIPT, "image": b"<img src=x onerror=alert(1)>",
        "spaces": b" " * 512 + b"<html>" + SCRIPT, "spaces-1000": b"\r\n\t " * 250 + b"<html>" + SCRIPT, "comment": b"<!-- " + b"x" * 1000 + b" -->" + b"<html>" + SCRIPT, "comments": b"<!-- x -->\n" * 100 + SCRIPT,
        "bom": b"\xef\xbb\xbf<html>" + SCRIPT, "bom-script": b"\xef\xbb\xbf \n" + SCRIPT, "utf16le": b"\xff\xfe" + "<html><script>alert(1)</script>".encode("utf-16-le"), "utf16be": b"\xfe\xff" + "<html><script>alert(1)</script>".encode("utf-16-be"),
        "utf16le-no-bom": "<html><script>alert(1)</script>".encode("utf-16-le"), "iframe": b"<iframe src=javascript:alert(1)>", "svg-tag": b"<svg onload=alert(1)>", "body": b"<body onload=alert(1)>", "anchor": b"<a href=javascript:alert(1)>x</a>", "style": b"<style>@import 'x'</style>",
        "xml-comment": b'<?xml version="1.0"?><!-- x --><html xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></html>', "head": b"<head><meta http-equiv=refresh content='0;url=//evil'></head>", "form-feed": b"\x0c\x0c<html>" + SCRIPT, "table": b"<table background=javascript:1>", "br": b"<br>" + SCRIPT, "p": b"<p>" + SCRIPT, "div": b"<div>" + SCRIPT, "h1": b"<h1>x</h1>" + SCRIPT,
        "php": PHP, "php-short": b"<?= `id` ?>", "asp": b"<%@ page %><% eval(request('c')) %>", "title": b"<title>x</title>" + SCRIPT,
    }  # fmt: skip
    for name, data in pages.items():
        for kind in ("png", "txt", "csv", "json", "pdf", "jpg"):
            allowed = "!html,xhtml,php,svg,md" if name not in ("anchor", "asp") else "!html,xhtml,md,txt,csv,tsv,css,yaml,toml,sql,js"
            if kind in ("png", "txt", "csv"):
                liars.add(f"page-{name}.{kind}", data, allowed, "a page or script under another name")
    liars.add("script.md", b"# Title\n\n" + b"words " * 20, "png,jpg,json,html,xml,svg", "Markdown is no page")
    liars.add("page.md", b"<!DOCTYPE html>\n<html><body>" + SCRIPT + b"</body></html>", "md,txt,csv,json,xml", "a whole page called Markdown")
    liars.add("rtf.txt", b"{\\rtf1\\ansi words}", "txt,csv,md,json", "RTF called text")
    liars.add("nul.txt", b"words\0words\n", "*", "a NUL in text")
    liars.add("control.txt", b"words\x01\x02\x1bwords\n" * 3, "*", "control characters in text")
    liars.add("nul-late.txt", b"words " * 5000 + b"\0\1\2", "*", "a NUL late in text")
    liars.add("broken.json", b'{"a": 1,, "b": }', "json,png,xml,html", "not JSON")
    liars.add("js.json", b"alert(1)", "json,xml,html,png", "script called JSON")
    liars.add("half.json", b'{"a": [1, 2', "json,png,xml", "half of some JSON")
    liars.add("two.json", b'{"a": 1} {"b": 2}', "json,png,xml", "two values")
    liars.add("trailing.json", b'{"a": 1}<script>alert(1)</script>', "json,png,xml", "script behind JSON")
    liars.add("prose.json", prose("json", 40).encode(), "json,xml,html,png", "prose called JSON")
    liars.add("prose.xml", prose("xml", 40).encode(), "xml,json,html,svg", "prose called XML")
    liars.add("page.xml", b"<html><body>" + SCRIPT, "xml,svg,json", "a page called XML")
    liars.add("styled.xml", b'<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="//evil/x.xsl"?><a/>', "xml,svg,json,txt", "XML with a style sheet")
    liars.add("xhtml.xml", b'<?xml version="1.0"?><a><b xmlns="http://www.w3.org/1999/xhtml"><script xmlns="http://www.w3.org/1999/xhtml">alert(1)</script></b></a>', "xml,svg,json,txt", "XML with XHTML inside")


def vectors(liars):
    """SVG that runs: without leave for active content, refused."""
    head = b'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9" height="9">'
    inner = {
        "script": b"<script>alert(1)</script>", "onload": b'<g onload="alert(1)"/>', "foreign": b'<foreignObject><body xmlns="http://www.w3.org/1999/xhtml" onload="alert(1)"/></foreignObject>', "href": b'<a xlink:href="javascript:alert(1)"><rect/></a>', "href-plain": b'<a href="javascript:alert(1)"><rect/></a>',
        "href-space": b'<a href=" java&#10;script:alert(1)"><rect/></a>', "href-entity": b'<a href="&#106;avascript:alert(1)"><rect/></a>', "set": b'<a><set attributeName="href" to="javascript:alert(1)"/><text>x</text></a>', "animate": b'<a id="x"><animate attributeName="href" values="javascript:alert(1)"/></a>', "handler": b'<rect onclick="alert(1)"/>', "upper": b'<rect ONCLICK="alert(1)"/>', "newline": b'<rect\nonmouseover\n=\n"alert(1)"/>',
        "prefixed": b'<x:script xmlns:x="http://www.w3.org/2000/svg">alert(1)</x:script>', "html-script": b'<h:script xmlns:h="http://www.w3.org/1999/xhtml">alert(1)</h:script>', "data-use": b'<use href="data:image/svg+xml;base64,PHN2Zz4="/>', "iframe": b'<h:iframe xmlns:h="http://www.w3.org/1999/xhtml" src="javascript:alert(1)"/>', "late": b"<!-- " + b"x" * 100_000 + b" --><script>alert(1)</script>", "very-late": b"<!-- " + b"x" * 300_000 + b" --><script>alert(1)</script>",
    }  # fmt: skip
    for name, data in inner.items():
        liars.add(f"svg-{name}.svg", head + data + b"</svg>", "*", "an SVG that runs")
    liars.add("svg-onload-root.svg", head.replace(b"<svg ", b'<svg onload="alert(1)" ') + b"</svg>", "*", "an SVG that runs")
    liars.add("svg-entity.svg", b'<!DOCTYPE svg [<!ENTITY x "&#60;script&#62;alert(1)&#60;/script&#62;">]>' + head + b"&x;</svg>", "*", "script in an entity")
    liars.add("svg-stylesheet.svg", b'<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="data:text/xsl,x"?>' + head + b"</svg>", "*", "an SVG with a style sheet of XSLT")
    liars.add("svg-utf16.svg", b"\xff\xfe" + (head + inner["script"] + b"</svg>").decode().encode("utf-16-le"), "*", "an SVG that runs")
    liars.add("svg-cdata.svg", head + b"<script><![CDATA[alert(1)]]></script></svg>", "*", "an SVG that runs")
    liars.add("svg-quiet.txt", head + b"<rect/></svg>", "txt,csv,md,json,png,html", "an SVG called text")


def programs(liars, specimen):
    """Programs under the names of everything else; the judge also renames the honest ones."""
    for kind in ("elf", "exe", "macho", "class"):
        data = specimen(kind, 5_000_000)
        if data:
            for other in ("png", "pdf", "docx", "txt", "mp4"):
                liars.add(f"{kind}-as.{other}", data[:70_000], "!exe,elf,class", "a program")
    liars.add("mz-text.png", b"MZ" + prose("mz", 30).encode(), "png,jpg,pdf,zip,json", "text that begins like a program")
    liars.add("shell.png", b"#!/bin/sh\nrm -rf /\n", "png,jpg,pdf,zip,json,html,csv", "a shell script called a picture")
    liars.add("shell.csv", b"#!/usr/bin/env python3\nimport os\n", "png,jpg,pdf,zip,json,html,csv", "a script called a table")
    liars.add("batch.jpg", b"@echo off\r\ndel *.*\r\n", "png,jpg,pdf,zip,json,html", "a batch file called a picture")


def headers(liars, specimen):
    """The first bytes of an honest file before something else."""
    loads = {"page": b"<html><body>" + SCRIPT + b"</body></html>", "php": PHP, "elf": b"\x7fELF\2\1\1" + bytes(200)}
    for kind in (
        "jpg png gif webp avif heic bmp tiff ico psd jp2 pdf docx xlsx pptx odt epub zip doc xls ppt gz 7z tar mp4 mov m4a webm mkv avi mp3 wav ogg flac aac aiff woff woff2 ttf otf".split()
    ):
        base = specimen(kind, 200_000, 600)
        if base is None:
            continue
        for length in (4, 8, 12, 16, 24, 32, 64):
            for name, load in loads.items():
                data = base[:length] + load * 3
                liars.add(f"header{length}-{name}.{kind}", data, kind, f"{length} bytes of {kind} before something else")
