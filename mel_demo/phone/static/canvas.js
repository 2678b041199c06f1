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
