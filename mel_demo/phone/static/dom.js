/** The few things that every part of the page does with its elements. */

export const $ = (selector, within = document) => within.querySelector(selector);

/** Fill an element with text or elements; never with markup. */
export function fill(selector, ...content) {
  const element = typeof selector === "string" ? $(selector) : selector;
  element.replaceChildren(...content);
  return element;
}

/** A new element: `make("li", { class: "x" }, "text", child)`. */
export function make(name, attributes = {}, ...content) {
  return dress(document.createElement(name), attributes, content);
}

/** A new SVG element. */
export function draw(name, attributes = {}, ...content) {
  return dress(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, content);
}

/** One of the page's icons (the <symbol>s of index.html). */
export const icon = (name) => draw("svg", { class: "icon", "aria-hidden": "true" }, draw("use", { href: `#i-${name}` }));

function dress(element, attributes, content) {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...content);
  return element;
}
