"""Documents: LibreOffice, pandoc, Gnumeric, the Python libraries for OOXML, ODF, EPUB, RTF and PDF."""

import io
from itertools import count

from . import maker, prose, rows, run
from .seeds import picture

_desks = count()


def soffice(shelf, kind, sources, form=None):
    """Converts in one start of LibreOffice, with a profile of its own."""
    out = shelf.scratch / f"{kind}-{next(_desks)}"
    out.mkdir()
    desk = shelf.scratch / "desk"
    run(
        "soffice", f"-env:UserInstallation=file://{desk}", "--headless", "--convert-to", form or kind, "--outdir", out, *sources, timeout=200
    )
    for made in sorted(out.iterdir()):
        shelf.copy(kind, f"{made.stem}-{out.name.replace('-', '')}", made)
    return out


WRITER = {
    "docx": "docx:MS Word 2007 XML", "doc": "doc:MS Word 97", "odt": "odt", "rtf": "rtf", "pdf": "pdf:writer_pdf_Export", "txt": "txt:Text (encoded):UTF8",
    "html": "html:HTML (StarWriter)", "epub": "epub", "xml": "xml:OpenDocument Text Flat XML", "png": "png", "xhtml": "xhtml:XHTML Writer File",
}
CALC = {"xlsx": "xlsx:Calc MS Excel 2007 XML", "xls": "xls:MS Excel 97", "ods": "ods", "csv": "csv", "pdf": "pdf:calc_pdf_Export", "html": "html:HTML (StarCalc)"}
IMPRESS = {"pptx": "pptx:Impress MS PowerPoint 2007 XML", "ppt": "ppt:MS PowerPoint 97", "odp": "odp", "pdf": "pdf:impress_pdf_Export", "svg": "svg:impress_svg_Export", "png": "png"}


@maker("libreoffice-writer", "soffice", "pandoc")
def writer(shelf):
    sources = []
    for at in range(4):
        page = shelf.scratch / f"page{at}.odt"
        run("pandoc", shelf.seeds / f"page{at}.md", "-o", page)
        rich = shelf.scratch / f"rich{at}.odt"
        run("pandoc", "-f", "html", shelf.seeds / f"page{at}.html", "-o", rich)
        sources += [page, rich]
    pictured = shelf.scratch / "pictured.odt"
    run("pandoc", "-o", pictured, "-f", "markdown", stdin=f"# Picture\n\n![p]({shelf.seeds}/p4.png)\n\n![q]({shelf.seeds}/p6.png)\n".encode())
    for at in range(15):
        words = shelf.scratch / f"words{at}.txt"
        words.write_text(prose(f"w{at}", 20 * 3 ** (at % 7)) + "\n")
        if at not in (0, 9):
            plain = shelf.scratch / f"words{at}.odt"
            run("pandoc", "-f", "markdown", words, "-o", plain)
            sources.append(plain)
    sources.append(pictured)
    for kind, form in (
        ("docm", "docm:MS Word 2007 XML VBA"), ("dotx", "dotx:MS Word 2007 XML Template"), ("ott", "ott:writer8_template"),
    ):
        soffice(shelf, kind, sources[:4], form)
    for kind, form in WRITER.items():
        few = sources if kind in ("docx", "doc", "odt", "rtf") else sources[:8]
        soffice(shelf, kind, few, form)


@maker("libreoffice-calc", "soffice")
def calc(shelf):
    sources = [shelf.seeds / f"table{at}.csv" for at in range(4)]
    for at in range(16):
        table = shelf.scratch / f"sheet{at}.csv"
        table.write_text("\n".join(",".join(map(str, row)) for row in rows(f"c{at}", 3 + at * at * 3, 2 + at % 6)) + "\n")
        sources.append(table)
    for kind, form in (("xlsm", "xlsm:Calc MS Excel 2007 VBA XML"), ("xltx", "xltx:Calc MS Excel 2007 XML Template")):
        soffice(shelf, kind, sources[:4], form)
    for kind, form in CALC.items():
        soffice(shelf, kind, sources if kind in ("xlsx", "xls", "ods") else sources[:6], form)


@maker("libreoffice-impress", "soffice")
def impress(shelf):
    sources = []
    for at in range(20):
        deck = shelf.scratch / f"deck{at}.pptx"
        slides_of(at, shelf).save(deck)
        sources.append(deck)
    for kind, form in (
        ("pptm", "pptm:Impress MS PowerPoint 2007 XML VBA"), ("potx", "potx:Impress MS PowerPoint 2007 XML Template"), ("ppsx", "ppsx:Impress MS PowerPoint 2007 XML AutoPlay"), ("odg", "odg:impress8_draw"),
    ):
        soffice(shelf, kind, sources[:4], form)
    for kind, form in IMPRESS.items():
        soffice(shelf, kind, sources if kind in ("pptx", "ppt", "odp") else sources[:5], form)


def slides_of(at, shelf):
    from pptx import Presentation
    from pptx.util import Inches

    deck = Presentation()
    for n in range(1 + at % 4):
        slide = deck.slides.add_slide(deck.slide_layouts[(at + n) % 6])
        if slide.shapes.title is not None:
            slide.shapes.title.text = prose(f"t{at}{n}", 4)
        if at % 3 == 0:
            slide.shapes.add_picture(str(shelf.seeds / "p4.png"), Inches(1), Inches(2))
        if at % 3 == 1:
            box = slide.shapes.add_table(3, 2, Inches(1), Inches(2), Inches(4), Inches(1))
            box.table.cell(0, 0).text = "cell"
        slide.shapes.add_textbox(Inches(1), Inches(5), Inches(3), Inches(1)).text_frame.text = prose(f"b{at}{n}", 20)
    return deck


@maker("python-pptx")
def by_python_pptx(shelf):
    for at in range(8):
        shelf.make("pptx", f"d{at}", lambda path: slides_of(at + 40, shelf).save(path))


@maker("python-docx")
def by_python_docx(shelf):
    from docx import Document

    # More pictures than the head holds, and a directory of many members.
    album = Document()
    for at in range(120):
        noise = shelf.scratch / f"noise{at}.png"
        picture(40, 30, f"album{at}").save(noise)
        album.add_picture(str(noise))
    shelf.make("docx", "album", album.save)

    for at in range(8):
        paper = Document()
        paper.add_heading(prose(f"h{at}", 4), at % 4)
        for n in range(1 + at * at):
            paper.add_paragraph(prose(f"p{at}{n}", 50))
        if at % 2:
            paper.add_picture(str(shelf.seeds / "p4.png"))
        if at % 3 == 0:
            paper.add_table(3, 3).cell(1, 1).text = "cell"
        shelf.make("docx", f"d{at}", lambda path: paper.save(path))


@maker("openpyxl")
def by_openpyxl(shelf):
    from openpyxl import Workbook
    from openpyxl.chart import BarChart, Reference

    for at in range(8):
        book = Workbook(write_only=at == 7)
        sheet = book.create_sheet("Extra") if at % 2 or at == 7 else book.active
        for row in rows(f"x{at}", 4 + at * at * 6):
            sheet.append(row)
        if at % 3 == 0:
            chart = BarChart()
            chart.add_data(Reference(sheet, min_col=1, min_row=1, max_row=4))
            sheet.add_chart(chart, "H2")
        shelf.make("xlsx", f"b{at}", lambda path: book.save(path))


@maker("xlsxwriter")
def by_xlsxwriter(shelf):
    import xlsxwriter

    def sheets(path):
        book = xlsxwriter.Workbook(str(path))
        for at in range(300):
            book.add_worksheet(f"Sheet with a long name {at}").write(0, 0, at)
        book.close()

    shelf.make("xlsx", "sheets", sheets)

    for at in range(8):
        def write(path):
            book = xlsxwriter.Workbook(str(path), {"constant_memory": at % 2 == 1, "use_zip64": at == 5})
            sheet = book.add_worksheet("Blatt")
            for y, row in enumerate(rows(f"w{at}", 5 + at * at * 5)):
                for x, cell in enumerate(row):
                    sheet.write(y, x, cell)
            if at % 3 == 1:
                sheet.insert_image("H2", str(shelf.seeds / "p0.png"))
            book.close()
        shelf.make("xlsx", f"b{at}", write)


@maker("xlwt")
def by_xlwt(shelf):
    import xlwt

    for at in range(9):
        book = xlwt.Workbook()
        for page in range(1 + at % 3):
            sheet = book.add_sheet(f"Sheet {page}")
            for y, row in enumerate(rows(f"t{at}{page}", 3 + at * at * 4)):
                for x, cell in enumerate(row):
                    sheet.write(y, x, cell)
        shelf.make("xls", f"b{at}", lambda path: book.save(str(path)))


@maker("gnumeric", "ssconvert")
def by_gnumeric(shelf):
    for at in range(4):
        source = shelf.seeds / f"table{at}.csv"
        for kind, forms in (
            ("xls", ["Gnumeric_Excel:excel_biff8", "Gnumeric_Excel:excel_biff7", "Gnumeric_Excel:excel_dsf"]),
            ("xlsx", ["Gnumeric_Excel:xlsx", "Gnumeric_Excel:xlsx2"]),
            ("ods", ["Gnumeric_OpenCalc:odf", "Gnumeric_OpenCalc:openoffice"]),
            ("csv", ["Gnumeric_stf:stf_csv"]),
            ("html", ["Gnumeric_html:html40", "Gnumeric_html:xhtml"]),
        ):
            for form in forms:
                shelf.make(kind, f"t{at}-{form.split(':')[1]}", lambda path: run("ssconvert", "-T", form, source, path))


@maker("pandoc", "pandoc")
def by_pandoc(shelf):
    for at in range(4):
        page = shelf.seeds / f"page{at}.md"
        for kind, how in (
            ("docx", []), ("docx", ["--toc"]), ("odt", []), ("odt", ["--number-sections"]), ("pptx", []), ("pptx", ["--slide-level=2"]), ("epub", ["-t", "epub3"]), ("epub", ["-t", "epub2"]), ("rtf", ["-s"]),
            ("html", ["-s"]), ("html", ["-s", "-t", "html4"]), ("html", ["-s", "--toc", "--katex"]), ("txt", ["-t", "plain"]), ("txt", ["-t", "rst"]), ("md", ["-t", "gfm"]), ("md", ["-t", "markdown"]), ("xml", ["-s", "-t", "docbook5"]),
            ("xml", ["-s", "-t", "jats"]), ("xml", ["-s", "-t", "opendocument"]), ("json", ["-t", "json"]), ("ipynb", []),
        ):
            source = page
            name = f"p{at}{''.join(how)}".replace("=", "")
            shelf.make(kind, name, lambda path: run("pandoc", "--metadata", "title=A title", *how, source, "-o", path))
    for at in range(4):
        shelf.make("docx", f"rich{at}", lambda path: run("pandoc", "-f", "html", shelf.seeds / f"page{at}.html", "-o", path))
        shelf.make("epub", f"pictured{at}", lambda path: run("pandoc", "--metadata", "title=T", f"--epub-cover-image={shelf.seeds}/p{at}.png", shelf.seeds / f"page{at}.md", "-o", path))


@maker("odfpy")
def by_odfpy(shelf):
    from odf import draw, opendocument, style, table, text

    for at in range(8):
        paper = opendocument.OpenDocumentText()
        for n in range(1 + at * 3):
            paper.text.addElement(text.P(text=prose(f"o{at}{n}", 40)))
        shelf.make("odt", f"t{at}", lambda path: paper.save(str(path)))
        book = opendocument.OpenDocumentSpreadsheet()
        sheet = table.Table(name="Blatt")
        for row in rows(f"o{at}", 3 + at * 4):
            line = table.TableRow()
            for cell in row:
                box = table.TableCell()
                box.addElement(text.P(text=str(cell)))
                line.addElement(box)
            sheet.addElement(line)
        book.spreadsheet.addElement(sheet)
        shelf.make("ods", f"s{at}", lambda path: book.save(str(path)))
        deck = opendocument.OpenDocumentPresentation()
        layout = style.PageLayout(name="L")
        deck.automaticstyles.addElement(layout)
        master = style.MasterPage(name="M", pagelayoutname=layout)
        deck.masterstyles.addElement(master)
        for n in range(1 + at % 3):
            page = draw.Page(masterpagename=master, name=f"page{n}")
            frame = draw.Frame(width="10cm", height="3cm", x="1cm", y="1cm")
            box = draw.TextBox()
            box.addElement(text.P(text=prose(f"s{at}{n}", 9)))
            frame.addElement(box)
            page.addElement(frame)
            deck.presentation.addElement(page)
        shelf.make("odp", f"d{at}", lambda path: deck.save(str(path)))


@maker("pyexcel-ods3")
def by_pyexcel(shelf):
    import pyexcel_ods3

    for at in range(5):
        shelf.make("ods", f"s{at}", lambda path: pyexcel_ods3.save_data(str(path), {"One": rows(f"e{at}", 5 + at * 9), "Two": [[1, 2]]}))


@maker("ebooklib")
def by_ebooklib(shelf):
    from ebooklib import epub

    for at in range(6):
        book = epub.EpubBook()
        book.set_identifier(f"id{at}")
        book.set_title(prose(f"e{at}", 3))
        book.set_language("en")
        chapters = []
        for n in range(1 + at):
            chapter = epub.EpubHtml(title=f"C{n}", file_name=f"c{n}.xhtml", lang="en")
            chapter.content = f"<h1>C{n}</h1><p>{prose(f'c{at}{n}', 80)}</p>"
            book.add_item(chapter)
            chapters.append(chapter)
        if at % 2:
            book.set_cover("cover.png", (shelf.seeds / "p4.png").read_bytes())
        book.toc, book.spine = chapters, ["nav", *chapters]
        book.add_item(epub.EpubNcx())
        book.add_item(epub.EpubNav())
        shelf.make("epub", f"b{at}", lambda path: epub.write_epub(str(path), book))


@maker("mkepub")
def by_mkepub(shelf):
    import mkepub

    for at in range(5):
        book = mkepub.Book(title=f"Book {at}", author="Someone")
        for n in range(2 + at):
            book.add_page(f"Page {n}", f"<p>{prose(f'm{at}{n}', 60)}</p>")
        if at % 2:
            book.set_cover((shelf.seeds / "p0.png").read_bytes())
        shelf.make("epub", f"b{at}", lambda path: book.save(str(path)))


@maker("pyrtf")
def by_pyrtf(shelf):
    from PyRTF.Elements import Document, Section
    from PyRTF.Renderer import Renderer

    for at in range(6):
        paper = Document()
        section = Section()
        paper.Sections.append(section)
        for n in range(1 + at):
            section.append("Plain words of a paragraph. " * (2 + n))
        text = io.StringIO()
        Renderer().Write(paper, text)
        shelf.write("rtf", f"d{at}", text.getvalue())


@maker("reportlab")
def by_reportlab(shelf):
    from reportlab.lib.pagesizes import A6, landscape
    from reportlab.pdfgen import canvas

    for at in range(6):
        def write(path):
            page = canvas.Canvas(str(path), pagesize=A6 if at % 2 else landscape(A6), pageCompression=at % 3 != 0, invariant=1, encrypt="secret" if at == 5 else None)
            for n in range(1 + at):
                page.drawString(40, 100, prose(f"r{at}{n}", 5).encode("ascii", "ignore").decode())
                if at % 2:
                    page.drawImage(str(shelf.seeds / "p4.png"), 10, 120, 40, 30)
                page.showPage()
            page.save()
        shelf.make("pdf", f"p{at}", write)


@maker("fpdf2")
def by_fpdf(shelf):
    from fpdf import FPDF

    for at in range(4):
        paper = FPDF(format="A5")
        for _ in range(1 + at):
            paper.add_page()
            paper.set_font("Helvetica", size=10 + at)
            paper.multi_cell(0, text=prose(f"f{at}", 30).encode("ascii", "ignore").decode())
        if at == 3:
            paper.set_encryption(owner_password="owner", user_password="user")
        shelf.make("pdf", f"p{at}", lambda path: paper.output(str(path)))


@maker("pypdf", "gs")
def by_pypdf(shelf):
    from pypdf import PdfReader, PdfWriter

    source = shelf.scratch / "in.pdf"
    run("gs", "-q", "-dBATCH", "-dNOPAUSE", "-sDEVICE=pdfwrite", f"-sOutputFile={source}", "-", stdin=b"%!PS\n/Helvetica findfont 9 scalefont setfont 9 9 moveto (a) show showpage showpage\n")
    for at in range(4):
        writer = PdfWriter(clone_from=PdfReader(source))
        if at == 1:
            writer.add_metadata({"/Title": "T"})
        if at == 2:
            writer.encrypt("user", "owner")
        if at == 3:
            writer.add_outline_item("one", 0)
        shelf.make("pdf", f"p{at}", lambda path: writer.write(path))


@maker("qpdf", "qpdf", "gs")
def by_qpdf(shelf):
    source = shelf.scratch / "in.pdf"
    run("gs", "-q", "-dBATCH", "-dNOPAUSE", "-sDEVICE=pdfwrite", f"-sOutputFile={source}", "-", stdin=b"%!PS\n0 0 99 99 rectfill showpage\n")
    for name, how in (
        ("linear", ["--linearize"]), ("objects", ["--object-streams=generate"]), ("qdf", ["--qdf"]), ("locked", ["--encrypt", "a", "b", "256", "--"]), ("plain", ["--stream-data=uncompress", "--min-version=1.7"]),
    ):
        shelf.make("pdf", name, lambda path: run("qpdf", "--static-id", *how, source, path))


@maker("groff", "groff")
def by_groff(shelf):
    for at in range(3):
        source = f".TL\n{prose(at, 3)}\n.PP\n{prose(at, 60)}\n".encode("ascii", "ignore")
        shelf.make("ps", f"d{at}", lambda path: path.write_bytes(run("groff", "-ms", "-Tps", stdin=source)))
        shelf.make("html", f"d{at}", lambda path: path.write_bytes(run("groff", "-ms", "-Thtml", stdin=source)))
        shelf.make("txt", f"d{at}", lambda path: path.write_bytes(run("groff", "-ms", "-Tascii", "-P-c", stdin=source)))
        shelf.make("pdf", f"d{at}", lambda path: path.write_bytes(run("groff", "-ms", "-Tpdf", stdin=source)))


@maker("msoffcrypto")
def by_msoffcrypto(shelf):
    """Encrypted Office files: OLE2 around one opaque stream."""
    from docx import Document
    from msoffcrypto.format.ooxml import OOXMLFile
    from openpyxl import Workbook
    from pptx import Presentation

    plain = {}
    for kind, paper in (("docx", Document()), ("xlsx", Workbook()), ("pptx", Presentation())):
        plain[kind] = io.BytesIO()
        paper.save(plain[kind])
    for kind, data in plain.items():
        def write(path):
            data.seek(0)
            with open(path, "wb") as out:
                OOXMLFile(data).encrypt("secret", out)
        shelf.make(kind, "locked", write)


@maker("librsvg", "rsvg-convert", "dot")
def by_librsvg(shelf):
    source = shelf.scratch / "in.svg"
    run("dot", "-Tsvg", "-o", source, stdin=b"digraph { a -> b -> c; a -> c }")
    for kind in ("svg", "pdf", "png", "ps", "eps"):
        for zoom in ("0.5", "1", "2"):
            shelf.make(kind, f"z{zoom}", lambda path: run("rsvg-convert", "-f", kind, "-z", zoom, "-o", path, source))
