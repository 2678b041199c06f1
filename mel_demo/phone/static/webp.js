/**
 * The EXIF orientation of a WebP, which some browsers apply and others do not: it is hidden from
 * all of them, and applied here. Knows the container (RFC 9649) and as much of TIFF as it takes.
 */
import { drawingContext } from "./canvas.js";

const ORIENTATION = 0x0112;
// a, b, c, d of the canvas transform, then whether the width and the height are added to e and f.
const TURNS = {
  2: [-1, 0, 0, 1, 1, 0], 3: [-1, 0, 0, -1, 1, 1], 4: [1, 0, 0, -1, 0, 1], 5: [0, 1, 1, 0, 0, 0],
  6: [0, 1, -1, 0, 1, 0], 7: [0, -1, -1, 0, 1, 1], 8: [0, -1, 1, 0, 0, 1],
};

/** Take the orientation (1..8) out of the bytes of a WebP, which are changed; 1 where there is none. */
export function takeOrientation(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    if (String.fromCharCode(...bytes.subarray(at, at + 4)) === "EXIF") {
      bytes.set([0x4a, 0x55, 0x4e, 0x4b], at); // a chunk that nobody knows is passed over
      return read(new DataView(bytes.buffer, bytes.byteOffset + at + 8, Math.min(size, bytes.length - at - 8)));
    }
    at += 8 + size + (size % 2);
  }
  return 1;
}

/** A bitmap turned upright; the one that was handed over is closed. */
export async function turn(bitmap, orientation) {
  const [a, b, c, d, across, down] = TURNS[orientation];
  const sides = [bitmap.width, bitmap.height];
  const [width, height] = orientation > 4 ? sides.reverse() : sides;
  const context = drawingContext(width, height);
  context.setTransform(a, b, c, d, across * width, down * height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.canvas.transferToImageBitmap?.() ?? createImageBitmap(context.canvas);
}

/** A damaged EXIF block is no reason to refuse the pixels. */
function read(view) {
  try {
    const start = view.getUint32(0) === 0x45786966 ? 6 : 0; // "Exif", two zeros
    const little = view.getUint16(start) === 0x4949;
    const directory = start + view.getUint32(start + 4, little);
    const entries = view.getUint16(directory, little);
    for (let entry = directory + 2, i = 0; i < entries; entry += 12, i++) {
      if (view.getUint16(entry, little) !== ORIENTATION) continue;
      const orientation = view.getUint16(entry + 8, little);
      return orientation in TURNS ? orientation : 1;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return 1;
}
