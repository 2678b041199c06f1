/**
 * Evidence map over the picture it explains: the counterpart of mel_demo's overlay. Its opacity
 * follows the melanoma probability, so that a confident benign result looks calm.
 */
import { drawingContext } from "./canvas.js";
import { bicubic } from "./resample.js";

const PEAK_OPACITY = 0.65;
// Nine samples of "viridis" (Smith and van der Walt 2015, CC0), as mel_demo draws it.
const SAMPLES = [
  [68, 1, 84], [71, 45, 123], [59, 82, 139], [44, 114, 142], [33, 145, 140],
  [40, 174, 128], [94, 201, 98], [173, 220, 48], [253, 231, 37],
];

/** 0..1: how strongly to draw the map; the cube root of the probability. */
export const evidenceStrength = (probability) => Math.cbrt(probability);

/** The colour of evidence 0..1 as [red, green, blue]. */
export function colour(evidence) {
  const place = evidence * (SAMPLES.length - 1);
  const below = Math.min(SAMPLES.length - 2, Math.floor(place));
  return SAMPLES[below].map((value, i) => Math.round(value + (SAMPLES[below + 1][i] - value) * (place - below)));
}

/**
 * A transparent picture of the map, to be laid over the judged part.
 * @param {{values: Float32Array, width: number, height: number}} map not negative
 * @returns {OffscreenCanvas | HTMLCanvasElement} of `wide` x `tall` pixels
 */
export function drawEvidence(map, strength, wide, tall) {
  const context = drawingContext(wide, tall);
  const peak = Math.max(...map.values);
  const picture = context.createImageData(wide, tall);
  if (peak > 0) {
    const heat = bicubic(map.values.map((value) => value / peak), map.width, map.height, wide, tall);
    heat.forEach((value, i) => {
      const evidence = Math.min(1, Math.max(0, value)) * strength;
      picture.data.set([...colour(evidence), 255 * PEAK_OPACITY * evidence], 4 * i);
    });
  }
  context.putImageData(picture, 0, 0);
  return context.canvas;
}
