/**
 * Where this picture's probability lies among those of the test images: melanomas above the line,
 * others below it, on a log-odds axis with the threshold. Draws SVG; knows no words.
 */
import { draw } from "./dom.js";

const [WIDTH, HALF, AXIS] = [640, 62, 30];
const TICKS = [0.001, 0.01, 0.1, 0.5, 0.9, 0.99];
const [LOW, HIGH] = [-8, 6]; // log-odds that the axis spans: 0.03 % to 99.8 %

/**
 * @param {{edges: number[], melanoma: number[], other: number[]}} distribution of the manifest
 * @param {number} probability @param {number} threshold
 * @param {(share: number) => string} percent writes a tick
 * @returns {SVGSVGElement} decoration: what it shows must be said beside it
 */
export function scorePlot(distribution, probability, threshold, percent) {
  const { edges, melanoma, other } = distribution;
  const bars = [];
  const side = (counts, kind, up) => {
    const total = counts.reduce((sum, count) => sum + count, 0);
    const heights = counts.map((count, i) => count / total / (position(edges[i + 1]) - position(edges[i]) || 1));
    const most = Math.max(...heights);
    heights.forEach((height, i) => {
      const [left, right] = [position(edges[i]), position(edges[i + 1])];
      const tall = (height / most) * (HALF - 6);
      if (!tall || right - left < 0.5) return;
      bars.push(draw("rect", {
        class: kind, x: left + 0.75, width: Math.max(0.5, right - left - 1.5), rx: 2, height: tall, y: up ? HALF - tall : HALF + 1,
      }));
    });
  };
  side(melanoma, "melanoma", true);
  side(other, "others", false);
  const bottom = 2 * HALF;
  const ticks = TICKS.map((tick) => draw("text", { x: position(tick), y: bottom + 20, "text-anchor": "middle" }, percent(tick)));
  const [here, limit] = [position(probability), position(threshold)];
  return draw("svg", { viewBox: `0 0 ${WIDTH} ${bottom + AXIS}`, class: "score", "aria-hidden": "true" },
    draw("rect", { class: "referred", x: limit, y: 0, width: WIDTH - limit, height: bottom }),
    ...bars,
    draw("line", { class: "axis", x1: 0, x2: WIDTH, y1: HALF + 0.5, y2: HALF + 0.5 }),
    draw("line", { class: "limit", x1: limit, x2: limit, y1: 0, y2: bottom }),
    draw("line", { class: "here", x1: here, x2: here, y1: 6, y2: bottom }),
    draw("circle", { class: "here", cx: here, cy: HALF + 0.5, r: 9 }),
    ...ticks);
}

function position(probability) {
  const p = Math.min(1 - 1e-9, Math.max(1e-9, probability));
  const place = (Math.log(p / (1 - p)) - LOW) / (HIGH - LOW);
  return Math.min(1, Math.max(0, place)) * WIDTH;
}
