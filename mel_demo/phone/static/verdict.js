/** The result as a person sees it: verdict first, the picture, what the verdict costs, then details. */
import { decide, neighbours } from "./decide.js";
import { $, fill, icon, make } from "./dom.js";
import { drawEvidence, evidenceStrength } from "./overlay.js";
import { scorePlot } from "./score.js";

const CANCERS = ["bcc", "akiec"]; // beside melanoma, among the seven
const SHOWN = 900; // pixels of the longer side of the picture

/** The diagnosis with the largest share. */
export const leading = (classes) => Object.keys(classes).reduce((a, b) => (classes[b] > classes[a] ? b : a));

/** Draw the picture (what was not judged darker) and the evidence over it, once for each picture. */
export function showPicture(bitmap, result) {
  const { width, height, box } = result;
  const scale = Math.min(1, SHOWN / Math.max(width, height));
  const canvas = Object.assign($("#image"), { width: Math.round(width * scale), height: Math.round(height * scale) });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const [left, top, right, bottom] = box.map((value) => Math.round(value * scale));
  context.fillStyle = "rgb(0 0 0 / 45%)";
  const outside = new Path2D();
  outside.rect(0, 0, canvas.width, canvas.height);
  outside.rect(left, top, right - left, bottom - top);
  context.fill(outside, "evenodd");
  const over = Object.assign($("#evidence"), { width: canvas.width, height: canvas.height });
  const strength = result.refused ? 0 : evidenceStrength(result.probability);
  over.getContext("2d").drawImage(drawEvidence(result.map, strength, right - left, bottom - top), left, top);
  $("#picture").style.setProperty("--ratio", width / height);
}

/** A small JPEG for the list of kept screenings. */
export function thumbnail() {
  const image = $("#image");
  const side = Math.min(image.width, image.height);
  const canvas = Object.assign(document.createElement("canvas"), { width: 160, height: 160 });
  canvas.getContext("2d").drawImage(
    image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, 160, 160);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.8));
}

/** Everything that follows the slider. */
export function showVerdict(result, config, target, texts) {
  const { decision, threshold, row, close } = decide(result, config, target);
  const first = leading(result.classes);
  const words = {
    probability: texts.percent(result.probability),
    threshold: texts.percent(threshold),
    diagnosis: texts.inside(`dx_${first}`),
  };
  const other = decision === "no_referral" && CANCERS.includes(first);
  const key = decision === null ? "refused" : other ? "other" : decision;
  const hero = $("#verdict");
  hero.dataset.kind = key;
  fill($(".mark", hero), icon(key));
  fill($("h2", hero), texts.t(key, words));
  fill($("p", hero), texts.t(`${key}_more`, words));
  const remark = $("#close-call");
  remark.hidden = !close;
  if (close) fill(remark, texts.t("close"));

  const refused = decision === null;
  for (const part of ["#numbers", "#setting", "#evidence-switch", "#more"]) $(part).hidden = refused;
  if (!refused) showNumbers(result, config, threshold, words, first, texts);
  showPrice(row, config, texts);
}

/** Slider value and its price, which are there before any picture. */
export function showPrice(row, config, texts) {
  const { holdout } = config.table;
  fill("#price", texts.t("price", {
    caught: texts.count(row.tp), melanomas: texts.count(holdout.melanomas),
    alarms: texts.count(row.fp), others: texts.count(holdout.others),
  }));
  const range = ([low, high]) => texts.t("range", { low: texts.percent(low), high: texts.percent(high) });
  fill("#price-note", texts.t("price_note", { sensitivity: range(row.sensitivity), specificity: range(row.specificity) }));
}

function showNumbers(result, config, threshold, words, first, texts) {
  const share = texts.percent(result.classes[first]);
  fill("#probability", words.probability);
  fill("#leading", `${texts.t(`dx_${first}`)}, ${share}`);
  $("#alike").hidden = !config.neighbours;
  if (config.neighbours) {
    const { images, positives, low, high } = neighbours(config.neighbours, result.probability);
    fill("#alike", texts.t("alike", {
      images: texts.count(images), melanomas: texts.count(positives), low: texts.percent(low), high: texts.percent(high),
    }));
  }
  const plot = $("#score");
  plot.hidden = !config.distribution;
  if (!config.distribution) return;
  fill("#score-title", texts.t("score", { images: texts.count(config.table.holdout.images) }));
  fill("#score-plot", scorePlot(config.distribution, result.probability, threshold, (tick) => texts.setting(tick)));
  fill("#score-limit", texts.t("score_threshold", words));
}

/** What stays as it is when the slider moves: findings, all diagnoses, distance, time. */
export function showDetails(result, config, texts) {
  const remarks = result.refused ? [] : result.findings;
  $("#findings").hidden = remarks.length === 0;
  fill("#findings ul", ...remarks.map(({ code, values }) => {
    const written = Object.entries(values).map(([name, value]) => [name, typeof value === "number" ? texts.percent(value) : value]);
    return make("li", {}, texts.t(`finding_${code}`, Object.fromEntries(written)));
  }));
  const sorted = Object.entries(result.classes).sort(([, a], [, b]) => b - a);
  fill("#classes", ...sorted.map(([name, share]) => {
    const bar = make("i", { "aria-hidden": "true" });
    bar.style.width = `${100 * share}%`;
    return make("li", { class: name }, make("span", {}, texts.t(`dx_${name}`)), make("b", {}, texts.percent(share)), bar);
  }));
  const lines = [texts.t("judged_in", { milliseconds: texts.count(result.milliseconds) })];
  if (result.distance !== null) {
    const [distance, limit] = [result.distance, config.ood.threshold].map((value) => texts.decimal(value, 2));
    lines.unshift(texts.t("distance", { distance, threshold: limit }));
  }
  fill("#provenance", lines.join(" "));
}
