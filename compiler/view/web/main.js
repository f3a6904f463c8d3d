/* Brings the page to life: theme, legend, pointers, and what is seen first. */

const THEMES = [["", "as the system", "◐"], ["light", "light", "☀"], ["dark", "dark", "☾"]];

function setTheme(number) {
  const [key, text, sign] = THEMES[number];
  const root = document.documentElement;
  if (key) root.dataset.theme = key;
  else delete root.dataset.theme;
  root.dataset.themeNumber = String(number);
  the("theme").textContent = sign;
  the("theme").setAttribute("aria-label", `Colours of the page: ${text}`);
  the("theme").title = `Colours of the page: ${text} (t)`;
  newColours();
}

function nextTheme() {
  const number = (Number(document.documentElement.dataset.themeNumber) + 1) % THEMES.length;
  setTheme(number);
  say(`Colours of the page: ${THEMES[number][1]}`);
}

/** Draw everything in the colours that the style sheet has now. */
function newColours() {
  readColours();
  showLegend();
  if (!STATE.scene) return;
  showPanel(STATE.chosen);
  refresh();
}

function showLegend() {
  const rows = COLOURS.mode === "cost"
    ? [{ colour: COLOURS.hot, text: MODEL.costs ? `up to ${percent(COLOURS.hottest ?? 0)} of the cost, darker is more` : "no profile" }]
    : partsOf(LAYERS);
  the("legend").replaceChildren(...rows.map(({ colour, text, number }) => make("li", {},
    swatch(colour), text, number ? make("span", { class: "number" }, number.toLocaleString("en")) : "")));
}

function toggleMemory() {
  const open = timeCanvas.hidden;
  timeCanvas.hidden = !open;
  the("memory-toggle").textContent = open ? "Hide" : "Show";
  the("memory-toggle").setAttribute("aria-expanded", String(open));
  resize();
}

function resize() {
  const { w, h } = sharpSize();
  Object.assign(CAMERA, { w, h });
  if (STATE.scene) {
    motion.drawing();
    drawTimeline(STATE);
  }
}

/** The graph's canvas takes the size of its place. */
function sharpSize() {
  const ratio = devicePixelRatio || 1;
  const w = stage.clientWidth, h = stage.clientHeight;
  canvas.width = Math.round(w * ratio);
  canvas.height = Math.round(h * ratio);
  return { w, h };
}

/** The item under a point of the window, and whether the point is on a fold's sign. */
function itemAt(x, y) {
  const [wx, wy] = toWorld(x, y);
  const holds = (p) => wx >= p.x && wx <= p.x + p.w && wy >= p.y && wy <= p.y + p.h;
  const card = STATE.scene.cards.find(holds);
  if (card) return { item: card.item, fold: card.item.kind === "scope" && wx > card.x + card.w - 30 };
  const box = STATE.scene.boxes.findLast(holds);
  if (!box) return { item: null, fold: false };
  const size = Math.min(40, Math.max(12, 11 / CAMERA.k));
  const top = box.y + Math.max(0, Math.min(CAMERA.y - box.y, box.h - 2 * size));
  return { item: box.item, fold: wx > box.x + box.w - 16 - 1.5 * size && wy < top + 2 * size && wy > top };
}

/* Pointers that are down, for drags and pinches. */
const fingers = new Map();
const drag = { far: false, apart: 0 };

function place(event) {
  const frame = stage.getBoundingClientRect();
  return [event.clientX - frame.left, event.clientY - frame.top];
}

canvas.addEventListener("pointerdown", (event) => {
  fingers.set(event.pointerId, place(event));
  canvas.setPointerCapture(event.pointerId);
  drag.far = fingers.size > 1;
  drag.apart = 0;
  stage.focus({ preventScroll: true });
});

canvas.addEventListener("pointermove", (event) => {
  const [x, y] = place(event);
  const before = fingers.get(event.pointerId);
  if (!before) {
    canvas.style.cursor = itemAt(x, y).item ? "pointer" : "grab";
    return;
  }
  if (!drag.far && Math.hypot(x - before[0], y - before[1]) < 4) return;
  drag.far = true;
  canvas.style.cursor = "grabbing";
  fingers.set(event.pointerId, [x, y]);
  if (fingers.size === 2) {
    const [[x0, y0], [x1, y1]] = [...fingers.values()];
    const apart = Math.hypot(x1 - x0, y1 - y0);
    if (drag.apart) zoomAt(apart / drag.apart, (x0 + x1) / 2, (y0 + y1) / 2, STATE.scene);
    drag.apart = apart;
  } else {
    panBy(before[0] - x, before[1] - y, STATE.scene);
  }
});

function lift(event) {
  const [x, y] = place(event);
  if (fingers.delete(event.pointerId) && !drag.far && event.type === "pointerup") {
    const { item, fold } = itemAt(x, y);
    if (fold) toggle(item);
    else choose(item);
  }
  canvas.style.cursor = "grab";
}

canvas.addEventListener("pointerup", lift);
canvas.addEventListener("pointercancel", lift);
canvas.addEventListener("dblclick", (event) => {
  const { item, fold } = itemAt(...place(event));
  if (item?.kind === "scope" && !fold) toggle(item);
});
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const unit = event.deltaMode === 1 ? 16 : 1;
  if (event.ctrlKey || event.metaKey) {
    zoomAt(Math.exp(-event.deltaY * unit * (Math.abs(event.deltaY) < 50 ? 0.01 : 0.002)),
      ...place(event), STATE.scene);
  } else if (event.shiftKey && !event.deltaX) panBy(event.deltaY * unit, 0, STATE.scene);
  else panBy(event.deltaX * unit, event.deltaY * unit, STATE.scene);
}, { passive: false });

function mapTo(event) {
  const frame = mapCanvas.getBoundingClientRect();
  const [x, y] = mapPoint(STATE.scene, event.clientX - frame.left, event.clientY - frame.top);
  const { w, h, k } = CAMERA;
  moveTo({ x: x - w / 2 / k, y: y - h / 2 / k, k }, STATE.scene);
}

mapCanvas.addEventListener("pointerdown", (event) => {
  mapCanvas.setPointerCapture(event.pointerId);
  mapTo(event);
});
mapCanvas.addEventListener("pointermove", (event) => { if (event.buttons) mapTo(event); });

timeCanvas.addEventListener("pointermove", (event) => {
  STATE.over = layerAt(event.offsetX);
  refresh();
});
timeCanvas.addEventListener("pointerleave", () => { STATE.over = -1; refresh(); });
timeCanvas.addEventListener("click", (event) => {
  const layer = layerAt(event.offsetX);
  if (layer >= 0) choose(LAYERS[layer], { centre: true });
});
timeCanvas.addEventListener("keydown", (event) => {
  const { chosen } = STATE;
  const last = LAYERS.length - 1;
  const at = chosen?.kind === "layer" ? chosen.number : -1;
  const next = {
    ArrowRight: Math.min(last, at + 1), ArrowLeft: Math.max(0, at - 1), Home: 0, End: last,
    PageDown: Math.min(last, at + 10), PageUp: Math.max(0, at - 10),
  }[event.key];
  if (next === undefined || last < 0) return;
  choose(LAYERS[next], { centre: true });
  event.preventDefault();
  event.stopPropagation();
});

function listen() {
  the("theme").addEventListener("click", nextTheme);
  the("fold").addEventListener("click", () => toggleAll(false));
  the("unfold").addEventListener("click", () => toggleAll(true));
  the("help-button").addEventListener("click", () => the("help").showModal());
  the("memory-toggle").addEventListener("click", toggleMemory);
  the("colour").addEventListener("change", (event) => setMode(event.target.value));
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => zoom(button.dataset.zoom));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", newColours);
  new ResizeObserver(resize).observe(stage);
}

function begin() {
  motion.drawing = () => drawGraph(STATE);
  the("facts").textContent = [MODEL.form, plural(LAYERS.length, "layer"),
    `${count(total(LAYERS, "parameters"))} parameter${total(LAYERS, "parameters") === 1 ? "" : "s"}`,
    `${count(total(LAYERS, "macs"))} MACs`,
    MODEL.target && `for ${MODEL.target}`,
    MODEL.costs && `${MODEL.costs.target}, ${amount(MODEL.costs.total, MODEL.costs.unit)}`,
  ].filter(Boolean).join(" · ");
  the("colour").append(...MODES.map(([key, text]) => make("option", { value: key }, text)));
  the("colour").querySelector("[value=cost]").disabled = !MODEL.costs;
  the("colour").querySelector("[value=place]").disabled = !MODEL.placements.length;
  the("fold").disabled = the("unfold").disabled = allScopes(ROOT).length === 0;
  the("empty").hidden = LAYERS.length > 0;
  the("empty").textContent = NODES.length ? "No layers: outputs are inputs." : "This model is empty.";
  timeCanvas.setAttribute("aria-valuemax", String(Math.max(1, LAYERS.length)));
  the("memory").hidden = LAYERS.length === 0;
  timeCanvas.hidden = the("memory-toggle").hidden = MODEL.memory.placed.length === 0;
  unfoldFirst(ROOT);
  setTheme(0);
  resize();
  compose();
  fitFirst(STATE.scene);
  showPanel(null);
  refresh();
  listen();
}

begin();

/* What a script may ask of the page. */
globalThis.dlccView = {
  chosen: () => STATE.chosen?.name ?? null,
  found: () => STATE.found && [...STATE.found].map((node) => node.name),
  camera: () => ({ ...CAMERA }),
  layoutMs: () => STATE.scene.layoutMs,
  /** Cards and boxes that are seen or could be moved to, where they are on the screen. */
  places: () => {
    const frame = stage.getBoundingClientRect();
    return [...STATE.scene.boxes, ...STATE.scene.cards].map(({ item, x, y, w, h }) => {
      const [left, top] = toScreen(x, y);
      const { k } = CAMERA;
      return {
        name: item.name, label: item.label, kind: item.kind, open: item.open ?? false,
        x: frame.left + left, y: frame.top + top, w: w * k, h: h * k,
      };
    });
  },
};
