/**
 * The rear camera with a round guide and a word on sharpness. What the square preview shows is what
 * is taken. Knows no model.
 */
import { $, fill } from "./dom.js";
import { drawingContext } from "./canvas.js";
import { ScreenError } from "./errors.js";
import { measure } from "./findings.js";

const LOOK = 400; // milliseconds between two looks at sharpness
const QUALITY = 0.95;

/**
 * Let the person take a picture.
 * @param {object} limits config.findings
 * @param {(key: string) => string} t words
 * @returns {Promise<Blob | null>} a square JPEG; null where the person closed it
 * @throws {ScreenError} camera
 */
export async function takePicture(limits, t) {
  const dialog = $("#camera");
  const video = $("video", dialog);
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { facingMode: { ideal: "environment" }, width: { ideal: 1920 }, height: { ideal: 1440 } },
    });
    video.srcObject = stream;
    await video.play();
  } catch (error) {
    stream?.getTracks().forEach((track) => track.stop());
    throw new ScreenError("camera", {}, error);
  }
  dialog.showModal();
  const looking = setInterval(() => hint(video, limits, t), LOOK);
  try {
    return await new Promise((resolve, reject) => {
      dialog.onclose = () => resolve(null);
      $("#close-camera").onclick = () => dialog.close();
      $("#shutter").onclick = () => shoot(video).then(resolve, reject);
    });
  } finally {
    clearInterval(looking);
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
    dialog.onclose = null;
    dialog.close();
  }
}

function square(video, side) {
  const whole = Math.min(video.videoWidth, video.videoHeight);
  const context = drawingContext(side ?? whole, side ?? whole);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "medium";
  const [left, top] = [(video.videoWidth - whole) / 2, (video.videoHeight - whole) / 2];
  context.drawImage(video, left, top, whole, whole, 0, 0, context.canvas.width, context.canvas.height);
  return context;
}

async function shoot(video) {
  const { canvas } = square(video);
  if (canvas.convertToBlob) return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}

function hint(video, limits, t) {
  if (!video.videoWidth) return;
  const { side } = limits;
  const { data } = square(video, side).getImageData(0, 0, side, side);
  const pixels = data.filter((_, i) => i % 4 !== 3);
  const { blur, brightest } = measure({ pixels, width: side, height: side }, limits);
  const state = brightest < limits.underexposed ? "dark" : blur > limits.blurred ? "blurred" : "sharp";
  const line = $("#camera-state");
  if (line.dataset.state !== state) fill(line, t(`camera_${state}`)).dataset.state = state;
}
