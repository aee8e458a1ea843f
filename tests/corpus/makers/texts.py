"""Texts: what writers of CSV, JSON, XML, YAML and HTML put out."""

import csv
import io
import json
import plistlib
import sqlite3
import xml.etree.ElementTree as etree

from . import maker, nested, prose, rows, run


@maker("python-csv")
def by_csv(shelf):
    for at in range(8):
        for kind, options in (
            ("csv", {}), ("csv", {"delimiter": ";"}), ("csv", {"quoting": csv.QUOTE_ALL}), ("tsv", {"delimiter": "\t"}), ("tsv", {"delimiter": "\t", "lineterminator": "\n"}),
        ):
            text = io.StringIO()
            csv.writer(text, **options).writerows(rows(f"csv{at}", 2 + at * at * 5, 2 + at % 5))
            shelf.write(kind, f"t{at}-{len(options)}{options.get('delimiter', '').strip() or options.get('quoting', '')}".replace(";", "semi"), text.getvalue())
    table = rows("marks", 9)
    text = io.StringIO()
    csv.writer(text).writerows(table)
    shelf.write("csv", "bom", b"\xef\xbb\xbf" + text.getvalue().encode())
    shelf.write("csv", "utf16", text.getvalue().encode("utf-16"))
    shelf.write("csv", "latin1", text.getvalue().encode("latin-1", "replace"))
    shelf.write("csv", "quotes", 'name,note\r\n"O""Neill","line one\nline two, <b>bold</b>"\r\n')
    text = io.StringIO()
    csv.writer(text).writerows(rows("long", 6000))
    shelf.write("csv", "long", text.getvalue())
    shelf.write("csv", "one-column", "id\n1\n2\n3\n")


@maker("sqlite", "sqlite3")
def by_sqlite(shelf):
    base = shelf.scratch / "base.db"
    with sqlite3.connect(base) as tables:
        tables.execute("create table t (a, b, c)")
        tables.executemany("insert into t values (?, ?, ?)", [tuple(map(str, row)) for row in rows("sql", 40, 3)])
    for kind, mode in (("csv", "csv"), ("tsv", "tabs"), ("json", "json"), ("md", "markdown"), ("txt", "box"), ("txt", "line"), ("txt", "column")):
        for limit in (2, 30):
            shelf.make(kind, f"{mode}{limit}", lambda path: path.write_bytes(run("sqlite3", f"-{mode}", "-header", base, f"select * from t limit {limit}")))
    shelf.make("sql", "dump", lambda path: path.write_bytes(run("sqlite3", base, ".dump")))
    shelf.copy("sqlite", "base", base)


@maker("python-json")
def by_json(shelf):
    for at in range(8):
        value = {"items": [nested(f"{at}{n}") for n in range(1 + at * 8)], "name": "naïve"}
        shelf.write("json", f"v{at}", json.dumps(value))
        shelf.write("json", f"pretty{at}", json.dumps(value, indent=2 + at % 3, ensure_ascii=False))
    for name, value in (("list", [1, 2, {"a": None}]), ("empty", {}), ("nothing", []), ("markup", {"html": "<script>1</script>"}), ("deep", eval("[" * 40 + "]" * 40))):
        shelf.write("json", name, json.dumps(value))
    shelf.write("json", "long", json.dumps([nested(f"long{n}", 4) for n in range(3000)], ensure_ascii=False))
    shelf.write("json", "lines", "\r\n  \t{\n}\r\n")
    shelf.write("json", "bom", b"\xef\xbb\xbf" + json.dumps({"a": 1}).encode())


@maker("jq", "jq")
def by_jq(shelf):
    for at in range(4):
        data = json.dumps(nested(f"jq{at}", 5)).encode()
        for flags in ([], ["-c"], ["--tab"], ["-S"]):
            shelf.make("json", f"v{at}{''.join(flags)}", lambda path: path.write_bytes(run("jq", *flags, "{v: .}", stdin=data)))


@maker("node", "node")
def by_node(shelf):
    for at in range(3):
        script = f"process.stdout.write(JSON.stringify({{a:[...Array({at * 30 + 1}).keys()].map(n=>({{n,t:'é'+n}})),d:new Date(0)}},null,{at}))"
        shelf.make("json", f"v{at}", lambda path: path.write_bytes(run("node", "-e", script)))


@maker("python-xml")
def by_xml(shelf):
    for at in range(6):
        root = etree.Element("library", {"version": str(at)})
        for row in rows(f"xml{at}", 3 + at * 7):
            book = etree.SubElement(root, "book")
            for n, cell in enumerate(row):
                etree.SubElement(book, f"c{n}").text = str(cell)
        shelf.write("xml", f"t{at}", etree.tostring(root, encoding=("utf-8", "us-ascii", "iso-8859-1", "utf-16")[at % 4], xml_declaration=at % 2 == 0 or at == 3, method="xml") if at % 4 != 2 else etree.tostring(root, encoding="utf-8", xml_declaration=True))
        shelf.write("xml", f"plist{at}", plistlib.dumps({"a": at, "b": [1, 2], "c": {"d": prose(at, 5)}}))


@maker("lxml")
def by_lxml(shelf):
    from lxml import etree as trees
    from lxml import html

    for at in range(5):
        root = trees.Element("{urn:example:one}feed", nsmap={None: "urn:example:one", "b": "urn:example:two"})
        root.append(trees.Comment(" made for a test "))
        for n in range(1 + at * 4):
            trees.SubElement(root, "{urn:example:two}entry", id=str(n)).text = prose(f"l{at}{n}", 7)
        for name, options in (("plain", {}), ("declared", {"xml_declaration": True, "encoding": "UTF-8"}), ("pretty", {"pretty_print": True, "xml_declaration": True, "encoding": "UTF-8", "standalone": True}), ("wide", {"encoding": "UTF-16"}), ("doctype", {"doctype": "<!DOCTYPE feed>", "encoding": "utf-8"})):
            shelf.write("xml", f"{name}{at}", trees.tostring(root, **options))
        page = html.document_fromstring(f"<html><head><title>{at}</title></head><body><p>{prose(at, 50)}<br><b>é</b></body></html>")
        shelf.write("html", f"page{at}", html.tostring(page, doctype="<!DOCTYPE html>" if at % 2 else None, pretty_print=True))


@maker("python-markdown")
def by_markdown(shelf):
    import markdown

    for at in range(4):
        body = markdown.markdown((shelf.seeds / f"page{at}.md").read_text(), extensions=["tables", "fenced_code"])
        shelf.write("html", f"whole{at}", f"<html>\n<head><title>T</title></head>\n<body>\n{body}\n</body></html>")
        shelf.write("html", f"late{at}", f"\n\n<!-- {'a comment ' * 30 * at}-->\n<!doctype html>\n<title>T</title>\n{body}")


@maker("pyyaml")
def by_yaml(shelf):
    import yaml

    for at in range(6):
        shelf.write("yaml", f"v{at}", yaml.safe_dump({"a": nested(f"y{at}", 4), "b": at}, allow_unicode=bool(at % 2), explicit_start=at % 3 == 0))


@maker("python-text")
def by_encodings(shelf):
    for at in range(6):
        for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "ascii", "cp1252"):
            text = prose(f"text{at}", 10 * 4 ** (at % 4)).replace(". ", ".\r\n" if at % 2 else ".\n")
            data = b"\xff\xfe" + text.encode("utf-16-le") if encoding == "utf-16-le-bom" else text.encode(encoding, "ignore")
            shelf.write("txt", f"t{at}-{encoding}", data)
    for name, text in (
        ("bm", "BM is the beginning of this sentence, and nothing else.\n"), ("gif", "GIF89a is how such a picture begins.\n"), ("pdf", "The header %PDF-1.7 is quoted here.\n"), ("pk", "PK\n"), ("mz", "MZ Wallace lived here.\n"),
        ("id3", "ID3 is a tag.\n"), ("riff", "RIFF of the year: WAVE\n"), ("oggs", "OggS means Ogg.\n"), ("flac", "fLaC it is.\n"), ("true", "true, $where there is truth\n"), ("ftyp", "The ftypisom brand, and ftypmp42.\n"),
        ("less", "a < b and b > c\n"), ("number", "42\n"), ("word", "word"), ("one", "x"), ("tabs", "a\tb\tc\n1\t2\t3\n"), ("form-feed", "page one\n\x0cpage two\n"), ("escape-free", "=== title ===\n" * 9), ("moov", "The moov and mdat boxes of a film.\n"), ("long", prose("long", 30000)),
    ):
        shelf.write("txt", name, text)
