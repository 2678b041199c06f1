/** The person's own screenings: a list that is empty until they ask for it. */
import { $, fill, make } from "./dom.js";
import { asCsv, asJson, history } from "./store.js";

const SWITCH = "mel-demo keep";

/** @param {() => import("./texts.js").Texts} texts @param {(error: Error) => void} complain */
export function kept(texts, complain) {
  const box = $("#keep");
  try {
    box.checked = localStorage.getItem(SWITCH) === "yes";
  } catch {
    box.disabled = true;
  }
  box.onchange = () => localStorage.setItem(SWITCH, box.checked ? "yes" : "no");
  $("#export-csv").onclick = async () => save(asCsv(await history.all()), "text/csv", "csv");
  $("#export-json").onclick = async () => save(asJson(await history.all()), "application/json", "json");
  $("#erase").onclick = async () => {
    if (!confirm(texts().t("erase_sure"))) return;
    await history.clear().catch(complain);
    await show();
  };

  /** Keep a result, where the person wants that. */
  async function add(entry) {
    if (!box.checked) return;
    try {
      await history.add(entry);
      await show();
    } catch (error) {
      complain(error);
    }
  }

  async function show() {
    const entries = await history.all().catch(() => []);
    for (const button of ["#export-csv", "#export-json", "#erase"]) $(button).disabled = entries.length === 0;
    fill("#kept", ...entries.map((entry) => line(entry, texts())));
    $("#kept-none").hidden = entries.length > 0;
  }

  return { add, show };
}

function line(entry, texts) {
  const picture = make("img", { alt: "", width: 56, height: 56 });
  const url = URL.createObjectURL(entry.picture);
  picture.onload = picture.onerror = () => URL.revokeObjectURL(url);
  picture.src = url;
  const time = new Date(entry.time).toLocaleString(texts.language, { dateStyle: "medium", timeStyle: "short" });
  const verdict = entry.decision ?? "refused";
  return make("li", { class: verdict }, picture,
    make("div", {}, make("b", {}, texts.t(verdict)), make("small", {}, `${time} · ${texts.percent(entry.probability)}`)));
}

function save(text, type, suffix) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: `mel-demo.${suffix}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
