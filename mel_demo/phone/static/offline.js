/** Installing, flight mode, and taking over a new release: the page's side of sw.js. */

/**
 * @param {{ready: () => void, update: (take: () => void) => void}} tell ready: the release is kept
 *   on this device; update: a new one waits, and `take` starts it
 */
export async function goOffline(tell) {
  if (!("serviceWorker" in navigator)) return;
  let registration;
  try {
    registration = await navigator.serviceWorker.register("sw.js", { updateViaCache: "none" });
  } catch {
    return; // a private window, or storage is full: the page works while it is online
  }
  const hadOne = Boolean(navigator.serviceWorker.controller);
  let reloading = false;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (hadOne && !reloading) location.reload();
    reloading = true;
  });
  const offer = (worker) => tell.update(() => worker.postMessage("take over"));
  if (registration.waiting && hadOne) offer(registration.waiting);
  registration.addEventListener("updatefound", () => {
    const worker = registration.installing;
    worker.addEventListener("statechange", () => {
      if (worker.state === "installed" && hadOne) offer(worker);
    });
  });
  await navigator.serviceWorker.ready;
  tell.ready();
}

/** Show a button while the browser offers to install the page. */
export function offerInstall(button) {
  addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    button.hidden = false;
    button.onclick = () => event.prompt();
  });
  addEventListener("appinstalled", () => (button.hidden = true));
}
