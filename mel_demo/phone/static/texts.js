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

  /**
   * A share in whole percent, with one decimal below ten, as mel_demo's texts write it: "37 %",
   * "4.1 %"; never "0 %" for what is above 0, nor "100 %" for what is below 1.
   */
  percent(share) {
    if (share > 0 && share < 0.001) return this.words.under.replace("{value}", this.#percent(0.1, 1));
    if (share >= 0.995 && share < 1) return this.words.over.replace("{value}", this.#percent(99, 0));
    return this.#percent(100 * share, share > 0 && share < 0.0995 ? 1 : 0);
  }

  /** A share that a person set: "95 %", "99.5 %". */
  setting = (share) => this.#percent(100 * share, Number.isInteger(Math.round(1000 * share) / 10) ? 0 : 1);

  #percent(number, digits) {
    return `${this.#digits(number, digits)}\u00a0%`; // the sign stays with its number
  }

  #digits(number, digits) {
    const [point, thousands] = this.language === "en" ? ".," : ",.";
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
