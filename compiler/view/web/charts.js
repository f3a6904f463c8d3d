/* Pictures beside the graph: the map of all of it, histograms of constants, the memory timeline. */

const mapCanvas = the("map");
const timeCanvas = the("timeline");

/** Make a canvas as sharp as the screen; returns its pen, in CSS pixels, and its size. */
function sharp(element) {
  const ratio = devicePixelRatio || 1;
  const w = element.clientWidth, h = element.clientHeight;
  if (element.width !== Math.round(w * ratio) || element.height !== Math.round(h * ratio)) {
    element.width = Math.round(w * ratio);
    element.height = Math.round(h * ratio);
  }
  const brush = element.getContext("2d");
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  brush.clearRect(0, 0, w, h);
  return { brush, w, h };
}

/* The map's cards are drawn once for each scene and each set of colours; frames copy them. */
const mapKept = { of: null, colours: "", picture: document.createElement("canvas") };

function mapScale(scene, w, h) {
  const k = Math.min((w - 8) / scene.w, (h - 8) / scene.h);
  return { k, x: (w - scene.w * k) / 2, y: (h - scene.h * k) / 2 };
}

/** The whole graph, small, with what is in the window framed; nothing where most is in sight. */
function drawMap(state, view) {
  const { scene } = state;
  const reach = (from, to, size) => Math.max(0, Math.min(to, size) - Math.max(from, 0)) / size;
  const sight = reach(view.left, view.right, scene.w) * reach(view.top, view.bottom, scene.h);
  mapCanvas.hidden = sight > 0.6 || !scene.cards.length;
  if (mapCanvas.hidden || getComputedStyle(mapCanvas).display === "none") return;
  if (mapKept.of !== scene) sizeMap(scene);
  const { brush, w, h } = sharp(mapCanvas);
  const at = mapScale(scene, w, h);
  const colours = COLOURS.mode + COLOURS.page;
  if (mapKept.of !== scene || mapKept.colours !== colours) {
    mapKept.of = scene;
    mapKept.colours = colours;
    paintMap(scene, at);
  }
  brush.drawImage(mapKept.picture, 0, 0, w, h);
  const box = [at.x + view.left * at.k, at.y + view.top * at.k,
    (view.right - view.left) * at.k, (view.bottom - view.top) * at.k];
  const x = Math.max(1, box[0]), y = Math.max(1, box[1]);
  brush.strokeStyle = COLOURS.accent;
  brush.lineWidth = 1.5;
  brush.strokeRect(x, y, Math.min(w - 1, box[0] + box[2]) - x, Math.min(h - 1, box[1] + box[3]) - y);
}

/** As large as there is room for in the corner, in the shape of the graph. */
function sizeMap(scene) {
  const k = Math.min(170 / scene.w, 190 / scene.h);
  mapCanvas.style.width = `${Math.max(40, Math.round(scene.w * k) + 8)}px`;
  mapCanvas.style.height = `${Math.max(40, Math.round(scene.h * k) + 8)}px`;
}

function paintMap(scene, at) {
  const picture = mapKept.picture;
  picture.width = mapCanvas.width;
  picture.height = mapCanvas.height;
  const brush = picture.getContext("2d");
  const ratio = devicePixelRatio || 1;
  brush.setTransform(ratio * at.k, 0, 0, ratio * at.k, ratio * at.x, ratio * at.y);
  const least = 1.5 / at.k;
  for (const { x, y, w, h } of scene.boxes) {
    brush.fillStyle = COLOURS.line;
    brush.globalAlpha = 0.4;
    brush.fillRect(x, y, w, h);
  }
  brush.globalAlpha = 1;
  for (const { item, x, y, w, h } of scene.cards) {
    brush.fillStyle = farColour(item);
    brush.fillRect(x, y, Math.max(least, w), Math.max(least, h));
  }
}

/** The world's point under a point of the map. */
function mapPoint(scene, x, y) {
  const at = mapScale(scene, mapCanvas.clientWidth, mapCanvas.clientHeight);
  return [(x - at.x) / at.k, (y - at.y) / at.k];
}

/** The numbers of a constant as bars, with what they are from and to. */
function histogram(found) {
  const [w, h] = [264, 64];
  const most = Math.max(1, ...found.histogram);
  const wide = w / found.histogram.length;
  const bars = found.histogram.map((number, n) => {
    // the root of the counts: a few numbers beside a great many are still seen
    const high = number ? Math.max(1, Math.sqrt(number / most) * (h - 2)) : 0;
    return draw("rect", {
      x: (n * wide + 0.5).toFixed(2), y: (h - high).toFixed(2), width: (wide - 1).toFixed(2),
      height: high.toFixed(2), class: "bar",
    });
  });
  const zero = (0 - found.minimum) / (found.maximum - found.minimum);
  if (zero > 0 && zero < 1) {
    bars.push(draw("line", { x1: zero * w, x2: zero * w, y1: 0, y2: h, class: "zero" }));
  }
  const name = `Histogram of ${found.elements.toLocaleString("en")} numbers from `
    + `${short(found.minimum)} to ${short(found.maximum)}, heights as roots of counts`;
  const picture = draw("svg", { viewBox: `0 0 ${w} ${h}`, class: "histogram", role: "img" },
    draw("title", {}, name), ...bars);
  return make("figure", {}, picture, make("figcaption", {},
    make("span", {}, short(found.minimum)), make("span", {}, short(found.maximum))));
}

const TIME = { left: 64, right: 12, top: 8, bottom: 6 };

/** The arena over the layers: each tensor a block as wide as it lives, at its place; above all of
    them the line of what is alive.   state: {chosen, over}: a node, and a layer's number or -1. */
function drawTimeline(state) {
  if (timeCanvas.hidden || !timeCanvas.clientWidth) return;
  const { brush, w, h } = sharp(timeCanvas);
  const { placed, live, arena, peak } = MODEL.memory;
  const top = Math.max(arena, peak, 1);
  const x = (layer) => TIME.left + ((w - TIME.left - TIME.right) * layer) / Math.max(1, live.length);
  const y = (size) => h - TIME.bottom - ((h - TIME.top - TIME.bottom) * size) / top;
  brush.font = font(10.5);
  brush.textBaseline = "middle";
  brush.textAlign = "right";
  for (const part of [0, 0.5, 1]) {
    brush.fillStyle = COLOURS.line;
    brush.fillRect(TIME.left, Math.round(y(part * top)), w - TIME.left - TIME.right, 1);
    brush.fillStyle = COLOURS.soft;
    brush.fillText(part ? bytes(part * top) : "0", TIME.left - 8, y(part * top) - (part ? -3 : 3));
  }
  const marked = markedTensors(state);
  for (const [tensor, offset, size, first, last] of placed) {
    const maker = PRODUCER.get(tensor);
    const hot = marked.has(tensor);
    brush.globalAlpha = hot ? 1 : 0.55;
    brush.fillStyle = hot ? COLOURS.accent : COLOURS[familyOf(maker?.op ?? "")];
    const [x0, x1] = [x(first), x(last + 1)];
    const [y0, y1] = [y(offset + size), y(offset)];
    const gap = x1 - x0 > 3 ? 0.5 : 0;
    brush.fillRect(x0 + gap, y0, Math.max(0.75, x1 - x0 - 2 * gap), Math.max(0.75, y1 - y0 - 0.5));
  }
  brush.globalAlpha = 1;
  drawLive(brush, live, x, y);
  drawCursor(brush, state, x, h);
}

function drawLive(brush, live, x, y) {
  brush.strokeStyle = COLOURS.text;
  brush.lineWidth = 1.25;
  brush.beginPath();
  live.forEach((size, n) => {
    brush.lineTo(x(n), y(size));
    brush.lineTo(x(n + 1), y(size));
  });
  brush.stroke();
}

function drawCursor(brush, state, x, h) {
  const chosen = state.chosen?.kind === "layer" ? state.chosen.number : -1;
  for (const [layer, colour] of [[state.over, COLOURS.soft], [chosen, COLOURS.accent]]) {
    if (layer < 0) continue;
    brush.strokeStyle = colour;
    brush.lineWidth = 1.5;
    const at = (x(layer) + x(layer + 1)) / 2;
    brush.beginPath();
    brush.moveTo(at, 0);
    brush.lineTo(at, h);
    brush.stroke();
  }
}

const PRODUCER = new Map(NODES.flatMap((node) => node.outputs.map((tensor) => [tensor, node])));

/** Tensors of what is chosen. */
function markedTensors(state) {
  const { chosen } = state;
  if (!chosen) return new Set();
  return new Set(chosen.kind === "scope" ? chosen.nodes.flatMap((n) => n.outputs) : chosen.outputs);
}

/** The layer under a point of the timeline, or -1. */
function layerAt(x) {
  const room = timeCanvas.clientWidth - TIME.left - TIME.right;
  const number = Math.floor(((x - TIME.left) / room) * MODEL.memory.live.length);
  return number >= 0 && number < MODEL.memory.live.length ? number : -1;
}

/** What the memory is like as a whole, or at one layer. */
function memoryText(layer) {
  const { live, arena, peak, peakLayer, plan, unknown } = MODEL.memory;
  if (layer >= 0) {
    return `${shortName(LAYERS[layer])}: ${bytes(live[layer])} alive, layer ${layer + 1} of ${live.length}`;
  }
  const left = unknown ? `; ${plural(unknown, "tensor")} of open shape not counted` : "";
  const most = peakLayer >= 0 ? ` · most alive ${bytes(peak)} at ${shortName(LAYERS[peakLayer])}` : "";
  return `Arena ${bytes(arena)}, ${plan}${most}${left}`;
}
