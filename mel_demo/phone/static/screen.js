/**
 * The whole of the demo without a page: a file becomes a verdict, on this device. Knows no page and
 * no words. For example:
 *
 *   import { load, screen } from "./screen.js";
 *   await load();
 *   const { probability, decision } = await screen(file, { target: 0.95 });
 *   console.log(decision === "refer" ? `refer at ${probability}` : decision);
 *
 * A page in another folder needs this folder's files beside each other, and wasm-unsafe-eval where
 * it has a Content-Security-Policy.
 */
import { drawn } from "./canvas.js";
import { decide, softmax } from "./decide.js";
import { decode, rowReader } from "./decode.js";
import { ScreenError } from "./errors.js";
import { findings, measure } from "./findings.js";
import { loadModel } from "./model.js";
import { cropBox, normalise, prepare } from "./preprocess.js";

export { decide, ScreenError };

let loading;

/**
 * Fetch, verify and start the model; once, however often it is called.
 * @param {(share: number) => void} progress share of the bytes that have arrived, 0..1
 * @returns {Promise<{config: object, files: object, run: Function}>} config: what was measured
 * @throws {ScreenError}
 */
export function load(progress) {
  loading ??= start(progress).catch((error) => {
    loading = undefined; // so that a second try is one
    throw error;
  });
  return loading;
}

/**
 * Judge one image.
 * @param {Blob} blob a JPEG, PNG, WebP, GIF, BMP or whatever else the browser decodes
 * @param {{target?: number, keep?: (picture: ImageBitmap, result: object) => void}} options
 *   target: share of melanomas to catch, 0.8 to 0.995; keep: may draw the decoded picture, which is
 *   closed after it
 * @returns {Promise<{
 *   probability: number, decision: "refer" | "no_referral" | null, threshold: number,
 *   classes: Record<string, number>, map: {values: Float32Array, width: number, height: number},
 *   distance: number | null, refused: boolean, findings: {code: string, severity: string}[],
 *   width: number, height: number, box: [number, number, number, number], milliseconds: number}>}
 *   decision: null where the image is refused, as no dermoscopy image; map: evidence of melanoma
 *   over `box` (left, top, right, bottom of the upright image); distance: 1 is typical of the
 *   images that the model learned from, null of a model that does not say
 * @throws {ScreenError} `code` and `values` say what is wrong
 */
export async function screen(blob, options = {}) {
  return judge(blob, await load(), options);
}

async function judge(blob, { config, run }, { target, keep = () => {} }) {
  const begun = performance.now();
  const bitmap = await decode(blob, config.limits);
  try {
    const { width, height } = bitmap;
    const { size, max_aspect_ratio } = config.preprocessing;
    const box = cropBox(width, height, max_aspect_ratio);
    const [wide, tall] = [box[2] - box[0], box[3] - box[1]];
    const { input, working } = prepare(rowReader(bitmap, box), wide, tall, size, config.findings.side);
    const { logits, map, distance } = await run(normalise(input, config.preprocessing));
    const shares = softmax(logits, config.temperature);
    const classes = Object.fromEntries(config.classes.map((name, i) => [name, shares[i]]));
    const image = { width, height, judged: (wide * tall) / (width * height), distance };
    const remarks = findings(image, measure(working, config.findings), config);
    const refused = remarks.some(({ severity }) => severity === "refusal");
    const judged = { probability: classes.mel, refused };
    const { decision, threshold } = decide(judged, config, target ?? config.targets.default);
    const milliseconds = performance.now() - begun;
    const result = {
      ...judged, decision, threshold, classes, map, distance, findings: remarks, width, height, box, milliseconds,
    };
    keep(bitmap, result);
    return result;
  } finally {
    bitmap.close();
  }
}

async function start(progress) {
  const [config, files] = await Promise.all(["config.json", "files.json"].map(fetchJson));
  const loaded = { config, files, run: await loadModel(config, files, progress) };
  // The first image is slow (buffers, compiling): let it be one that nobody waits for.
  await judge(await drawn(320, 240), loaded, {});
  return loaded;
}

async function fetchJson(name) {
  try {
    const response = await fetch(new URL(name, import.meta.url));
    if (!response.ok) throw new ScreenError("missing", { file: name, status: response.status });
    return await response.json();
  } catch (error) {
    throw error instanceof ScreenError ? error : new ScreenError("offline", { file: name }, error);
  }
}
