/**
 * What stays on this device: the release's files (verified, for flight mode) and, only where the
 * person asks for it, past screenings. Everything is of this origin; nothing is ever sent.
 */
import { ScreenError } from "./errors.js";

const DATABASE = "mel-demo";
const TABLE = "screenings";
const COLUMNS = [
  "time", "model", "release", "probability", "threshold", "target", "decision", "leading", "distance", "findings",
];

/** Hexadecimal SHA-256. */
export async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) throw new ScreenError("insecure");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * A file of the release, whose SHA-256 is the one that the release says.
 *
 * Kept in the cache that the service worker fills as well, so that it travels once.
 * @param {(bytes: number) => void} arrived called with the bytes of each piece
 * @throws {ScreenError} offline, missing, wrong_hash, insecure
 */
export async function fetchVerified(name, files, arrived = () => {}) {
  const expected = files.files[name];
  const url = new URL(name, import.meta.url).href;
  const cache = await globalThis.caches?.open(cacheName(files.release)).catch(() => undefined);
  for (const response of [() => cache?.match(url), () => fetch(url), () => fetch(url, { cache: "reload" })]) {
    const found = await attempt(response, name);
    if (!found) continue;
    const bytes = await read(found, name, arrived);
    if ((await sha256(bytes)) === expected.sha256) {
      const headers = { "Content-Type": found.headers.get("Content-Type") ?? "application/octet-stream" };
      await cache?.put(url, new Response(bytes, { headers })).catch(() => {}); // full: works without
      return bytes;
    }
    await cache?.delete(url);
    arrived(-bytes.byteLength);
  }
  throw new ScreenError("wrong_hash", { file: name });
}

/** The name of a release's cache; sw.js says the same. */
export const cacheName = (release) => `mel-demo ${new URL("./", import.meta.url).pathname} ${release}`;

async function attempt(response, name) {
  let found;
  try {
    found = await response();
  } catch (error) {
    throw new ScreenError("offline", { file: name }, error);
  }
  if (found && !found.ok) throw new ScreenError("missing", { file: name, status: found.status });
  return found;
}

async function read(response, name, arrived) {
  const pieces = [];
  try {
    const reader = response.body.getReader();
    for (let piece; !(piece = await reader.read()).done; ) {
      pieces.push(piece.value);
      arrived(piece.value.byteLength);
    }
  } catch (error) {
    throw new ScreenError("offline", { file: name }, error);
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

/** Screenings that the person keeps, the newest first. */
export const history = {
  /** @throws {ScreenError} storage_full, storage */
  add: (entry) => transact("readwrite", (table) => table.add(entry)),
  all: async () => (await transact("readonly", (table) => table.getAll())).reverse(),
  clear: () => transact("readwrite", (table) => table.clear()),
};

/** Kept screenings as a table; no cell is text of a person or a file. */
export function asCsv(entries) {
  const cell = (value) => (Array.isArray(value) ? value.join(" ") : String(value ?? ""));
  return [COLUMNS, ...entries.map((entry) => COLUMNS.map((name) => entry[name]))]
    .map((row) => row.map(cell).join(","))
    .join("\n") + "\n";
}

/** Kept screenings with all classes, without their pictures. */
export function asJson(entries) {
  return JSON.stringify(entries.map(({ picture, ...rest }) => rest), null, 1);
}

async function transact(mode, work) {
  try {
    const database = await settled(open());
    try {
      return await settled(work(database.transaction(TABLE, mode).objectStore(TABLE)));
    } finally {
      database.close();
    }
  } catch (error) {
    throw new ScreenError(error?.name === "QuotaExceededError" ? "storage_full" : "storage", {}, error);
  }
}

function open() {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(TABLE, { autoIncrement: true });
  return request;
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
