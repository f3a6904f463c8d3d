/* Places everything that is unfolded. Each scope is laid out by itself, then takes part in the
   layout of the scope around it as one item, with ports on its edge where tensors enter and leave.
   Folding one scope so lays out only itself and those around it. */

const CARD = { height: 44, scope: 54, least: 92, most: 232, pad: 14 };
const BOX = { side: 18, head: 34, foot: 12 };

/** The edges of each scope's own layout: a list of {from, to, maker, edges} for each scope, where
    from and to are children or "first"/"last" for the scope's own edge, and maker is the node whose
    tensors go there. They do not depend on what is folded. */
function levels() {
  const found = new Map();
  const add = (scope, from, to, edge) => {
    if (!found.has(scope)) found.set(scope, new Map());
    const key = `${idOf(from)}>${idOf(to)}>${edge.from.number}`;
    const known = found.get(scope);
    if (!known.has(key)) known.set(key, { from, to, maker: edge.from.number, edges: [] });
    known.get(key).edges.push(edge);
  };
  for (const edge of EDGES) {
    const above = new Map();
    let inner = edge.from;
    for (let scope = inner.parent; scope; inner = scope, scope = scope.parent) above.set(scope, inner);
    let child = edge.to;
    let scope = child.parent;
    for (; !above.has(scope); child = scope, scope = scope.parent) add(scope, "first", child, edge);
    const common = scope;
    add(common, above.get(common), child, edge);
    for (const [within, item] of above) {
      if (within === common) break;
      add(within, item, "last", edge);
    }
  }
  return new Map([...found].map(([scope, rows]) => [scope, [...rows.values()]]));
}

function idOf(item) {
  if (typeof item === "string") return item;
  return item.kind === "scope" ? `s${item.id}` : `n${item.number}`;
}

const LEVELS = levels();

/** The layout of a scope, made anew where something within it was folded. */
function layoutOf(scope, sizeOf) {
  if (scope.layout) return scope.layout;
  const items = scope.children.map((child) => {
    const size = child.kind === "scope" && child.open ? layoutOf(child, sizeOf) : sizeOf(child);
    return { w: size.w, h: size.h };
  });
  const numbers = new Map(scope.children.map((child, n) => [child, n]));
  const ports = new Map();
  const merged = new Map();
  for (const row of LEVELS.get(scope) ?? []) {
    const end = (side) => {
      const item = row[side];
      if (typeof item !== "string") return numbers.get(item);
      const key = `${item} ${row.maker}`;
      if (!ports.has(key)) ports.set(key, items.push({ w: 0, h: 0, pin: item }) - 1);
      return ports.get(key);
    };
    const [a, b] = [end("from"), end("to")];
    const [fromX, toX] = [portX(row.from, "last", row.maker), portX(row.to, "first", row.maker)];
    const key = `${a} ${b} ${fromX} ${toX}`;
    if (!merged.has(key)) merged.set(key, { a, b, fromX, toX, edges: [], from: row.from, to: row.to });
    merged.get(key).edges.push(...row.edges);
  }
  const edges = [...merged.values()];
  const placed = wrapped(layered(items, edges), items, scope.parent ? 0.7 : 0.9);
  scope.layout = framed(scope, placed, edges, ports);
  return scope.layout;
}

/** Where a tensor leaves or enters an unfolded scope, from its middle; of anything else, there. */
function portX(item, side, maker) {
  if (typeof item === "string" || item.kind !== "scope" || !item.open) return 0;
  return (item.layout.ports.get(`${side} ${maker}`) ?? item.layout.w / 2) - item.layout.w / 2;
}

/** A layout with the frame of its scope around it; the root has none. */
function framed(scope, placed, edges, ports) {
  const bare = scope.parent === null;
  const [side, head, foot] = bare ? [0, 0, 0] : [BOX.side, BOX.head, BOX.foot];
  const w = Math.max(placed.w + 2 * side, bare ? 0 : 120);
  const dx = (w - placed.w) / 2;
  const h = placed.h + head + foot;
  const moved = placed.paths.map((path, n) => {
    const points = path.map(([x, y, round]) => [x + dx, y + head, round]);
    if (edges[n].from === "first") points.unshift([points[0][0], 0]);
    if (edges[n].to === "last") points.push([points[points.length - 1][0], h]);
    return points;
  });
  return {
    w, h, edges, paths: moved,
    children: scope.children.map((child, n) => ({ child, x: placed.x[n] + dx, y: placed.y[n] + head })),
    ports: new Map([...ports].map(([key, n]) => [key, placed.x[n] + dx])),
  };
}

/** Forget the layouts that hold a scope. */
function stale(scope) {
  for (let at = scope; at; at = at.parent) at.layout = null;
}

/** Everything to draw, in the world's coordinates: boxes of unfolded scopes (the outer ones first),
    cards, and edges.   sizeOf: of a card. */
function composed(sizeOf) {
  const scene = { boxes: [], cards: [], edges: [], at: new Map(), w: 0, h: 0 };
  const walk = (scope, x0, y0) => {
    const layout = layoutOf(scope, sizeOf);
    layout.paths.forEach((path, n) => {
      const points = path.map(([x, y, round]) => [x + x0, y + y0, round]);
      const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
      scene.edges.push({
        points, edges: layout.edges[n].edges, ends: layout.edges[n].to !== "last"
          && !(layout.edges[n].to.kind === "scope" && layout.edges[n].to.open),
        starts: layout.edges[n].from !== "first"
          && !(layout.edges[n].from.kind === "scope" && layout.edges[n].from.open),
        left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys),
      });
    });
    for (const { child, x, y } of layout.children) {
      const open = child.kind === "scope" && child.open;
      const { w, h } = open ? child.layout : sizeOf(child);
      const place = { item: child, x: x0 + x - w / 2, y: y0 + y - h / 2, w, h };
      scene.at.set(child, place);
      (open ? scene.boxes : scene.cards).push(place);
      if (open) walk(child, place.x, place.y);
    }
  };
  walk(ROOT, 0, 0);
  scene.w = ROOT.layout.w;
  scene.h = ROOT.layout.h;
  return scene;
}
