"""Whether a file is what it is said to be, by a decoder that did not make it.

`agreed(kind, path, producer)` names the software that agreed, or nothing.
"""

import csv
import gzip
import bz2
import json
import lzma
import tarfile
import zipfile
from pathlib import Path

from . import run

PILLOW = {
    "jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "tiff": "TIFF", "bmp": "BMP", "ico": "ICO", "jp2": "JPEG2000", "avif": "AVIF", "heic": "HEIF", "psd": "PSD",
}  # fmt: skip
# What FFmpeg calls the container.
CONTAINER = {
    "mp4": "mov,mp4", "m4v": "mov,mp4", "mov": "mov,mp4", "m4a": "mov,mp4", "3gp": "mov,mp4", "3g2": "mov,mp4", "mkv": "matroska", "webm": "matroska", "weba": "matroska", "avi": "avi", "flv": "flv",
    "ogv": "ogg", "ogg": "ogg", "opus": "ogg", "wmv": "asf", "mpg": "mpeg", "ts": "mpegts", "mp3": "mp3", "wav": "wav", "flac": "flac", "aac": "aac", "aiff": "aiff", "amr": "amr",
}  # fmt: skip
OOXML = {"docx": "word/document.xml", "xlsx": "xl/workbook.xml", "pptx": "ppt/presentation.xml"}
# The content type of the part that makes a package what it is.
VARIANT = {
    "docm": "ms-word.document.macroEnabled.main", "xlsm": "ms-excel.sheet.macroEnabled.main", "pptm": "ms-powerpoint.presentation.macroEnabled.main",
    "dotx": "wordprocessingml.template.main", "xltx": "spreadsheetml.template.main", "potx": "presentationml.template.main", "ppsx": "presentationml.slideshow.main",
}  # fmt: skip
MIMETYPE = {
    "odt": "application/vnd.oasis.opendocument.text", "ods": "application/vnd.oasis.opendocument.spreadsheet", "odp": "application/vnd.oasis.opendocument.presentation", "epub": "application/epub+zip",
    "ott": "application/vnd.oasis.opendocument.text-template", "odg": "application/vnd.oasis.opendocument.graphics",
}  # fmt: skip
STREAM = {"doc": ["WordDocument"], "xls": ["Workbook", "Book"], "ppt": ["PowerPoint Document"]}
MAGIC = {
    "wasm": b"\0asm\x01\0\0\0", "exe": b"MZ", "elf": b"\x7fELF", "class": b"\xca\xfe\xba\xbe", "macho": b"\xcf\xfa\xed\xfe", "sqlite": b"SQLite format 3\0", "rtf": b"{\\rtf1", "ps": b"%!PS", "eps": b"%!PS", "mid": b"MThd", "jxl": None,
}  # fmt: skip


class Disagreed(Exception):
    """It is something else, or broken."""


def demand(truth, why="is not"):
    if not truth:
        raise Disagreed(why)


def agreed(kind, path, producer="machine"):
    """The names of the software that reads the file as `kind`; None when one does not."""
    try:
        return examine(kind, Path(path), producer)
    except Exception:  # noqa: BLE001: whatever a decoder throws at a bad file
        return None


def examine(kind, path, producer):
    match kind:
        case "jxl":
            kind_of = magic(path)
            demand("jxl" in kind_of.lower() or "JPEG XL" in kind_of)
            return "libmagic"
        case _ if kind in PILLOW:
            return picture(kind, path, producer)
        case _ if kind in CONTAINER:
            return film(kind, path)
        case _ if kind in OOXML:
            return ooxml(kind, path)
        case _ if kind in VARIANT:
            with zipfile.ZipFile(path) as archive:
                demand(archive.testzip() is None)
                demand(VARIANT[kind] in archive.read("[Content_Types].xml").decode("utf-8", "replace"))
            return "zipfile"
        case _ if kind in MIMETYPE:
            with zipfile.ZipFile(path) as archive:
                demand(archive.testzip() is None)
                demand(archive.read("mimetype").decode().strip() == MIMETYPE[kind])
            return "zipfile"
        case "jar":
            with zipfile.ZipFile(path) as archive:
                demand(archive.testzip() is None and "META-INF/MANIFEST.MF" in archive.namelist())
                demand("AndroidManifest.xml" not in archive.namelist())
            return "zipfile"
        case "zip":
            return plain_zip(path, producer)
        case _ if kind in STREAM:
            return ole(kind, path)
        case "pdf":
            run("qpdf", "--check", "--password=" + ("secret" if producer == "reportlab" else "user" if producer in ("fpdf2", "pypdf") else "a" if "locked" in path.name else ""), path)
            demand("PDF document" in magic(path))
            return "qpdf, libmagic"
        case "gz":
            with gzip.open(path) as file:
                file.read()
            return "gzip"
        case "bz2":
            bz2.decompress(path.read_bytes())
            return "bz2"
        case "xz":
            lzma.decompress(path.read_bytes(), lzma.FORMAT_XZ)
            return "lzma"
        case "zst":
            run("zstd", "-q", "-t", path)
            return "zstd"
        case "7z":
            run("7zz", "t", "-psecret", path) if producer != "7zip" else run("bsdtar", "-tf", path)
            return "7-Zip" if producer != "7zip" else "libarchive"
        case "tar":
            demand(path.read_bytes()[:2] != b"\x1f\x8b")
            with tarfile.open(path, "r:") as archive:
                demand(archive.getmembers())
            return "tarfile"
        case "ttf" | "otf" | "woff" | "woff2":
            return font(kind, path)
        case "svg" | "xml" | "html" | "xhtml" | "css" | "js" | "txt" | "md" | "csv" | "tsv" | "json" | "ipynb" | "yaml" | "toml" | "sh" | "sql":
            return text(kind, path)
        case _ if kind in MAGIC:
            demand(path.read_bytes().startswith(MAGIC[kind]))
            demand(kind not in ("exe", "class") or {"exe": "PE32", "class": "Java"}[kind] in magic(path))
            return "signature"
    return None


def magic(path):
    return run("file", "-b", path).decode(errors="replace")


def picture(kind, path, producer):
    from PIL import Image

    if kind in ("heic", "avif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
    with Image.open(path) as image:
        demand(image.format == PILLOW[kind] or (kind == "jpg" and image.format == "MPO"), image.format)
        image.load()
    if "pillow" not in producer:
        return "Pillow"
    name = magic(path).lower()
    words = {"jpg": "jpeg", "webp": "web/p", "bmp": "bitmap", "ico": "icon", "jp2": "jpeg 2000", "tiff": "tiff", "heic": "iso media", "avif": "iso media"}
    demand(words.get(kind, kind) in name, name)
    return "Pillow, libmagic"


def film(kind, path):
    out = json.loads(run("ffprobe", "-v", "error", "-of", "json", "-show_format", "-show_streams", path))
    demand(out["format"]["format_name"].startswith(CONTAINER[kind]) or (kind == "mp3" and out["format"]["format_name"] == "mp3"), out["format"]["format_name"])
    kinds = {stream["codec_type"] for stream in out["streams"]}
    codecs = {stream.get("codec_name") for stream in out["streams"]}
    demand(kinds & {"audio", "video"})
    brand = out["format"].get("tags", {}).get("major_brand", "")
    if CONTAINER[kind] == "mov,mp4":
        demand((brand == "qt  ") == (kind == "mov"), brand)
        demand(brand.startswith("3g") == (kind in ("3gp", "3g2")) and (kind != "3g2" or brand.startswith("3g2")) and (kind != "3gp" or not brand.startswith("3g2")), brand)
    if kind in ("webm", "weba", "mkv"):
        is_webm = b"webm" in path.read_bytes()[:200]
        demand(is_webm == (kind != "mkv"))
    if kind in ("weba", "m4a"):
        demand("video" not in kinds or codecs & {"png", "mjpeg"})
    if kind in ("opus",):
        demand("opus" in codecs)
    return "ffprobe"


def ooxml(kind, path):
    if path.read_bytes()[:4] == b"\xd0\xcf\x11\xe0":
        import olefile

        with olefile.OleFileIO(path) as ole_file:
            demand(ole_file.exists("EncryptedPackage"))
        return "olefile"
    with zipfile.ZipFile(path) as archive:
        demand(archive.testzip() is None)
        names = archive.namelist()
        types = archive.read("[Content_Types].xml").decode("utf-8", "replace")
        demand(OOXML[kind] in names and "macroEnabled" not in types)
    return "zipfile"


def plain_zip(path, producer):
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            locked = any(entry.flag_bits & 1 for entry in archive.infolist())
            if not locked:
                try:
                    demand(archive.testzip() is None)
                except NotImplementedError:
                    run("7zz", "t", path)
    except zipfile.BadZipFile:
        raise Disagreed from None
    special = {"mimetype", "[Content_Types].xml", "META-INF/MANIFEST.MF", "AndroidManifest.xml"}
    demand(not special & set(names), "a format of its own")
    return "zipfile"


def ole(kind, path):
    import olefile

    with olefile.OleFileIO(path) as container:
        demand(any(container.exists(name) for name in STREAM[kind]))
    return "olefile"


def font(kind, path):
    from fontTools.ttLib import TTFont

    head = path.read_bytes()[:4]
    wanted = {"ttf": (b"\0\1\0\0", b"true"), "otf": (b"OTTO",), "woff": (b"wOFF",), "woff2": (b"wOF2",)}
    demand(head in wanted[kind])
    with TTFont(path, lazy=True) as opened:
        demand("cmap" in opened or "head" in opened)
    return "fontTools"


def decoded(path):
    data = path.read_bytes()
    demand(data.strip(b" \t\r\n\0") != b"")
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding)
    demand(not any(byte in data for byte in b"\0\x01\x02\x03\x04\x05\x06\x07\x08\x0e\x0f"))
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def text(kind, path):
    words = decoded(path)
    start = words.lstrip()
    low = start[:1500].lower()
    match kind:
        case "json" | "ipynb":
            json.loads(words)
            return "json"
        case "xml" | "svg" | "xhtml":
            from lxml import etree

            root = etree.parse(str(path), etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)).getroot()
            space, _, name = root.tag.rpartition("}")
            if kind == "svg":
                demand(name == "svg" and space == "{http://www.w3.org/2000/svg")
            elif kind == "xhtml":
                demand(name == "html")
            else:
                demand(name not in ("svg", "html") and start.startswith("<"))
            return "lxml"
        case "html":
            demand("<!doctype html" in low or "<html" in low)
            demand("{%" not in low and "{{" not in low and "<?php" not in low and "<%" not in low, "a template")
            demand("<html" in words.lower() or "<!doctype html" in low)
            # What comes before the first tag is comment or nothing.
            demand(low.startswith("<"))
            return "doctype or html element"
        case "csv" | "tsv":
            delimiter = "\t" if kind == "tsv" else max(",;\t", key=words[:4000].count)
            table = [row for row in csv.reader(words.splitlines(keepends=True), delimiter=delimiter) if row]
            demand(table and not low.startswith("<"))
            return "csv"
        case "sh":
            demand(start.startswith("#!") and "sh" in start.splitlines()[0])
            return "#! line"
        case "yaml":
            import yaml

            list(yaml.safe_load_all(words))
            return "PyYAML"
        case "toml":
            import tomllib

            tomllib.loads(words)
            return "tomllib"
        case "txt":
            # Pages, data and scripts saved as .txt are other types' files.
            demand(not low.startswith(("<", "{", "[", "#!", "%!", "{\\rtf", "%pdf")))
            return "text"
    demand(not low.startswith("<?php"))
    return "text"


