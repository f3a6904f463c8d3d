/* The graph on its canvas. Only what is in the window is drawn, and texts only where they can be
   read, so that a frame takes as long as what is seen, not as what there is. */

const FONT = '"Segoe UI", system-ui, -apple-system, Roboto, "DejaVu Sans", sans-serif';
const DETAIL = { curve: 0.16, text: 0.42, label: 0.75 }; // zooms from which on these are drawn
const canvas = the("graph");
const pen = canvas.getContext("2d");
const widths = new Map();
const cuts = new Map();

function font(size, weight = 400) {
  return `${weight} ${size}px ${FONT}`;
}

function widthOf(text, how) {
  const key = how + text;
  if (!widths.has(key)) {
    pen.font = how;
    widths.set(key, pen.measureText(text).width);
  }
  return widths.get(key);
}

/** A text that fits into a width: of a path the first and last part, else cut in its middle. */
function fitted(text, how, width) {
  if (widthOf(text, how) <= width) return text;
  const key = `${how}${width}|${text}`;
  if (!cuts.has(key)) cuts.set(key, cut(text, how, width));
  return cuts.get(key);
}

function cut(text, how, width) {
  const parts = text.split("/");
  const [first, last] = [parts[0], parts[parts.length - 1]];
  if (parts.length > 1) {
    const shorter = [`${first}/…/${last}`, `${first}/…`].find((t) => widthOf(t, how) <= width);
    if (shorter) return shorter;
  }
  let low = 1, high = first.length;
  while (low < high) {
    const length = Math.ceil((low + high) / 2);
    if (widthOf(middle(first, length), how) <= width) low = length;
    else high = length - 1;
  }
  return middle(first, low);
}

/** What a card says: a title, and a line below it. */
function cardTexts(item) {
  if (item.kind === "scope") return [item.label, scopeLine(item)];
  if (item.kind !== "layer") {
    const tensor = MODEL.tensors[item.outputs[0] ?? item.inputs[0]];
    return [item.op, `${item.label} ${shapeText(tensor.shape)}`];
  }
  return [item.op, item.label];
}

function scopeLine(scope) {
  return plural(scope.nodes.length, "layer");
}

/** Width and height of a card; kept, for texts do not change. */
function sizeOf(item) {
  if (item.size) return item.size;
  const [title, line] = cardTexts(item);
  const badge = badgeOf(item);
  const wide = Math.max(
    widthOf(title, font(13, 600)) + (badge ? widthOf(badge, font(11)) + 14 : 0)
      + (item.kind === "scope" ? 22 : 0),
    widthOf(line, font(11)),
  );
  item.size = {
    w: Math.round(Math.min(CARD.most, Math.max(CARD.least, wide + 2 * CARD.pad))),
    h: item.kind === "scope" ? CARD.scope : CARD.height,
  };
  return item.size;
}

/** The share of the cost, at the right of a card's title. */
function badgeOf(item) {
  const share = shareOf(item);
  if (item.cost && item.cost.within >= 0) return "in kernel ↓";
  return share ? percent(share) : "";
}

function inSight(place, view) {
  return place.x < view.right && place.x + place.w > view.left
    && place.y < view.bottom && place.y + place.h > view.top;
}

/** state: {scene, chosen, found}: found is a set of nodes, or null where nothing is searched. */
function drawGraph(state) {
  const ratio = devicePixelRatio || 1;
  const { x, y, k, w, h } = CAMERA;
  const view = { left: x, top: y, right: x + w / k, bottom: y + h / k };
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.fillStyle = COLOURS.page;
  pen.fillRect(0, 0, w, h);
  pen.setTransform(ratio * k, 0, 0, ratio * k, -x * k * ratio, -y * k * ratio);
  for (const box of state.scene.boxes) if (inSight(box, view)) drawBox(box, state);
  drawEdges(state, view);
  for (const card of state.scene.cards) if (inSight(card, view)) drawCard(card, state);
  drawMap(state, view);
}

/** An unfolded scope. Its title stays in sight, and large enough, as long as there is room. */
function drawBox(box, state) {
  const { item } = box;
  const k = CAMERA.k;
  pen.beginPath();
  pen.roundRect(box.x, box.y, box.w, box.h, 10);
  pen.fillStyle = COLOURS.box;
  pen.fill();
  pen.strokeStyle = state.chosen === item ? COLOURS.accent : COLOURS.line;
  pen.lineWidth = state.chosen === item ? 2.5 : 1;
  pen.stroke();
  const size = Math.min(40, Math.max(12, 11 / k));
  if (size > 30 && box.h * k < 60) return;
  const how = font(size, 600);
  const room = box.w - 16 - size * 1.6;
  if (room < size * 3) return;
  const top = box.y + Math.max(0, Math.min(CAMERA.y - box.y, box.h - 2 * size));
  pen.font = how;
  pen.fillStyle = COLOURS.soft;
  pen.textBaseline = "middle";
  const badge = badgeOf(item);
  const text = badge ? `${item.label} · ${badge}` : item.label;
  pen.fillText(fitted(text, how, room), box.x + 12, top + size * 0.95 + 4);
  drawFold(box.x + box.w - 8 - size * 0.7, top + size * 0.95 + 4, size * 0.42, false);
}

/** The sign that folds or unfolds. */
function drawFold(x, y, r, unfolds) {
  pen.strokeStyle = COLOURS.soft;
  pen.lineWidth = r * 0.32;
  pen.beginPath();
  pen.moveTo(x - r, y);
  pen.lineTo(x + r, y);
  if (unfolds) {
    pen.moveTo(x, y - r);
    pen.lineTo(x, y + r);
  }
  pen.stroke();
}

function drawEdges(state, view) {
  const detailed = CAMERA.k >= DETAIL.text;
  const near = [];
  pen.strokeStyle = COLOURS.edge;
  pen.lineWidth = Math.max(1.2, 0.7 / CAMERA.k);
  pen.beginPath();
  for (const edge of state.scene.edges) {
    if (edge.left > view.right || edge.right < view.left) continue;
    if (edge.top > view.bottom || edge.bottom < view.top) continue;
    if (touches(edge, state.chosen)) near.push(edge);
    else traceEdge(edge.points);
  }
  pen.stroke();
  if (near.length) {
    pen.strokeStyle = COLOURS.accent;
    pen.lineWidth = Math.max(2.2, 1.4 / CAMERA.k);
    pen.beginPath();
    for (const edge of near) traceEdge(edge.points);
    pen.stroke();
  }
  if (!detailed) return;
  for (const edge of state.scene.edges) {
    if (edge.top > view.bottom || edge.bottom < view.top) continue;
    if (edge.left > view.right || edge.right < view.left) continue;
    if (edge.ends) drawHead(edge, touches(edge, state.chosen));
    if (edge.starts && CAMERA.k >= DETAIL.label) drawShape(edge);
  }
}

/** Whether an edge comes from or leads to what is chosen. */
function touches(edge, chosen) {
  if (!chosen) return false;
  if (edge.near?.of === chosen) return edge.near.is;
  const mine = (node) => node === chosen || (chosen.kind === "scope" && within(node, chosen));
  edge.near = { of: chosen, is: edge.edges.some((e) => mine(e.from) !== mine(e.to)) };
  return edge.near.is;
}

function within(item, scope) {
  for (let at = item.parent; at; at = at.parent) if (at === scope) return true;
  return false;
}

function traceEdge(points) {
  pen.moveTo(points[0][0], points[0][1]);
  for (let n = 1; n < points.length; n++) {
    const [x0, y0] = points[n - 1], [x, y, round] = points[n];
    if (CAMERA.k < DETAIL.curve) pen.lineTo(x, y);
    else if (round) pen.arcTo(x, y, points[n + 1][0], points[n + 1][1], 9);
    else if (Math.abs(x - x0) < 0.5) pen.lineTo(x, y);
    else pen.bezierCurveTo(x0, (y0 + y) / 2, x, (y0 + y) / 2, x, y);
  }
}

function drawHead(edge, near) {
  const [x, y] = edge.points[edge.points.length - 1];
  const up = edge.points[edge.points.length - 2][1] > y ? -1 : 1;
  pen.fillStyle = near ? COLOURS.accent : COLOURS.edge;
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(x - 3.6, y - 6.5 * up);
  pen.lineTo(x + 3.6, y - 6.5 * up);
  pen.fill();
}

/** The shape of a tensor, where it leaves its layer; of the first where several leave together. */
function drawShape(edge) {
  const from = edge.edges[0].from;
  const [x, y] = edge.points[0];
  if (edge.edges[0] !== from.out[0] || from.kind !== "layer") return;
  const tensor = MODEL.tensors[edge.edges[0].tensor];
  pen.font = font(9.5);
  pen.fillStyle = COLOURS.soft;
  pen.textBaseline = "middle";
  pen.fillText(shapeText(tensor.shape), x + 6, y + 10);
}

function drawCard(card, state) {
  const { item, x, y, w, h } = card;
  const scope = item.kind === "scope";
  const dim = state.found && !(scope ? item.nodes.some((n) => state.found.has(n))
    : state.found.has(item));
  pen.globalAlpha = dim ? 0.28 : 1;
  if (CAMERA.k < DETAIL.curve) {
    pen.fillStyle = state.chosen === item ? COLOURS.accent : farColour(item);
    pen.fillRect(x, y, w, h);
    pen.globalAlpha = 1;
    return;
  }
  if (scope) drawStack(card);
  pen.beginPath();
  pen.roundRect(x, y, w, h, item.kind === "layer" ? 6 : scope ? 8 : h / 2);
  pen.fillStyle = fillOf(item);
  pen.fill();
  const chosen = state.chosen === item;
  pen.strokeStyle = chosen ? COLOURS.accent : scope ? COLOURS.edge : mixed(COLOURS.line, colourOf(item), 0.5);
  pen.lineWidth = chosen ? 3 : Math.max(1, 0.6 / CAMERA.k);
  pen.stroke();
  if (scope) drawParts(card);
  else if (item.kind === "layer") {
    pen.fillStyle = colourOf(item);
    pen.beginPath();
    pen.roundRect(x, y, 6, h, [6, 0, 0, 6]);
    pen.fill();
  }
  if (CAMERA.k >= DETAIL.text) drawTexts(card);
  pen.globalAlpha = 1;
}

/** The colour of what is too far away to show more. */
function farColour(item) {
  return item.kind !== "scope" || COLOURS.mode === "cost" ? colourOf(item) : COLOURS.edge;
}

/** A folded scope lies on another card. */
function drawStack({ x, y, w, h }) {
  pen.beginPath();
  pen.roundRect(x + 4, y + 4, w, h, 8);
  pen.fillStyle = COLOURS.box;
  pen.fill();
  pen.strokeStyle = COLOURS.line;
  pen.lineWidth = 1;
  pen.stroke();
}

/** What is in a folded scope, as a bar of its colours; by cost, how much it costs. */
function drawParts({ item, x, y, w, h }) {
  const left = x + 12, wide = w - 24, top = y + h - 11;
  if (COLOURS.mode === "cost") {
    pen.fillStyle = COLOURS.line;
    pen.fillRect(left, top, wide, 5);
    pen.fillStyle = COLOURS.hot;
    pen.fillRect(left, top, wide * Math.min(1, item.share), 5);
    return;
  }
  item.parts = item.parts?.mode === COLOURS.mode + COLOURS.page ? item.parts
    : { mode: COLOURS.mode + COLOURS.page, rows: partsOf(item.nodes) };
  let at = left;
  for (const part of item.parts.rows) {
    const length = (wide * part.number) / item.nodes.length;
    pen.fillStyle = part.colour;
    pen.fillRect(at, top, Math.max(0.5, length - 1), 5);
    at += length;
  }
}

function drawTexts({ item, x, y, w, h }) {
  const scope = item.kind === "scope";
  const [title, line] = cardTexts(item);
  const badge = badgeOf(item);
  const edge = scope ? 22 : 0;
  const top = scope ? y + 16 : y + h / 2 - 8;
  pen.textBaseline = "middle";
  let room = w - 2 * CARD.pad - edge;
  if (badge) {
    pen.font = font(11);
    pen.fillStyle = COLOURS.soft;
    pen.textAlign = "right";
    pen.fillText(badge, x + w - 10 - edge, top);
    pen.textAlign = "left";
    room -= widthOf(badge, font(11)) + 6;
  }
  pen.fillStyle = COLOURS.text;
  pen.font = font(13, 600);
  pen.fillText(fitted(title, pen.font, room + 4), x + CARD.pad, top);
  pen.fillStyle = COLOURS.soft;
  pen.font = font(11);
  pen.fillText(fitted(line, font(11), w - 2 * CARD.pad + 4), x + CARD.pad, scope ? y + 33 : y + h / 2 + 9);
  if (scope) drawFold(x + w - 16, top, 5, true);
}
