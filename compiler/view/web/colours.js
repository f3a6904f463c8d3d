/* What is drawn in which colour. The colours themselves are in view.css, for the light and the dark;
   no colour is the only thing that tells something. */

/* The first that fits an op's name is its family. */
const FAMILIES = [
  ["edge", "Input, output", /^(input|output|data|placeholder)$/i],
  ["depthwise", "Depthwise convolution", /depth_?wise/i],
  ["conv", "Convolution", /conv/i],
  ["dense", "Matrix product", /matmul|fullyconnected|dense|gemm|einsum|lstm|gru|rnn|attention/i],
  ["norm", "Normalisation", /norm|moments|lrn/i],
  ["pool", "Pooling", /pool/i],
  ["reduce", "Softmax, reduction", /softmax|reduce|^(mean|sum|max|min|prod)$|arg_?m|topk|top_k|cumul|cumsum/i],
  ["activation", "Activation", /relu|elu|sigmoid|tanh|swish|gelu|softplus|softsign|neuron|clip|logistic|erf/i],
  ["join", "Join, split, take", /concat|split|pack|stack|slice|gather|tile|pad|crop|where|select|onehot|one_hot|scatter/i],
  ["shape", "Shape, layout", /reshape|transpose|permute|squeeze|expand|flatten|broadcast|identity|space|resize|cast|reverse|roll|shape|layout/i],
  ["quantise", "Quantisation", /quant|convert/i],
  ["wise", "Elementwise", /elementwise|eltwise|add|sub|mul|div|exp|log|sqrt|pow|abs|neg|square|equal|less|greater|logical|not|floor|round|sin|cos|sign|minimum|maximum/i],
  ["other", "Other", /./],
];
const PLACES = ["cpu", "gpu", "dsp", "copy"];
const MODES = [["op", "by op"], ["place", "by placement"], ["cost", "by cost"]];

const COLOURS = { mode: "op" };
const familyKnown = new Map();

function familyOf(op) {
  if (!familyKnown.has(op)) {
    familyKnown.set(op, FAMILIES.find(([, , fits]) => fits.test(op)) ?? FAMILIES[FAMILIES.length - 1]);
  }
  return familyKnown.get(op)[0];
}

const FAMILY_TEXT = Object.fromEntries(FAMILIES.map(([key, text]) => [key, text]));

/** Where something runs, as one of the kinds that have a colour. */
function placeOf(node) {
  const text = node.placement.toLowerCase();
  if (!text) return "unknown";
  if (/hexagon|dsp|npu|htp/.test(text)) return "dsp";
  if (/opencl|adreno|gpu/.test(text)) return "gpu";
  if (/cpu|arm|host|x86|kryo|cortex/.test(text)) return "cpu";
  return PLACES.includes(text) ? text : "elsewhere";
}

/** Read the colours anew: the theme has changed. */
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(name).trim();
  for (const [key] of FAMILIES) COLOURS[key] = value(`--op-${key}`);
  for (const key of [...PLACES, "elsewhere", "unknown"]) COLOURS[`at-${key}`] = value(`--at-${key}`);
  for (const key of ["page", "card", "text", "soft", "line", "edge", "box", "accent", "hot"]) {
    COLOURS[key] = value(`--${key}`);
  }
}

const mixes = new Map();

/** Two colours of the form #rrggbb mixed, the part in hundredths. */
function mixed(one, other, part) {
  const key = `${one}${other}${Math.round(part * 100)}`;
  if (!mixes.has(key)) mixes.set(key, mix(one, other, Math.round(part * 100) / 100));
  return mixes.get(key);
}

function mix(one, other, part) {
  const at = (text, n) => parseInt(text.slice(1 + 2 * n, 3 + 2 * n), 16);
  const parts = [0, 1, 2].map((n) => Math.round(at(one, n) * (1 - part) + at(other, n) * part));
  return `#${parts.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/** The share of an item's cost. */
function shareOf(item) {
  return (item.kind === "scope" ? item.share : item.cost?.share) ?? 0;
}

/** How much of the hottest card's cost an item's is, 0 to 1, small ones spread out. */
function heat(item) {
  return Math.sqrt(Math.min(1, shareOf(item) / (COLOURS.hottest || 1)));
}

/** The colour of a node in the mode chosen. */
function colourOf(node) {
  if (COLOURS.mode === "place") return COLOURS[`at-${placeOf(node)}`];
  if (COLOURS.mode === "cost") return mixed(COLOURS.line, COLOURS.hot, heat(node));
  return COLOURS[familyOf(node.op)];
}

/** What a card is filled with: little of its colour, so that text on it can be read. */
function fillOf(item) {
  if (COLOURS.mode === "cost") return mixed(COLOURS.card, COLOURS.hot, 0.45 * heat(item));
  return item.kind === "scope" ? COLOURS.card : mixed(COLOURS.card, colourOf(item), 0.12);
}

/** [{colour, text, number}] of what is in some nodes, the most frequent first. */
function partsOf(nodes) {
  const parts = new Map();
  for (const node of nodes) {
    const key = COLOURS.mode === "place" ? placeOf(node) : familyOf(node.op);
    if (!parts.has(key)) {
      const text = COLOURS.mode === "place" ? placeText(key) : FAMILY_TEXT[key];
      const colour = COLOURS.mode === "place" ? COLOURS[`at-${key}`] : COLOURS[key];
      parts.set(key, { colour, text, number: 0 });
    }
    parts.get(key).number++;
  }
  return [...parts.values()].sort((a, b) => b.number - a.number);
}

function placeText(key) {
  const known = { cpu: "CPU", gpu: "GPU", dsp: "DSP", copy: "Copy", elsewhere: "Elsewhere" };
  return known[key] ?? "Not known";
}
