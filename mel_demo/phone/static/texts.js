/**
 * Every word and number as a person reads it, in one of the languages of locales.json: the
 * counterpart of mel_demo's texts. Texts hold no markup here.
 */
export const LANGUAGES = { en: "English", de: "Deutsch", es: "Español" };
const REMEMBERED = "mel-demo language";

export class Texts {
  constructor(locales, language) {
    this.language = language;
    this.words = locales[language];
  }

  /** The text of a key with its {places} filled; plain, whatever markup the server's page has. */
  t(key, values = {}) {
    const text = this.words[`phone_${key}`] ?? this.words[key] ?? key;
    return text.replace(/<[^>]+>/g, "").replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
  }

  has(key) {
    return `phone_${key}` in this.words;
  }

  /** A noun that stands alone elsewhere, as it is written inside a sentence. */
  inside(key) {
    const text = this.t(key);
    return this.language === "de" ? text : text[0].toLowerCase() + text.slice(1);
  }

  count = (number) => this.#digits(number, 0);
  decimal = (number, digits) => this.#digits(number, digits);

  /** A share in percent, more digits where it is small: "37 %", "4.1 %", "0.03 %". */
  percent(share) {
    if (share > 0 && share < 0.0001) return this.words.figure_under.replace("{}", this.#percent(0.01, 2));
    const shown = share === 1 ? 100 : Math.min(100 * share, 99.9); // 0.9996 must not read as certain
    return this.#percent(shown, shown < 1 ? 2 : shown < 10 || (shown > 99 && shown < 100) ? 1 : 0);
  }

  /** A share that a person set: "95 %", "99.5 %". */
  setting = (share) => this.#percent(100 * share, Number.isInteger(Math.round(1000 * share) / 10) ? 0 : 1);

  #percent(number, digits) {
    const written = this.words.figure_percent.replace("{}", this.#digits(number, digits));
    return written.replace(" ", "\u00a0"); // the sign stays with its number
  }

  #digits(number, digits) {
    const [point, thousands] = this.words.figure_separators;
    const [whole, rest] = number.toFixed(digits).split(".");
    return whole.replace(/\B(?=(\d{3})+$)/g, thousands) + (rest ? point + rest : "");
  }
}

/** The language to begin with: the one chosen before, or the first of the browser's that we speak. */
export function preferred() {
  const chosen = attempt(() => localStorage.getItem(REMEMBERED));
  const wanted = [chosen, ...navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase())];
  return wanted.find((tag) => tag in LANGUAGES) ?? "en";
}

export const remember = (language) => attempt(() => localStorage.setItem(REMEMBERED, language));

function attempt(work) {
  try {
    return work();
  } catch {
    return null; // a browser that keeps nothing
  }
}
