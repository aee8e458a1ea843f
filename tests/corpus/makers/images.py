"""Pictures: Pillow, ImageMagick, netpbm, libjpeg-turbo, libwebp, libheif, libjxl and others."""

from . import maker, run, seeded
from .seeds import SIZES, picture


def pillow(shelf, kind, name, image, **options):
    shelf.make(kind, name, lambda path: image.save(path, **options))


@maker("pillow")
def with_pillow(shelf):
    from PIL import Image, PngImagePlugin

    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", "Model", 6
    for at, (width, height) in enumerate(SIZES):
        photo = picture(width, height, at)
        pillow(shelf, "jpg", f"rgb{at}", photo, quality=10 + 12 * at)
        pillow(shelf, "png", f"rgb{at}", photo)
        pillow(shelf, "gif", f"p{at}", photo)
        pillow(shelf, "bmp", f"rgb{at}", photo)
        pillow(shelf, "webp", f"lossy{at}", photo, quality=20 + 10 * at)
        pillow(shelf, "tiff", f"raw{at}", photo)
        pillow(shelf, "jp2", f"rgb{at}", photo) if min(width, height) > 15 else None
        pillow(shelf, "avif", f"rgb{at}", photo, quality=40)
    photo = picture(120, 90, "variants")
    pillow(shelf, "jpg", "progressive", photo, progressive=True, optimize=True)
    pillow(shelf, "jpg", "grey", photo.convert("L"))
    pillow(shelf, "jpg", "cmyk", photo.convert("CMYK"))
    pillow(shelf, "jpg", "exif", photo, exif=exif, dpi=(300, 300), comment=b"a comment")
    pillow(shelf, "jpg", "icc", photo, icc_profile=srgb())
    # What lies before the picture is larger than the head that is read.
    noise = seeded("noise").randbytes(150_000)
    pillow(shelf, "jpg", "late-frame", photo, icc_profile=noise)
    pillow(shelf, "png", "late-data", photo, icc_profile=noise)
    pillow(shelf, "webp", "late-data", photo, icc_profile=noise)
    pillow(shelf, "tiff", "late-tags", photo, icc_profile=noise)
    pillow(shelf, "jpg", "mpo", photo, format="MPO", save_all=True, append_images=[picture(64, 48, "second")])
    for kind in ("jpg", "png", "tiff", "bmp", "gif", "webp", "jp2"):
        pillow(shelf, kind, "large", picture(480, 360, "large"), **({"quality": 97} if kind == "jpg" else {}))
    for mode in ("1", "L", "P", "LA", "RGBA", "I;16"):
        source = photo.convert("L").convert("I;16") if mode == "I;16" else photo.convert(mode)
        pillow(shelf, "png", f"mode-{mode.replace(';', '')}", source)
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Title", "words in a chunk")
    notes.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    pillow(shelf, "png", "text", photo, pnginfo=notes, icc_profile=srgb(), dpi=(72, 72))
    frames = [picture(40, 30, f"frame{n}").convert("P") for n in range(4)]
    for kind, extra in (("gif", {"loop": 0}), ("png", {}), ("webp", {}), ("tiff", {}), ("avif", {})):
        rest = [frame.convert("RGB") if kind in ("webp", "avif") else frame for frame in frames]
        pillow(shelf, kind, "frames", rest[0], save_all=True, append_images=rest[1:], **extra)
    pillow(shelf, "gif", "transparent", frames[0], transparency=3)
    pillow(shelf, "gif", "comment", frames[0], comment=b"made for a test")
    for mode in ("1", "L", "P", "RGBA"):
        pillow(shelf, "bmp", f"mode-{mode}", photo.convert(mode))
    pillow(shelf, "webp", "lossless", photo, lossless=True)
    pillow(shelf, "webp", "alpha", photo.convert("RGBA"), lossless=True, exact=True)
    pillow(shelf, "webp", "exif", photo, exif=exif, icc_profile=srgb())
    for how in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits", "group4"):
        source = photo.convert("1") if how == "group4" else photo
        pillow(shelf, "tiff", how, source, compression=how)
    pillow(shelf, "tiff", "big", photo, big_tiff=True)
    for at, sizes in enumerate([[(16, 16)], [(16, 16), (32, 32), (48, 48)], [(64, 64)], [(256, 256)], [(24, 24), (256, 256)]]):
        pillow(shelf, "ico", f"png{at}", picture(256, 256, at), sizes=sizes)
        pillow(shelf, "ico", f"bmp{at}", picture(256, 256, at), sizes=[size for size in sizes if size[0] < 256] or [(32, 32)], bitmap_format="bmp")
    for mode in ("L", "RGBA"):
        pillow(shelf, "jp2", f"mode-{mode}", photo.convert(mode))
    pillow(shelf, "jp2", "lossy", photo, quality_mode="rates", quality_layers=[20, 10])
    pillow(shelf, "avif", "alpha", photo.convert("RGBA"))
    pillow(shelf, "avif", "444", photo, subsampling="4:4:4", exif=exif)
    for at in range(3):
        pillow(shelf, "pdf", f"picture{at}", picture(50 + at, 40, at))
    pillow(shelf, "pdf", "pages", photo, save_all=True, append_images=[photo, photo])


def srgb():
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@maker("pillow-heif")
def with_pillow_heif(shelf):
    import pillow_heif

    pillow_heif.register_heif_opener()
    for at, (width, height) in enumerate(SIZES):
        if min(width, height) > 8:
            pillow(shelf, "heic", f"rgb{at}", picture(width, height, at), quality=30 + 8 * at)
    photo = picture(120, 90, "heif")
    pillow(shelf, "heic", "alpha", photo.convert("RGBA"))
    pillow(shelf, "heic", "grey", photo.convert("L"))
    pillow(shelf, "heic", "two", photo, save_all=True, append_images=[picture(64, 64, "second")])
    pillow(shelf, "heic", "420", photo, chroma=420)
    pillow(shelf, "heic", "lossless", photo, quality=-1, chroma=444)
    deep = pillow_heif.from_bytes(mode="RGB;16", size=(64, 48), data=seeded("deep").randbytes(64 * 48 * 6))
    shelf.make("heic", "ten-bit", lambda path: deep.save(path, quality=60))


@maker("imagemagick", "convert")
def with_imagemagick(shelf):
    seeds = shelf.seeds

    def convert(kind, name, *how, source="p4.png", prefix=""):
        shelf.make(kind, name, lambda path: run("convert", seeds / source, *how, f"{prefix}{path}", env={"MAGICK_THREAD_LIMIT": "1"}))

    for at in range(len(SIZES)):
        for kind in ("jpg", "png", "gif", "webp", "tiff", "bmp", "psd"):
            convert(kind, f"p{at}", source=f"p{at}.png")
    for at in (0, 4, 6):
        convert("avif", f"p{at}", source=f"p{at}.png")
        convert("heic", f"p{at}", source=f"p{at}.png")
        convert("jp2", f"p{at}", source=f"p{at}.png")
        convert("ico", f"p{at}", "-resize", "48x48!", source=f"p{at}.png")
    convert("jpg", "interlaced", "-interlace", "JPEG", "-quality", "40")
    convert("jpg", "grey", "-colorspace", "Gray", "-sampling-factor", "1x1")
    convert("jpg", "cmyk", "-colorspace", "CMYK")
    convert("jpg", "arithmetic-free", "-sampling-factor", "4:2:0", "-define", "jpeg:dct-method=float", "-strip")
    for form in ("png8", "png24", "png32", "png48", "png00"):
        convert("png", form, prefix=f"{form}:")
    convert("png", "interlaced", "-interlace", "PNG")
    convert("gif", "gif87", prefix="gif87:")
    convert("gif", "interlaced", "-interlace", "GIF", "-colors", "16")
    convert("gif", "animated", seeds / "p0.png", seeds / "p3.png", "-loop", "0", "-set", "delay", "10")
    for form in ("bmp2", "bmp3", "bmp"):
        convert("bmp", form, prefix=f"{form}:")
    convert("bmp", "palette", "-colors", "200", "-compress", "RLE", "-type", "Palette")
    convert("bmp", "mono", "-monochrome")
    convert("bmp", "alpha", source="alpha.png")
    for form in ("LZW", "Zip", "RLE", "None", "JPEG"):
        convert("tiff", form.lower(), "-compress", form)
    convert("tiff", "msb", "-endian", "MSB")
    convert("tiff", "big", prefix="tiff64:")
    convert("tiff", "pyramid", prefix="ptif:")
    convert("webp", "lossless", "-define", "webp:lossless=true")
    convert("webp", "alpha", source="alpha.png")
    convert("ico", "alpha", source="alpha.png")
    convert("ico", "many", "-define", "icon:auto-resize=64,32,16", source="p6.png")
    convert("ico", "grey", "-resize", "16x16!", "-colors", "2")
    convert("psd", "grey", "-colorspace", "Gray")
    convert("psd", "cmyk", "-colorspace", "CMYK")
    convert("psd", "sixteen", "-depth", "16")
    convert("psd", "alpha", source="alpha.png")
    convert("psd", "layers", seeds / "p0.png", seeds / "p3.png")


@maker("netpbm", "pnmtopng")
def with_netpbm(shelf):
    for at in range(len(SIZES)):
        source = (shelf.seeds / f"p{at}.ppm").read_bytes()
        small = run("pnmquant", "-quiet", "64", stdin=source)
        for kind, program, data in (
            ("png", ["pnmtopng"], source),
            ("png", ["pnmtopng", "-interlace"], small),
            ("jpg", ["pnmtojpeg"], source),
            ("jpg", ["pnmtojpeg", "-quality=35", "-optimize", "-progressive"], source),
            ("gif", ["pamtogif"], small),
            ("gif", ["pamtogif", "-interlace"], small),
            ("bmp", ["ppmtobmp"], source),
            ("bmp", ["ppmtobmp", "-bpp=8"], small),
            ("bmp", ["ppmtobmp", "-os2"], source),
            ("tiff", ["pamtotiff", "-lzw"], source),
            ("tiff", ["pamtotiff", "-msb2lsb", "-none"], source),
        ):
            name = f"p{at}{''.join(program[1:])}".replace("=", "")
            if kind == "tiff":
                shelf.make(kind, name, lambda path, p=program, d=data: run(*p, "-output", path, stdin=d))
            else:
                shelf.make(kind, name, lambda path, p=program, d=data: path.write_bytes(run(*p, stdin=d)))
        if SIZES[at][0] <= 64:
            shelf.make("ico", f"p{at}", lambda path: path.write_bytes(run("ppmtowinicon", stdin=small)))


@maker("libjpeg-turbo", "cjpeg")
def with_libjpeg(shelf):
    for at in range(len(SIZES)):
        for flag in ("-baseline", "-progressive", "-grayscale", "-arithmetic"):
            if flag == "-arithmetic" and at:
                continue
            shelf.make("jpg", f"p{at}{flag}", lambda path: run("cjpeg", flag, "-quality", "60", "-outfile", path, shelf.seeds / f"p{at}.ppm"))


@maker("libwebp", "cwebp")
def with_libwebp(shelf):
    for at in range(len(SIZES)):
        png = shelf.seeds / f"p{at}.png"
        shelf.make("webp", f"p{at}", lambda path: run("cwebp", "-quiet", "-q", "50", png, "-o", path))
        shelf.make("webp", f"p{at}-lossless", lambda path: run("cwebp", "-quiet", "-lossless", png, "-o", path))
    shelf.make("webp", "alpha", lambda path: run("cwebp", "-quiet", shelf.seeds / "alpha.png", "-o", path))
    shelf.make("webp", "near", lambda path: run("cwebp", "-quiet", "-near_lossless", "40", "-metadata", "all", shelf.seeds / "p4.png", "-o", path))
    shelf.make(
        "webp",
        "animated",
        lambda path: run("img2webp", "-loop", "0", "-d", "50", shelf.seeds / "p4.png", "-lossy", shelf.seeds / "p4.png", "-o", path),
    )


@maker("libheif", "heif-enc")
def with_libheif(shelf):
    for at in (0, 2, 3, 4, 5, 6):
        png = shelf.seeds / f"p{at}.png"
        for quality in ("20", "70"):
            shelf.make("heic", f"p{at}-q{quality}", lambda path: run("heif-enc", "-q", quality, png, "-o", path))
            shelf.make("avif", f"p{at}-q{quality}", lambda path: run("heif-enc", "-A", "-q", quality, png, "-o", path))
    shelf.make("heic", "alpha", lambda path: run("heif-enc", shelf.seeds / "alpha.png", "-o", path))
    shelf.make("heic", "thumb", lambda path: run("heif-enc", "-t", "32", shelf.seeds / "p4.png", "-o", path))
    shelf.make("heic", "two", lambda path: run("heif-enc", shelf.seeds / "p4.png", shelf.seeds / "p6.png", "-o", path))
    shelf.make("avif", "alpha", lambda path: run("heif-enc", "-A", shelf.seeds / "alpha.png", "-o", path))


@maker("libavif", "avifenc")
def with_libavif(shelf):
    for at in (0, 3, 4, 6):
        for extra in ([], ["--yuv", "444"], ["-d", "10"]):
            shelf.make("avif", f"p{at}{''.join(extra)}", lambda path: run("avifenc", "-j", "1", "-s", "9", *extra, shelf.seeds / f"p{at}.png", path))
    shelf.make("avif", "alpha", lambda path: run("avifenc", "-j", "1", "-s", "9", shelf.seeds / "alpha.png", path))
    shelf.make("avif", "sequence", lambda path: run("avifenc", "-j", "1", "-s", "9", shelf.seeds / "p4.png", shelf.seeds / "p4.png", path))


@maker("libjxl", "cjxl")
def with_libjxl(shelf):
    for at in range(len(SIZES)):
        for extra in (["-d", "0"], ["-d", "2"], ["--container=1"]):
            shelf.make("jxl", f"p{at}{''.join(extra)}".replace("=", ""), lambda path: run("cjxl", shelf.seeds / f"p{at}.png", path, *extra, "--num_threads=0"))


@maker("openjpeg", "opj_compress")
def with_openjpeg(shelf):
    for at in (0, 2, 3, 4, 5, 6):
        for extra in ([], ["-r", "10"]):
            shelf.make("jp2", f"p{at}{''.join(extra)}", lambda path: run("opj_compress", "-i", shelf.seeds / f"p{at}.ppm", "-o", path, *extra))


@maker("gifsicle", "gifsicle")
def with_gifsicle(shelf):
    from PIL import Image

    small = []
    for at in range(len(SIZES)):
        plain = shelf.scratch / f"p{at}.gif"
        Image.open(shelf.seeds / f"p{at}.png").convert("P").save(plain)
        small.append(plain)
        shelf.make("gif", f"p{at}", lambda path: run("gifsicle", "-O3", plain, "-o", path))
    shelf.make("gif", "merged", lambda path: run("gifsicle", "--merge", "--delay=5", "--loop", *small[3:], "-o", path))


@maker("optipng", "optipng")
def with_optipng(shelf):
    for at in range(len(SIZES)):
        shelf.make("png", f"p{at}", lambda path: run("optipng", "-quiet", "-o1", "-i", str(at % 2), shelf.seeds / f"p{at}.png", "-out", path))


@maker("pngquant", "pngquant")
def with_pngquant(shelf):
    for at in range(len(SIZES)):
        shelf.make("png", f"p{at}", lambda path: run("pngquant", "16", shelf.seeds / f"p{at}.png", "-o", path))


@maker("libtiff", "tiffcp")
def with_libtiff(shelf):
    from PIL import Image

    plain = shelf.scratch / "plain.tiff"
    Image.open(shelf.seeds / "p4.png").save(plain)
    for name, flags in (
        ("tiles", ["-t", "-w", "32", "-l", "32"]),
        ("big-endian", ["-B"]),
        ("little-endian", ["-L"]),
        ("big", ["-8"]),
        ("zip", ["-c", "zip"]),
        ("lzw", ["-c", "lzw:2"]),
        ("separate", ["-p", "separate"]),
    ):
        shelf.make("tiff", name, lambda path: run("tiffcp", *flags, plain, path))


@maker("tifffile")
def with_tifffile(shelf):
    import numpy
    import tifffile

    grid = numpy.arange(48 * 64 * 3, dtype=numpy.uint8).reshape(48, 64, 3)
    for name, data, options in (
        ("rgb", grid, {}),
        ("big-endian", grid, {"byteorder": ">"}),
        ("big", grid, {"bigtiff": True}),
        ("big-big", grid, {"bigtiff": True, "byteorder": ">"}),
        ("ome", grid[:, :, 0], {"ome": True}),
        ("imagej", grid[:, :, 0], {"imagej": True}),
        ("float", grid[:, :, 0].astype("float32"), {}),
        ("tiles", grid, {"tile": (16, 16), "compression": "zlib"}),
    ):
        shelf.make("tiff", name, lambda path: tifffile.imwrite(path, data, **options))


@maker("icoutils", "icotool")
def with_icoutils(shelf):
    from PIL import Image

    squares = []
    for side in (16, 24, 32, 48, 256):
        square = shelf.scratch / f"{side}.png"
        Image.open(shelf.seeds / "alpha.png").resize((side, side)).save(square)
        squares.append(square)
        shelf.make("ico", f"s{side}", lambda path: run("icotool", "-c", "-o", path, square))
        shelf.make("ico", f"raw{side}", lambda path: run("icotool", "-c", "-o", path, "-r", square))
    shelf.make("ico", "all", lambda path: run("icotool", "-c", "-o", path, *squares))


@maker("ghostscript", "gs")
def with_ghostscript(shelf):
    pages = {
        "lines": b"%!PS\n0 0 moveto 200 300 lineto stroke showpage\n",
        "text": b"%!PS\n/Helvetica findfont 20 scalefont setfont 50 50 moveto (words) show showpage showpage\n",
        "colour": b"%!PS\n1 0 0 setrgbcolor 10 10 80 80 rectfill 0 0.5 0 setrgbcolor 50 50 30 30 rectfill showpage\n",
    }
    for name, source in pages.items():
        def gs(path, device, *extra):
            run("gs", "-q", "-dBATCH", "-dNOPAUSE", "-dSAFER", f"-sDEVICE={device}", *extra, f"-sOutputFile={path}", "-", stdin=source)

        for kind, device, extra in (
            ("jpg", "jpeg", ["-r20"]),
            ("jpg", "jpeggray", ["-r15"]),
            ("png", "png16m", ["-r20"]),
            ("png", "pngmono", ["-r20"]),
            ("png", "pngalpha", ["-r20"]),
            ("bmp", "bmp16m", ["-r10"]),
            ("bmp", "bmpmono", ["-r20"]),
            ("bmp", "bmp256", ["-r10"]),
            ("tiff", "tiff24nc", ["-r10"]),
            ("tiff", "tiffg4", ["-r20"]),
            ("tiff", "tifflzw", ["-r20"]),
            ("psd", "psdcmyk", ["-r8"]),
            ("psd", "psdrgb", ["-r8"]),
            ("pdf", "pdfwrite", []),
            ("pdf", "pdfwrite", ["-dCompatibilityLevel=1.3"]),
            ("pdf", "pdfwrite", ["-dPDFA=2", "-dCompressPages=false"]),
            ("pdf", "pdfimage24", ["-r10"]),
            ("ps", "ps2write", []),
            ("eps", "eps2write", ["-dLastPage=1"]),
        ):
            shelf.make(kind, f"{name}-{device}{''.join(extra)}".replace("=", ""), lambda path: gs(path, device, *extra))


@maker("matplotlib")
def with_matplotlib(shelf):
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "same"
    from matplotlib import pyplot

    for at, style in enumerate(("plot", "bar", "pie", "hist", "scatter", "text")):
        figure, axes = pyplot.subplots(figsize=(2, 1.5))
        source = seeded("plot", at)
        values = [source.random() + 0.1 for _ in range(8)]
        match style:
            case "plot":
                axes.plot(values)
            case "bar":
                axes.bar(range(8), values)
            case "pie":
                axes.pie(values)
            case "hist":
                axes.hist(values)
            case "scatter":
                axes.scatter(values, values[::-1])
            case "text":
                axes.text(0.2, 0.5, "μ ± σ", fontsize=14)
        for kind in ("svg", "pdf", "png", "jpg", "eps", "ps", "webp", "tiff"):
            shelf.make(kind, style, lambda path: figure.savefig(path, dpi=40))
        pyplot.close(figure)


@maker("graphviz", "dot")
def with_graphviz(shelf):
    for at in range(5):
        source = f"digraph g{at} {{ rankdir=LR; " + "".join(f"a{n} -> a{(n * 3 + at) % 7} [label=\"é{n}\"]; " for n in range(4 + at)) + "}"
        for kind, form in (("svg", "svg"), ("svg", "svg:cairo"), ("png", "png"), ("pdf", "pdf"), ("ps", "ps"), ("jpg", "jpg"), ("gif", "gif"), ("json", "json")):
            shelf.make(kind, f"g{at}-{form.replace(':', '')}", lambda path: run("dot", f"-T{form}", "-o", path, stdin=source.encode()))


@maker("svgwrite")
def with_svgwrite(shelf):
    import svgwrite

    for at in range(5):
        drawing = svgwrite.Drawing(size=(100, 80), profile="tiny" if at % 2 else "full")
        drawing.add(drawing.rect((1, 2), (30 + at, 20), fill="red"))
        drawing.add(drawing.text("naïve", insert=(5, 40)))
        shelf.make("svg", f"d{at}", lambda path: drawing.saveas(str(path), pretty=bool(at % 2)))


@maker("qrcode")
def with_qrcode(shelf):
    import qrcode
    import qrcode.image.svg as forms

    for name, form in (("rects", forms.SvgImage), ("fragment", forms.SvgFragmentImage), ("path", forms.SvgPathImage), ("fill", forms.SvgFillImage)):
        shelf.make("svg", name, lambda path: qrcode.make(f"code {name}", image_factory=form).save(str(path)))
    shelf.make("png", "code", lambda path: qrcode.make("code").save(str(path)))


@maker("gnuplot", "gnuplot")
def with_gnuplot(shelf):
    for terminal, kind in (("svg", "svg"), ("svg mouse standalone", "svg"), ("pngcairo", "png"), ("pdfcairo", "pdf"), ("postscript", "ps"), ("postscript eps", "eps"), ("jpeg", "jpg"), ("gif", "gif")):
        for at, formula in enumerate(("sin(x)", "x**2", "exp(-x*x)")):
            name = f"f{at}-{terminal.replace(' ', '')}"
            shelf.make(kind, name, lambda path: run("gnuplot", stdin=f"set terminal {terminal}\nset output '{path}'\nplot {formula}\n".encode()))
