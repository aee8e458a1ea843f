"""The seeds: plain pictures, sounds and pages that the other makers convert."""

import math
import struct
import wave

from . import prose, rows, seeded


def picture(width, height, seed, mode="RGB"):
    """A gradient with shapes and noise, so that no compressor makes nothing of it."""
    from PIL import Image, ImageDraw

    source = seeded("picture", width, height, seed)
    image = Image.linear_gradient("L").resize((width, height))
    bands = [image.rotate(source.choice([0, 90, 180])).resize((width, height)) for _ in range(3)]
    image = Image.merge("RGB", bands)
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = source.randrange(width), source.randrange(height)
        colour = tuple(source.randrange(256) for _ in range(3))
        draw.ellipse([x, y, x + width // 5, y + height // 6], fill=colour)
    for _ in range(width * height // 20):
        at = source.randrange(width), source.randrange(height)
        image.putpixel(at, tuple(source.randrange(256) for _ in range(3)))
    return image.convert(mode)


SIZES = [(64, 48), (1, 1), (333, 17), (16, 16), (200, 150), (31, 97), (256, 256)]


def sow(folder):
    """Writes the seeds; the makers read them and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for at, (width, height) in enumerate(SIZES):
        picture(width, height, at).save(folder / f"p{at}.png")
        picture(width, height, at).save(folder / f"p{at}.ppm")
    rgba = picture(48, 48, "alpha").convert("RGBA")
    rgba.putalpha(picture(48, 48, "mask", "L"))
    rgba.save(folder / "alpha.png")
    for at, (rate, channels, seconds) in enumerate([(44100, 2, 0.4), (8000, 1, 0.7), (48000, 1, 0.3)]):
        with wave.open(str(folder / f"s{at}.wav"), "wb") as sound:
            sound.setnchannels(channels)
            sound.setsampwidth(2)
            sound.setframerate(rate)
            for n in range(int(rate * seconds)):
                level = int(9000 * math.sin(n * 0.05) + 4000 * math.sin(n * 0.31))
                sound.writeframes(struct.pack("<h", level) * channels)
    for at in range(4):
        page = folder / f"page{at}.html"
        table = "".join(
            "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows(at, 4 + 6 * at)
        )
        page.write_text(
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Page {at}</title></head>'
            f"<body><h1>{prose(at, 4)}</h1><p>{prose(at + 9, 60 * (at + 1))}</p><table>{table}</table></body></html>\n"
        )
        (folder / f"page{at}.md").write_text(
            f"# {prose(at, 3)}\n\n{prose(at + 5, 50 * (at + 1))}\n\n- one\n- *two*\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
            f"```\ncode <b>\n```\n\n## {prose(at + 1, 2)}\n\n{prose(at + 7, 40)}\n"
        )
        (folder / f"table{at}.csv").write_text(
            "\n".join(",".join(str(cell) for cell in row) for row in rows(at, 6 + 40 * at)) + "\n"
        )
        (folder / f"text{at}.txt").write_text(prose(at, 90 * (at + 1)) + "\n")
