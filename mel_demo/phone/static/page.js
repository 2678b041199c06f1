/** The page: what a person does, in which order, and what stands on the screen meanwhile. */
import { takePicture } from "./camera.js";
import { choose } from "./decide.js";
import { $, fill, icon, make } from "./dom.js";
import { kept } from "./kept.js";
import { goOffline, offerInstall } from "./offline.js";
import { load, screen, ScreenError } from "./screen.js";
import { LANGUAGES, preferred, remember, Texts } from "./texts.js";
import { leading, showDetails, showPicture, showPrice, showVerdict, thumbnail } from "./verdict.js";

const ARCHITECTURES = { mobilenetv3_small_100: "MobileNetV3-Small" };
const state = { texts: null, config: null, files: null, result: null, problem: null, status: null, latest: 0 };
const t = (key, values) => state.texts.t(key, values);
const history = kept(() => state.texts, complain);

async function start() {
  const locales = await fetch("locales.json").then((response) => response.json());
  const languages = $("#language");
  fill(languages, ...Object.entries(LANGUAGES).map(([value, name]) => make("option", { value }, name)));
  const speak = (language) => {
    state.texts = new Texts(locales, language);
    languages.value = language;
    translate();
  };
  speak(preferred());
  languages.onchange = () => {
    remember(languages.value);
    speak(languages.value);
  };
  listen();
  offerInstall($("#install"));
  window.melDemo = { load: prepared, screen };
  await prepared().catch(() => {});
}

/** The model, loaded; failures stand on the page. */
async function prepared() {
  say("loading", { percent: 0 });
  try {
    const loaded = await load((share) => {
      if (share < 1) say("loading", { percent: share });
      else say("starting");
    });
    if (!state.config) {
      Object.assign(state, loaded);
      $("#target").value = 100 * state.config.targets.default;
      translate();
    }
    say("ready");
    goOffline({ ready: () => say("offline"), update: offerUpdate });
    return loaded;
  } catch (error) {
    say(null);
    complain(error, "problem_model");
    throw error;
  }
}

function listen() {
  const take = (files) => files?.length && judge(files[0]);
  $("#file").onchange = (event) => {
    take(event.target.files);
    event.target.value = ""; // so that the same file can be chosen again
  };
  $("#choose").onclick = () => $("#file").click();
  $("#take").hidden = !navigator.mediaDevices?.getUserMedia;
  $("#take").onclick = async () => {
    try {
      const { config } = await prepared();
      const picture = await takePicture(config.findings, t);
      if (picture) await judge(picture);
    } catch (error) {
      if (error.code === "camera") complain(error);
    }
  };
  for (const button of document.querySelectorAll("[data-drawing]")) {
    button.onclick = async () => judge(await (await fetch(`examples/${button.dataset.drawing}.jpg`)).blob());
  }
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer?.files);
  });
  addEventListener("paste", (event) => take(event.clipboardData?.files));
  $("#target").oninput = () => state.config && showSetting();
  $("#show-evidence").onchange = (event) => ($("#evidence").hidden = !event.target.checked);
  $("#retry").onclick = () => location.reload();
}

/** Judge a file; of several in a row, the last one is shown. */
async function judge(blob) {
  const turn = ++state.latest;
  Object.assign(state, { result: null, problem: null });
  show("judging");
  try {
    await prepared();
    await screen(blob, {
      target: target(),
      keep(bitmap, result) {
        if (turn !== state.latest) return;
        state.result = result;
        showPicture(bitmap, result);
      },
    });
    if (turn !== state.latest) return;
    translate();
    show("result");
    $("#verdict h2").focus({ preventScroll: true });
    await keepIt();
  } catch (error) {
    if (turn === state.latest && !state.problem) complain(error);
  }
}

/** Show what went wrong where the verdict would stand. */
function complain(error, title = "problem") {
  const known = error instanceof ScreenError && state.texts?.has(`error_${error.code}`);
  state.problem = known
    ? { title, key: `error_${error.code}`, values: error.values }
    : { title, key: "error_unknown", values: { error: String(error?.message ?? error) } };
  if (!known) console.error(error);
  show("problem");
}

async function keepIt() {
  const { result, config, files } = state;
  history.add({
    time: new Date().toISOString(),
    model: config.model.key,
    release: files.release,
    probability: result.probability,
    threshold: result.threshold,
    target: target(),
    decision: result.decision,
    leading: leading(result.classes),
    distance: result.distance,
    findings: result.findings.map(({ code }) => code),
    classes: result.classes,
    picture: await thumbnail(),
  });
}

const target = () => Number($("#target").value) / 100;

/** One of: empty, judging, result, problem. Each has its own parts, and no words of another. */
function show(kind) {
  document.body.dataset.state = kind;
  if (kind === "problem") {
    const hero = $("#verdict");
    hero.dataset.kind = "problem";
    fill($(".mark", hero), icon("problem"));
    fill($("h2", hero), t(state.problem.title));
    fill($("p", hero), t(state.problem.key, state.problem.values));
    $("#close-call").hidden = true;
  }
  if (kind === "judging") {
    const hero = $("#verdict");
    hero.dataset.kind = "judging";
    fill($(".mark", hero), make("span", { class: "spinner" }));
    fill($("h2", hero), t("judging"));
    fill($("p", hero), state.config ? "" : t("waiting"));
    $("#close-call").hidden = true;
  }
  $("#retry").hidden = kind !== "problem" || state.config !== null;
  scrollTo({ top: 0 });
}

/** The line under the buttons: how far the model is. */
function say(key, values = {}) {
  state.status = { key, values };
  const bar = $("#progress");
  bar.hidden = key !== "loading";
  if (key === "loading") bar.value = values.percent;
  const words = key === "loading" ? { percent: state.texts.setting(Math.round(100 * values.percent) / 100) } : {};
  fill("#status", key ? t(key, words) : "");
  $("#status").dataset.status = key ?? "";
}

/** All words anew: after a change of language, and when what they speak of has arrived. */
function translate() {
  document.documentElement.lang = state.texts.language;
  document.title = t("title");
  for (const element of document.querySelectorAll("[data-t]")) fill(element, t(element.dataset.t));
  for (const element of document.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel));
  }
  if (state.status) say(state.status.key, state.status.values);
  history.show();
  if (state.config) {
    showAbout();
    showSetting();
    if (state.result) showDetails(state.result, state.config, state.texts);
  }
  if (state.problem) show("problem");
}

/** What follows the slider; no model runs. */
function showSetting() {
  const { config, result, texts } = state;
  fill("#target-value", texts.setting(target()));
  $("#target").setAttribute("aria-valuetext", texts.setting(target()));
  if (result) showVerdict(result, config, target(), texts);
  else showPrice(choose(config.table, target()), config, texts);
}

function showAbout() {
  const { config, files, texts } = state;
  const { architecture, bytes } = config.model;
  const model = t("about_model", {
    architecture: ARCHITECTURES[architecture] ?? architecture,
    megabytes: texts.decimal(bytes / 1e6, 1),
    data: `${config.data.name} (${config.data.licence})`,
    created: config.created,
    release: files.release,
  });
  const lines = [model, t("about_limits"), ...(config.ood ? [] : [t("about_blind")]), t("about_privacy")];
  fill("#about-lines", ...lines.map((line) => make("p", {}, line)));
}

function offerUpdate(takeOver) {
  $("#update").hidden = false;
  $("#update-now").onclick = takeOver;
}

addEventListener("unhandledrejection", ({ reason }) => state.texts && complain(reason));
start().catch((error) => {
  // Without words there is still no white page: index.html brings the English of this.
  console.error(error);
  document.body.dataset.state = "stranded";
});
