/**
 * Keeps a release on this device, so that the page opens in flight mode. A release is cached whole,
 * each file with its SHA-256, or not at all; a new one waits until the person takes it.
 */
const RELEASE = "development"; // filled in by `python -m mel_demo phone`
const NAMESPACE = `mel-demo ${new URL("./", self.location).pathname} `;
const CACHE = NAMESPACE + RELEASE;

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("message", (event) => {
  if (event.data === "take over") self.skipWaiting();
});
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(new URL("./", self.location).href)) {
    event.respondWith(answer(event.request));
  }
});

async function install() {
  const response = await fetch("files.json", { cache: "no-store" });
  const { release, files } = await response.clone().json();
  if (release !== RELEASE) throw new Error("the host is between two releases: try again later");
  const cache = await caches.open(CACHE);
  await Promise.all(Object.entries(files).map(([name, { sha256 }]) => keep(cache, name, sha256)));
  await cache.put("files.json", response);
}

/** A file that another release, or the page itself, has fetched already is not fetched again. */
async function keep(cache, name, sha256) {
  for (const found of [() => caches.match(name), () => fetch(name), () => fetch(name, { cache: "reload" })]) {
    const response = await found();
    if (!response?.ok) continue;
    const bytes = await response.clone().arrayBuffer();
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (hex === sha256) return cache.put(name, response);
  }
  throw new Error(`${name} is not the file of this release`);
}

async function activate() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(NAMESPACE) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  const page = request.mode === "navigate" ? "index.html" : request;
  return (await cache.match(page, { ignoreSearch: true })) ?? fetch(request);
}
