// Pictures to upload.
import { randomBytes } from "node:crypto";
import { crc32, deflateSync } from "node:zlib";

/** A valid PNG: a sky of this colour over a darker ground, or noise. */
export function picture(width, height, colour) {
  const lines = colour ? landscape(width, height, colour) : noise(width, height);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", deflateSync(lines)), chunk("IEND", Buffer.alloc(0))]);
}

/** A PNG line is a filter byte, 0 for none, and three bytes a pixel. */
function noise(width, height) {
  const lines = randomBytes(height * (1 + 3 * width));
  for (let y = 0; y < height; y += 1) lines[y * (1 + 3 * width)] = 0;
  return lines;
}

function landscape(width, height, [red, green, blue]) {
  const lines = Buffer.alloc(height * (1 + 3 * width));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const hill = height * (0.6 + 0.1 * Math.sin((x / width) * 7));
      const shade = y > hill ? 0.45 : 1 + 0.5 * (y / height);
      const at = y * (1 + 3 * width) + 1 + 3 * x;
      [red, green, blue].forEach((colour, i) => (lines[at + i] = Math.min(255, colour * shade)));
    }
  }
  return lines;
}

function chunk(type, content) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), content]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(content.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}
