/**
 * Pillow's resampling, in its own integer arithmetic (libImaging/Resample.c and Reduce.c): a model
 * must see here the pixels that it saw when it was measured. Arrays in, arrays out.
 */

const PRECISION = 22; // bits of a weight: 32, less 8 of a pixel, less 2 to spare
const HALF = 1 << (PRECISION - 1);

const triangle = { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) };
const cubic = {
  support: 2,
  at(x) {
    const a = -0.5;
    x = Math.abs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
  },
};

/**
 * Which source pixels make each target pixel, and how much of each.
 * @param {number} length pixels along the source
 * @param {number} target pixels along the result
 * @param {number} end where the part to be scaled ends; it begins at 0
 * @param filter triangle or cubic
 * @returns {{from: number, weights: number[]}[]} weights add up to 1
 */
function weightsOf(length, target, end, filter) {
  const scale = end / target;
  const stretch = Math.max(1, scale);
  const support = filter.support * stretch;
  return Array.from({ length: target }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const from = Math.max(0, Math.trunc(centre - support + 0.5));
    const to = Math.min(length, Math.trunc(centre + support + 0.5));
    const weights = [];
    for (let x = from; x < to; x++) weights.push(filter.at((x - centre + 0.5) / stretch));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { from, weights: weights.map((weight) => weight / sum) };
  });
}

/** The weights of Pillow's BILINEAR for bytes: whole numbers of 2^-22. */
export function bilinear(length, target, end = length) {
  return weightsOf(length, target, end, triangle).map(({ from, weights }) => ({
    from,
    weights: Int32Array.from(weights, (weight) => Math.floor(0.5 + weight * (1 << PRECISION))),
  }));
}

/**
 * Scale rows to as many pixels as there are weights.
 * @param pixels bytes, `channels` a pixel, of which the first three are used
 * @param {Uint8Array} result RGB; written from row `row` on
 */
export function scaleRows(pixels, channels, width, height, columns, result, row = 0) {
  let out = row * columns.length * 3;
  for (let y = 0; y < height; y++) {
    const start = y * width * channels;
    for (const { from, weights } of columns) {
      let red = HALF, green = HALF, blue = HALF;
      let at = start + from * channels;
      for (let i = 0; i < weights.length; i++, at += channels) {
        const weight = weights[i];
        red += pixels[at] * weight;
        green += pixels[at + 1] * weight;
        blue += pixels[at + 2] * weight;
      }
      // Weights of a triangle are positive and add up to 1: no byte overflows.
      result[out++] = red >> PRECISION;
      result[out++] = green >> PRECISION;
      result[out++] = blue >> PRECISION;
    }
  }
}

/** Scale RGB bytes of `width` to as many rows as there are weights. */
export function scaleColumns(pixels, width, rows) {
  const stride = width * 3;
  const result = new Uint8Array(rows.length * stride);
  rows.forEach(({ from, weights }, y) => {
    for (let x = 0; x < stride; x++) {
      let sum = HALF;
      for (let i = 0, at = from * stride + x; i < weights.length; i++, at += stride) {
        sum += pixels[at] * weights[i];
      }
      result[y * stride + x] = sum >> PRECISION;
    }
  });
  return result;
}

/**
 * Average blocks of `across` x `down` pixels, those at the right and lower edge as far as they go.
 * @param {Uint8Array} result RGB; written from row `row` on
 */
export function reduce(pixels, channels, width, height, across, down, result, row = 0) {
  const columns = Math.ceil(width / across);
  for (let y = 0, out = row * columns * 3; y < height; y += down) {
    const bottom = Math.min(height, y + down);
    for (let x = 0; x < width; x += across) {
      const right = Math.min(width, x + across);
      let red = 0, green = 0, blue = 0;
      for (let line = y; line < bottom; line++) {
        for (let at = (line * width + x) * channels, end = (line * width + right) * channels; at < end; at += channels) {
          red += pixels[at];
          green += pixels[at + 1];
          blue += pixels[at + 2];
        }
      }
      const count = (bottom - y) * (right - x);
      result[out++] = (red / count + 0.5) | 0;
      result[out++] = (green / count + 0.5) | 0;
      result[out++] = (blue / count + 0.5) | 0;
    }
  }
}

/** Pillow's BICUBIC of one channel of floats: (height, width) -> (tall, wide). */
export function bicubic(values, width, height, wide, tall) {
  const columns = weightsOf(width, wide, width, cubic);
  const rows = weightsOf(height, tall, height, cubic);
  const narrow = new Float32Array(height * wide);
  for (let y = 0; y < height; y++) {
    columns.forEach(({ from, weights }, x) => {
      narrow[y * wide + x] = weights.reduce((sum, w, i) => sum + w * values[y * width + from + i], 0);
    });
  }
  const result = new Float32Array(tall * wide);
  rows.forEach(({ from, weights }, y) => {
    for (let x = 0; x < wide; x++) {
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * narrow[(from + i) * wide + x];
      result[y * wide + x] = sum;
    }
  });
  return result;
}
