/** Canvases outside any page, and where a device has no memory for them. */
import { ScreenError } from "./errors.js";

/** A 2D context of a canvas outside any page. */
export function drawingContext(width, height) {
  let canvas;
  if (typeof OffscreenCanvas === "undefined") {
    canvas = Object.assign(document.createElement("canvas"), { width, height });
  } else {
    canvas = new OffscreenCanvas(width, height);
  }
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new ScreenError("memory");
  context.imageSmoothingEnabled = false;
  return context;
}

const SKIN = [222, 178, 158];

/**
 * A drawn picture as a file.
 *
 * @throws {ScreenError} canvas: some browsers, against fingerprinting, answer noise to whoever reads
 *   a canvas; what a model says of noise means nothing
 */
export async function drawn(width, height) {
  const context = drawingContext(width, height);
  context.fillStyle = `rgb(${SKIN})`;
  context.fillRect(0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  for (let i = 0; i < data.length; i += 4) {
    if (SKIN.some((value, channel) => Math.abs(data[i + channel] - value) > 2)) throw new ScreenError("canvas");
  }
  const { canvas } = context;
  if (canvas.convertToBlob) return canvas.convertToBlob({ type: "image/jpeg" });
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg"));
}
