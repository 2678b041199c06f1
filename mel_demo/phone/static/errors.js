/**
 * What goes wrong on a phone, each with a code that names a text ("phone_error_<code>") and the
 * values of its places. Knows no words.
 */
export class ScreenError extends Error {
  /** @param {string} code @param {Record<string, string | number>} values */
  constructor(code, values = {}, cause = undefined) {
    super(`${code} ${JSON.stringify(values)}`, { cause });
    this.name = "ScreenError";
    this.code = code;
    this.values = values;
  }
}
