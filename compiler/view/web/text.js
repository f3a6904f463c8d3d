/* Numbers, shapes and elements as a reader sees them. */

const REDUCED = matchMedia("(prefers-reduced-motion: reduce)");

/** The element of the page with an id. */
const the = (id) => document.getElementById(id);

/** A new element with texts and elements in it; whatever a text holds, it stays a text. */
function make(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...content);
  return element;
}

/** The same for a drawing. */
function draw(tag, attributes = {}, ...content) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...content);
  return element;
}

/** `1.2 MB`, in powers of 1000. */
function bytes(size) {
  if (size < 1000) return `${size} B`;
  const power = Math.min(4, Math.floor(Math.log10(size) / 3));
  return `${(size / 1000 ** power).toFixed(1)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

/** `3.5 M` of things that are counted. */
function count(number) {
  if (number < 10000) return number.toLocaleString("en");
  const power = Math.min(4, Math.floor(Math.log10(number) / 3));
  return `${(number / 1000 ** power).toFixed(1)} ${["", "k", "M", "G", "T"][power]}`;
}

/** The sum of what nodes have, as far as it is known. */
function total(nodes, field) {
  return nodes.reduce((sum, node) => sum + (node[field] ?? 0), 0);
}

/** Up to four digits, as short as they can be. */
function short(number) {
  if (number === null || number === undefined) return "–";
  if (Number.isInteger(number) && Math.abs(number) < 1e6) return number.toLocaleString("en");
  const size = Math.abs(number);
  return size >= 1e5 || size < 1e-4 ? number.toExponential(3) : String(+number.toPrecision(4));
}

function percent(share) {
  if (share > 0 && share < 0.0005) return "<0.1%";
  return `${(share * 100).toFixed(1)}%`;
}

/** A cost with its unit, which is a profile's: seconds, or events that were counted. */
function amount(value, unit) {
  if (unit !== "time_s") return `${Math.round(value).toLocaleString("en")} ${unit}`;
  return value >= 1 ? `${value.toFixed(3)} s` : `${(value * 1e3).toFixed(3)} ms`;
}

function plural(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** `1×224×224×3`; of one dimension `[10]`, of an unknown rank `?`, of a scalar `scalar`. */
function shapeText(shape) {
  if (shape === null) return "?";
  if (shape.length === 1) return `[${shape[0]}]`;
  return shape.length ? shape.join("×") : "scalar";
}

/** A text that is cut in its middle, where names differ least. */
function middle(text, length) {
  if (text.length <= length) return text;
  const end = Math.floor((length - 1) * 0.4);
  return `${text.slice(0, length - 1 - end)}…${text.slice(-end)}`;
}

/** Tell those who hear the page. */
function say(text) {
  the("said").textContent = text;
}
