/**
 * What about the image itself should make one doubt the verdict: the cheap checks of
 * mel_demo/findings.py, with its measures and thresholds. Hair is not looked for here. Pure.
 */
import { reduce } from "./resample.js";

/**
 * @param {{pixels: Uint8Array, width: number, height: number}} working as `prepare` makes it
 * @returns {{colour, blur, white, brightest, ink, contrast}} as findings.Measures says
 */
export function measure({ pixels, width, height }, limits) {
  const count = width * height;
  const spread = new Float64Array(count);
  const grey = new Float64Array(count);
  let white = 0, ink = 0;
  for (let i = 0; i < count; i++) {
    const [red, green, blue] = pixels.subarray(3 * i, 3 * i + 3);
    const [low, high] = [Math.min(red, green, blue), Math.max(red, green, blue)];
    spread[i] = high - low;
    grey[i] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16; // Pillow's "L"
    white += low >= limits.white;
    ink += Math.max(green, blue) - red > limits.bluer;
  }
  return {
    colour: quantile(spread, 0.95),
    blur: Math.max(blurAlong(grey, width, height, true), blurAlong(grey, width, height, false)),
    white: white / count,
    brightest: quantile(grey, 0.95),
    ink: ink / count,
    contrast: contrast(pixels, width, height, limits.coarse),
  };
}

/**
 * @param {{width, height, judged: number, distance: number | null}} image judged: the share of it
 * @returns {{code: string, severity: "refusal" | "warning", values: object}[]} in findings.CHECKS' order
 */
export function findings(image, measures, config) {
  const limits = config.findings;
  const dark = measures.brightest < limits.underexposed;
  const small = Math.min(image.width, image.height);
  const size = `${image.width} × ${image.height}`;
  if (isOther(image.distance, measures, config)) {
    return [{ code: "not_dermoscopy", severity: "refusal", values: {} }]; // which has no other fault
  }
  const checks = [
    ["enlarged", small < config.preprocessing.size, { size }],
    ["elongated", image.judged < limits.judged, { judged: image.judged }],
    ["blurred", small >= limits.side && measures.blur > limits.blurred, {}],
    ["overexposed", measures.white > limits.overexposed, { white: measures.white }],
    ["underexposed", dark, {}],
    ["no_lesion", measures.contrast < limits.faint && !dark, {}],
    ["ink", measures.ink > limits.inked, { ink: measures.ink }],
  ];
  return checks
    .filter(([, applies]) => applies)
    .map(([code, , values]) => ({ code, severity: "warning", values }));
}

/** Too far from what the model learned from, or without any colour. */
function isOther(distance, measures, { ood, findings: limits }) {
  return measures.colour < limits.colourless || (ood !== null && distance > ood.threshold);
}

/** How little blurring once more takes away of the differences between neighbours, 0..1. */
function blurAlong(grey, width, height, down) {
  const [lines, length] = down ? [width, height] : [height, width];
  const at = (line, place) => grey[down ? place * width + line : line * width + place];
  let total = 0, gone = 0;
  const mean = new Float64Array(length);
  for (let line = 0; line < lines; line++) {
    for (let i = 0; i < length; i++) {
      let sum = 0;
      for (let step = -2; step <= 2; step++) {
        sum += at(line, Math.min(length - 1, Math.max(0, i + step)));
      }
      mean[i] = sum / 5;
    }
    for (let i = 1; i < length; i++) {
      const before = Math.abs(at(line, i) - at(line, i - 1));
      total += before;
      gone += Math.max(0, before - Math.abs(mean[i] - mean[i - 1]));
    }
  }
  return total ? 1 - gone / total : 0;
}

/** RGB distance of the hundredth that differs most from the median, uneven light taken out. */
function contrast(pixels, width, height, coarse) {
  const [wide, tall] = [Math.ceil(width / coarse), Math.ceil(height / coarse)];
  const small = new Uint8Array(wide * tall * 3);
  reduce(pixels, 3, width, height, coarse, coarse, small);
  const count = wide * tall;
  const x = (i) => (wide > 1 ? (2 * (i % wide)) / (wide - 1) - 1 : -1);
  const y = (i) => (tall > 1 ? (2 * Math.floor(i / wide)) / (tall - 1) - 1 : -1);
  const away = new Float64Array(count);
  for (let channel = 0; channel < 3; channel++) {
    const values = Float64Array.from({ length: count }, (_, i) => small[3 * i + channel]);
    const mean = values.reduce((sum, value) => sum + value, 0) / count;
    let down = 0, right = 0, downs = 0, rights = 0;
    values.forEach((value, i) => {
      down += (value - mean) * y(i);
      right += (value - mean) * x(i);
      downs += y(i) ** 2;
      rights += x(i) ** 2;
    });
    const even = values.map((value, i) => value - mean - (y(i) * down) / downs - (x(i) * right) / rights);
    const median = quantile(even, 0.5);
    even.forEach((value, i) => (away[i] += (value - median) ** 2));
  }
  return quantile(away.map(Math.sqrt), 0.99);
}

/** NumPy's quantile: linear between neighbours. */
function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(sorted.length - 1, below + 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}
