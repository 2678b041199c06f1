/**
 * From a probability to a decision, and what such a decision was measured to cost. The counterpart
 * of mel_demo's operating_point and neighbours. Pure: numbers in, numbers out.
 */
const ROUNDING = 1e-9;
const CLOSE = 2; // times the odds of the threshold, either way
const Z = 1.959964; // 95 % intervals
const LEAST = 5e-6; // scores have five digits: what was rounded to 0 or 1 lies within half of the last

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
 * @returns {{decision: "refer" | "no_referral" | null, threshold: number, row: object, close: boolean}}
 *   close: whether the probability lies near the threshold, on either side
 */
export function decide({ probability, refused }, config, target) {
  const row = choose(config.table, target);
  if (refused) return { decision: null, threshold: row.threshold, row, close: false };
  const refer = probability >= row.threshold;
  const close = Math.abs(logOdds(probability) - logOdds(row.threshold)) <= Math.log(CLOSE);
  return { decision: refer ? "refer" : "no_referral", threshold: row.threshold, row, close };
}

/**
 * Of the `count` measured images that scored nearest to `probability` in log-odds, and all as far
 * away as the last of them, how many were positive. The counterpart of mel_demo's neighbours.
 * @param {{count: number, positive: number[], negative: number[]}} measured scores, 0 .. 1
 * @returns {{images: number, positives: number, low: number, high: number}} low, high: Wilson's
 *   95 % interval of the share (1927, doi 10.1080/01621459.1927.10502953)
 */
export function neighbours({ count, positive, negative }, probability) {
  const here = logOdds(probability);
  const away = (score) => Math.round(Math.abs(logOdds(score) - here) * 1e9);
  const [yes, no] = [positive.map(away), negative.map(away)];
  const all = [...yes, ...no].sort((a, b) => a - b);
  const reach = all[Math.min(count, all.length) - 1];
  const within = (distances) => distances.filter((distance) => distance <= reach).length;
  const positives = within(yes);
  const images = positives + within(no);
  return { images, positives, ...wilson(positives, images) };
}

/** Wilson's score interval of `part` of `whole`. */
export function wilson(part, whole) {
  const share = part / whole;
  const middle = (share + Z ** 2 / (2 * whole)) / (1 + Z ** 2 / whole);
  const half = (Z / (1 + Z ** 2 / whole)) * Math.sqrt((share * (1 - share)) / whole + Z ** 2 / (4 * whole ** 2));
  return { low: part ? middle - half : 0, high: part < whole ? middle + half : 1 };
}

function logOdds(probability) {
  const p = Math.min(1 - LEAST, Math.max(LEAST, probability));
  return Math.log(p / (1 - p));
}
