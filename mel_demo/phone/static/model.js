/**
 * The student in ONNX Runtime Web: a tensor becomes logits, evidence map and distance. The only
 * module that knows the runtime.
 */
import { ScreenError } from "./errors.js";
import { fetchVerified } from "./store.js";

const RUNTIME = "runtime/ort-wasm-simd-threaded";
const MOST_THREADS = 4; // a network of this size gains nothing from more

/**
 * Fetch, verify and start the model.
 * @param {object} config config.json
 * @param {{release: string, files: object}} files files.json
 * @param {(share: number) => void} progress share of the bytes that have arrived, 0..1
 * @returns {Promise<(tensor: Float32Array) => Promise<{logits, map, distance}>>} run one image
 * @throws {ScreenError} those of fetchVerified; no_wasm, no_model
 */
export async function loadModel(config, files, progress = () => {}) {
  if (typeof WebAssembly === "undefined") throw new ScreenError("no_wasm");
  const names = [`${RUNTIME}.wasm`, config.model.file];
  const all = names.reduce((sum, name) => sum + files.files[name].bytes, 0);
  let arrived = 0;
  const count = (bytes) => progress(Math.min(1, (arrived += bytes) / all));
  const [wasm, model] = await Promise.all(names.map((name) => fetchVerified(name, files, count)));
  const session = await start(wasm, model);
  const { size } = config.preprocessing;
  const outputs = ["logits", "cam", ...(config.ood ? ["distance"] : [])];
  let ready = Promise.resolve();
  const run = (tensor) => {
    // One after the other: a session takes one run at a time.
    const result = ready.then(() => infer(session, tensor, size, outputs, config));
    ready = result.catch(() => {});
    return result;
  };
  return run;
}

async function start(wasmBinary, model) {
  try {
    const ort = await import("./runtime/ort.wasm.min.mjs");
    ort.env.logLevel = "error";
    Object.assign(ort.env.wasm, {
      numThreads: globalThis.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency ?? 1) : 1,
      wasmBinary,
      wasmPaths: { mjs: new URL(`${RUNTIME}.mjs`, import.meta.url).href },
    });
    const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    return { ort, session };
  } catch (error) {
    const blocked = /WebAssembly|wasm|unsafe-eval|no available backend/i.test(String(error));
    throw new ScreenError(/memory/i.test(String(error)) ? "memory" : blocked ? "no_wasm" : "no_model", {}, error);
  }
}

async function infer({ ort, session }, tensor, size, outputs, config) {
  const image = new ort.Tensor("float32", tensor, [1, 3, size, size]);
  let found;
  try {
    found = await session.run({ image }, outputs);
  } catch (error) {
    throw new ScreenError("memory", {}, error);
  }
  const [, classes, height, width] = found.cam.dims;
  const logits = found.logits.data;
  if (classes !== config.classes.length || logits.length !== classes || !logits.every(Number.isFinite)) {
    throw new ScreenError("no_model");
  }
  const area = height * width;
  const melanoma = config.classes.indexOf("mel") * area;
  return {
    logits,
    map: { width, height, values: found.cam.data.slice(melanoma, melanoma + area) },
    distance: found.distance ? found.distance.data[0] : null,
  };
}
