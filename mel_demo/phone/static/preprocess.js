/**
 * Pixels become a model's input: the counterpart of images.prepare and images.normalise, and of the
 * small image that the findings are measured on. Pure; reads a picture a strip at a time, so that
 * fifty megapixels need no more memory than one.
 */
import { bilinear, reduce, scaleColumns, scaleRows } from "./resample.js";

const STRIP = 128; // rows that are read at once

/** The centre crop [left, top, right, bottom] that is judged: images.crop_box. */
export function cropBox(width, height, maxAspectRatio) {
  const longest = Math.max(1, Math.trunc(Math.min(width, height) * maxAspectRatio + 1e-6));
  const [wide, tall] = [Math.min(width, longest), Math.min(height, longest)];
  const [left, top] = [Math.floor((width - wide) / 2), Math.floor((height - tall) / 2)];
  return [left, top, left + wide, top + tall];
}

/**
 * Both small images of a crop, read once.
 * @param {(first: number, count: number) => ArrayLike<number>} readRows RGBA rows of the crop
 * @param {number} width @param {number} height of the crop
 * @param {number} size side of the model's input
 * @param {number} side shorter side of the working image
 * @returns {{input: Uint8Array, working: {pixels: Uint8Array, width: number, height: number}}} RGB
 */
export function prepare(readRows, width, height, size, side) {
  const columns = bilinear(width, size);
  const narrow = new Uint8Array(height * size * 3);
  const scale = side / Math.min(width, height);
  const [wide, tall] = [roundHalfEven(width * scale), roundHalfEven(height * scale)];
  // Pillow's reducing_gap=2: whole-number reduction first, to no less than twice the result.
  const across = Math.max(1, Math.trunc(width / wide / 2));
  const down = Math.max(1, Math.trunc(height / tall / 2));
  const reducedWidth = Math.ceil(width / across);
  const reducedHeight = Math.ceil(height / down);
  const reduced = new Uint8Array(reducedWidth * reducedHeight * 3);
  const step = down * Math.max(1, Math.floor(STRIP / down));
  for (let y = 0; y < height; y += step) {
    const count = Math.min(step, height - y);
    const pixels = readRows(y, count);
    scaleRows(pixels, 4, width, count, columns, narrow, y);
    reduce(pixels, 4, width, count, across, down, reduced, y / down);
  }
  const small = new Uint8Array(reducedHeight * wide * 3);
  scaleRows(reduced, 3, reducedWidth, reducedHeight, bilinear(reducedWidth, wide, width / across), small);
  return {
    input: scaleColumns(narrow, size, bilinear(height, size)),
    working: {
      pixels: scaleColumns(small, wide, bilinear(reducedHeight, tall, height / down)),
      width: wide,
      height: tall,
    },
  };
}

/** float32 (1, 3, size, size) from RGB bytes: (v / 255 - mean) / std, in float32 as NumPy does. */
export function normalise(input, { size, mean, std }) {
  const plane = size * size;
  const tensor = new Float32Array(3 * plane);
  for (let channel = 0; channel < 3; channel++) {
    const scale = Math.fround(1 / (255 * std[channel]));
    const shift = Math.fround(-mean[channel] / std[channel]);
    for (let i = 0; i < plane; i++) {
      tensor[channel * plane + i] = Math.fround(input[3 * i + channel] * scale) + shift;
    }
  }
  return tensor;
}

/** Python's round: a half goes to the even neighbour. */
function roundHalfEven(value) {
  const down = Math.floor(value);
  return value - down === 0.5 ? down + (down % 2) : Math.round(value);
}
