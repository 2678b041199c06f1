/**
 * A file becomes upright sRGB pixels, read a strip at a time: the counterpart of images.open_image.
 *
 * The browser decodes, turns by EXIF orientation and manages colour; alpha is laid on white. A file
 * is untrusted: its bytes and pixels are counted before they are decoded. Knows no model.
 */
import { drawingContext } from "./canvas.js";
import { ScreenError } from "./errors.js";
import { takeOrientation, turn } from "./webp.js";

const HEIC = /^ftyp(hei[cxms]|hev[cxms]|m[is]f1)/;

/**
 * Decode a file.
 * @param {Blob} blob
 * @param {{bytes: number, pixels: number}} limits the most that is taken
 * @returns {Promise<ImageBitmap>} upright; close it after use
 * @throws {ScreenError} empty, too_many_bytes, too_many_pixels, heic, cut_off, not_an_image, memory
 */
export async function decode(blob, limits) {
  if (blob.size === 0) throw new ScreenError("empty");
  if (blob.size > limits.bytes) {
    const megabytes = (bytes) => (bytes / 1e6).toFixed(bytes % 1e6 ? 1 : 0);
    throw new ScreenError("too_many_bytes", { has: megabytes(blob.size), most: megabytes(limits.bytes) });
  }
  let bytes;
  try {
    bytes = new Uint8Array(await blob.arrayBuffer());
  } catch (error) {
    throw new ScreenError("unreadable", {}, error); // taken away, or a file in the cloud
  }
  const { width, height } = await measure(blob, bytes);
  if (width * height > limits.pixels) {
    throw new ScreenError("too_many_pixels", {
      has: (width * height / 1e6).toFixed(1),
      most: (limits.pixels / 1e6).toFixed(0),
    });
  }
  if (isCutOff(bytes)) throw new ScreenError("cut_off");
  const orientation = format(bytes) === "webp" ? takeOrientation(bytes) : 1;
  try {
    const upright = orientation === 1 ? blob : new Blob([bytes], { type: "image/webp" });
    const bitmap = await createImageBitmap(upright, { imageOrientation: "from-image" });
    return orientation === 1 ? bitmap : await turn(bitmap, orientation);
  } catch (error) {
    if (error instanceof RangeError) throw new ScreenError("memory", {}, error);
    throw new ScreenError("cut_off", {}, error);
  }
}

/**
 * Reads rows of a bitmap on white.
 * @param {ImageBitmap} bitmap
 * @param {[number, number, number, number]} box left, top, right, bottom
 * @returns {(first: number, count: number) => Uint8ClampedArray} RGBA of `count` rows of the box
 */
export function rowReader(bitmap, [left, top, right]) {
  const width = right - left;
  let context;
  return (first, count) => {
    if (context?.canvas.height !== count) context = drawingContext(width, count);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, count);
    try {
      context.drawImage(bitmap, left, top + first, width, count, 0, 0, width, count);
      return context.getImageData(0, 0, width, count).data;
    } catch (error) {
      throw new ScreenError("memory", {}, error);
    }
  };
}

/** Width and height from the header alone; an <img> that is in no page decodes no pixels. */
async function measure(blob, bytes) {
  const url = URL.createObjectURL(blob);
  try {
    return await new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => resolve({ width: image.naturalWidth, height: image.naturalHeight });
      image.onerror = () => reject(new ScreenError(refusal(bytes)));
      image.src = url;
    });
  } finally {
    URL.revokeObjectURL(url);
  }
}

function refusal(bytes) {
  if (HEIC.test(ascii(bytes, 4, 12))) return "heic";
  return format(bytes) ? "cut_off" : "not_an_image";
}

function format(bytes) {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return "jpeg";
  if (ascii(bytes, 1, 4) === "PNG") return "png";
  if (ascii(bytes, 0, 4) === "RIFF" && ascii(bytes, 8, 12) === "WEBP") return "webp";
  if (ascii(bytes, 0, 4) === "GIF8") return "gif";
  return ascii(bytes, 0, 2) === "BM" ? "bmp" : "";
}

/** Browsers show what is left of a file that ends too early; a verdict on half an image is none. */
function isCutOff(bytes) {
  const end = bytes.length;
  const view = new DataView(bytes.buffer);
  switch (format(bytes)) {
    case "jpeg": {
      const scan = startOfScan(view);
      for (let at = end - 2; at > scan; at--) {
        if (bytes[at] === 0xff && bytes[at + 1] === 0xd9) return false;
      }
      return true;
    }
    case "png":
      // Its last chunk has 12 bytes, and may be followed by what other programs append.
      for (let at = 8; at + 12 <= end; at += 12 + view.getUint32(at)) {
        if (ascii(bytes, at + 4, at + 8) === "IEND") return false;
      }
      return true;
    case "webp":
      return view.getUint32(4, true) + 8 > end;
    default:
      return false;
  }
}

/** Where a JPEG's pixels begin: a thumbnail before that has an end marker of its own. */
function startOfScan(view) {
  let at = 2;
  while (at + 4 <= view.byteLength && view.getUint8(at) === 0xff) {
    const marker = view.getUint8(at + 1);
    if (marker === 0xda) return at;
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return at;
}

function ascii(bytes, start, end) {
  return String.fromCharCode(...bytes.subarray(start, end));
}
