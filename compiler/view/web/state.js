/* What is unfolded, what is chosen, and how one gets from one item to the next. */

const stage = the("stage");
const STATE = { scene: null, chosen: null, found: null, over: -1 };

/** Lay out what is unfolded now.   kept: an item that stays where it is in the window. */
function compose(kept = null) {
  const before = kept && STATE.scene?.at.get(kept);
  const corner = before && toScreen(before.x, before.y);
  const began = performance.now();
  STATE.scene = composed(sizeOf);
  STATE.scene.layoutMs = performance.now() - began;
  COLOURS.hottest = Math.max(0, ...STATE.scene.cards.map((card) => shareOf(card.item)));
  if (COLOURS.mode === "cost") showLegend();
  STATE.scene.first = STATE.scene.cards[0];
  const after = kept && STATE.scene.at.get(kept);
  if (before && after) {
    const k = CAMERA.k;
    moveTo({ x: after.x - corner[0] / k, y: after.y - corner[1] / k, k }, STATE.scene);
  }
  redraw();
}

function toggle(scope, open = !scope.open) {
  if (scope.open === open) return;
  scope.open = open;
  scope.layout = null;
  stale(scope.parent);
  compose(scope);
  choose(scope);
  say(`${scope.label} ${open ? `unfolded, ${plural(scope.children.length, "item")}` : "folded"}`);
}

/** Fold or unfold everything. */
function toggleAll(open) {
  for (const scope of allScopes(ROOT)) {
    scope.open = open;
    scope.layout = null;
  }
  stale(ROOT);
  compose();
  if (STATE.chosen) choose(seen(STATE.chosen), { centre: true });
  else fitFirst(STATE.scene);
  say(open ? "All scopes unfolded" : "All scopes folded");
}

/** Make an item the chosen one, unfold what hides it, show it in the panel and in the window. */
function choose(item, { centre = false, quiet = false } = {}) {
  STATE.chosen = item;
  if (item) {
    const hidden = scopesOf(item).filter((scope) => !scope.open);
    for (const scope of hidden) { scope.open = true; scope.layout = null; }
    if (hidden.length) { stale(hidden[hidden.length - 1]); compose(); }
    const place = STATE.scene.at.get(item);
    if (place) reveal(place, STATE.scene, { centre });
    if (!quiet) say(spoken(item));
  }
  showPanel(item);
  refresh();
}

/** An item in words. */
function spoken(item) {
  if (item.kind === "scope") {
    return `Scope ${item.label}, ${plural(item.nodes.length, "layer")}, `
      + (item.open ? "unfolded" : "folded");
  }
  const cost = item.cost?.share ? `, ${percent(item.cost.share)} of the cost` : "";
  const shape = item.outputs.length ? `, ${shapeText(MODEL.tensors[item.outputs[0]].shape)}` : "";
  return `${item.op} ${item.label}${shape}${cost}, ${item.in.length} in, ${item.out.length} out`;
}

function refresh() {
  redraw();
  drawTimeline(STATE);
  const layer = STATE.over >= 0 ? STATE.over : STATE.chosen?.kind === "layer" ? STATE.chosen.number : -1;
  the("memory-facts").textContent = memoryText(layer);
  timeCanvas.setAttribute("aria-valuenow", String(layer + 1));
  timeCanvas.setAttribute("aria-valuetext", memoryText(layer));
}

/** The items that are seen at the other end of an item's edges, from left to right. */
function neighbours(item, side) {
  const inner = (node) => node === item || (item.kind === "scope" && within(node, item));
  const nodes = item.kind === "scope" ? item.nodes : [item];
  const found = new Set();
  for (const node of nodes) for (const edge of side === "to" ? node.out : node.in) {
    if (!inner(edge[side])) found.add(seen(edge[side]));
  }
  const x = (other) => STATE.scene.at.get(other)?.x ?? 0;
  return [...found].sort((a, b) => x(a) - x(b));
}

/** The item beside another, in what is seen on the same height. */
function beside(item, way) {
  const own = STATE.scene.at.get(item);
  if (!own) return null;
  const mid = (place) => [place.x + place.w / 2, place.y + place.h / 2];
  const [x, y] = mid(own);
  const rivals = [...STATE.scene.cards, ...STATE.scene.boxes]
    .filter((place) => place !== own && place.item.kind !== undefined
      && place.item.parent === item.parent)
    .map((place) => ({ place, dx: (mid(place)[0] - x) * way, dy: Math.abs(mid(place)[1] - y) }))
    .filter(({ dx, dy, place }) => dx > 1 && dy < (own.h + place.h) / 2);
  rivals.sort((a, b) => a.dx - b.dx);
  return rivals[0]?.place.item ?? null;
}

function start() {
  const first = STATE.scene.cards.find((card) => card.item.kind === "input") ?? STATE.scene.cards[0];
  return first?.item ?? null;
}

function step(key) {
  const { chosen } = STATE;
  if (!chosen) return start();
  if (key === "ArrowDown") return middleOf(neighbours(chosen, "to"), chosen);
  if (key === "ArrowUp") return middleOf(neighbours(chosen, "from"), chosen);
  return beside(chosen, key === "ArrowRight" ? 1 : -1);
}

/** Of several neighbours the one that is straight ahead. */
function middleOf(items, from) {
  const x = (item) => {
    const place = STATE.scene.at.get(item);
    return place ? place.x + place.w / 2 : 0;
  };
  const own = x(from);
  return items.sort((a, b) => Math.abs(x(a) - own) - Math.abs(x(b) - own))[0] ?? null;
}
