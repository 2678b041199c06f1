/**
 * From a probability to a decision, and what such a decision was measured to cost. The counterpart
 * of mel_demo's operating_point. Pure: numbers in, numbers out.
 */
const ROUNDING = 1e-9;
const CLOSE = 0.02; // target sensitivity, either way
const Z = 1.959964; // 95 % intervals

/** softmax(logits / temperature), in float64. */
export function softmax(logits, temperature) {
  const scaled = Array.from(logits, (value) => value / temperature);
  const most = Math.max(...scaled);
  const powers = scaled.map((value) => Math.exp(value - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/**
 * The largest threshold that caught at least this share of the validation melanomas.
 * @param {{validation: {melanomas: number}, rows: object[]}} table config.table
 * @param {number} target 0.8 .. 0.995
 * @returns {object} a row: threshold, caught (validation), tp, fp (holdout), and their intervals
 */
export function choose(table, target) {
  const { melanomas } = table.validation;
  const wanted = Math.ceil(target * melanomas - ROUNDING * melanomas);
  return table.rows.find((row) => row.caught >= wanted);
}

/**
 * Refer exactly when the probability reaches the threshold; an image that is refused gets nothing.
 * @returns {{decision: "refer" | "no_referral" | null, threshold: number, row: object, close: number | null}}
 *   close: a target sensitivity near by at which it would be decided the other way
 */
export function decide({ probability, refused }, config, target) {
  const row = choose(config.table, target);
  if (refused) return { decision: null, threshold: row.threshold, row, close: null };
  const refer = probability >= row.threshold;
  const { min, max } = config.targets;
  const other = Math.min(max, Math.max(min, target + (refer ? -CLOSE : CLOSE)));
  const tips = probability >= choose(config.table, other).threshold !== refer;
  return { decision: refer ? "refer" : "no_referral", threshold: row.threshold, row, close: tips ? other : null };
}

/**
 * What holdout images that scored like this one turned out to be.
 *
 * Thresholds cut the holdout scores into bins; bins are added on the side that is nearer in
 * log-odds until at least `images` are together.
 * @returns {{images: number, melanomas: number, low: number, high: number}} low, high: Wilson's 95 %
 *   interval of the share (1927, doi 10.2307/2276774)
 */
export function alike(table, probability, images) {
  const bins = binsOf(table);
  let first = bins.findIndex((bin) => probability >= bin.low);
  let last = first;
  const found = { images: bins[first].images, melanomas: bins[first].melanomas };
  const here = logOdds(probability);
  while (found.images < images && (first > 0 || last < bins.length - 1)) {
    const up = first > 0 ? logOdds(bins[first].high) - here : Infinity;
    const down = last < bins.length - 1 ? here - logOdds(bins[last].low) : Infinity;
    const bin = up <= down ? bins[--first] : bins[++last];
    found.images += bin.images;
    found.melanomas += bin.melanomas;
  }
  return { ...found, ...wilson(found.melanomas, found.images) };
}

/** Wilson's score interval of `part` of `whole`. */
export function wilson(part, whole) {
  const share = part / whole;
  const middle = (share + Z ** 2 / (2 * whole)) / (1 + Z ** 2 / whole);
  const half = (Z / (1 + Z ** 2 / whole)) * Math.sqrt((share * (1 - share)) / whole + Z ** 2 / (4 * whole ** 2));
  return { low: part ? middle - half : 0, high: part < whole ? middle + half : 1 };
}

function binsOf({ rows, holdout }) {
  const ends = [...rows, { threshold: 0, tp: holdout.melanomas, fp: holdout.others }];
  return ends.map((row, i) => {
    const above = ends[i - 1] ?? { threshold: 1, tp: 0, fp: 0 };
    const melanomas = row.tp - above.tp;
    return { low: row.threshold, high: above.threshold, melanomas, images: melanomas + row.fp - above.fp };
  });
}

function logOdds(probability) {
  const p = Math.min(1 - 1e-9, Math.max(1e-9, probability));
  return Math.log(p / (1 - p));
}
