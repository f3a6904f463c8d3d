/* A tall graph in columns, like a text in a newspaper, so that it fills a wide window. It is cut only
   where one tensor alone leads on, which then runs up between the columns. */

const COLUMN = { gutter: 64, turn: 16, most: 60 };
const WRAP = { on: true };

/** The layout that is seen largest in the window, and the smallest number of columns for it; one that
    is seen large enough stays what it is. */
function wrapped(placed, items, enough) {
  if (!WRAP.on || !placed.breaks.length) return placed;
  if (scaleOf(placed.w, placed.h) >= enough) return placed;
  const sizes = extents(placed, items);
  let best = { k: scaleOf(placed.w, placed.h), columns: null };
  for (let number = 2; number <= Math.min(COLUMN.most, placed.breaks.length + 1); number++) {
    const columns = evenly(sizes, placed.h, number);
    const w = columns.reduce((sum, c) => sum + c.right - c.left, (columns.length - 1) * COLUMN.gutter);
    const h = Math.max(...columns.map((c) => c.bottom - c.top)) + 2 * COLUMN.turn;
    const k = scaleOf(w, h);
    if (k > best.k * 1.02) best = { k, columns, w, h };
    if (best.k >= 1) break;
  }
  return best.columns ? moved(placed, best) : placed;
}

function scaleOf(w, h) {
  return Math.min(1, (CAMERA.w - MARGIN.x) / w, (CAMERA.h - MARGIN.y) / h);
}

/** What lies between two neighbouring breaks: its top, bottom, and how far it reaches. */
function extents(placed, items) {
  const edges = [0, ...placed.breaks, placed.h];
  const parts = edges.slice(1).map((bottom, n) => ({
    top: edges[n], bottom, left: Infinity, right: -Infinity,
  }));
  const reach = (y, left, right) => {
    const part = parts[lastAtMost(edges, y)];
    part.left = Math.min(part.left, left);
    part.right = Math.max(part.right, right);
  };
  items.forEach((item, n) => reach(placed.y[n], placed.x[n] - item.w / 2, placed.x[n] + item.w / 2));
  for (const path of placed.paths) for (const [x, y] of path) reach(y, x, x);
  return parts;
}

/** The number of the last edge that is not below a height; the bottom belongs to the last part. */
function lastAtMost(edges, y) {
  let low = 0, high = edges.length - 2;
  while (low < high) {
    const mid = Math.ceil((low + high) / 2);
    if (edges[mid] <= y) low = mid;
    else high = mid - 1;
  }
  return low;
}

/** Parts in at most some columns, the highest of them as low as can be. */
function evenly(parts, h, number) {
  let low = h / number, high = h;
  while (high - low > 4) {
    const mid = (low + high) / 2;
    if (filled(parts, mid).length <= number) high = mid;
    else low = mid;
  }
  return filled(parts, high);
}

/** Parts in columns of at most a height, where that can be. */
function filled(parts, height) {
  const columns = [];
  let column = null;
  for (const part of parts) {
    if (!column || part.bottom - column.top > height) {
      column = { ...part };
      columns.push(column);
    } else {
      column.bottom = part.bottom;
      column.left = Math.min(column.left, part.left);
      column.right = Math.max(column.right, part.right);
    }
  }
  return columns;
}

/** Items and edges moved into their columns. */
function moved(placed, { columns, w, h }) {
  let at = 0;
  for (const column of columns) {
    column.dx = at - column.left;
    column.dy = COLUMN.turn - column.top;
    at += column.right - column.left + COLUMN.gutter;
  }
  const tops = [...columns.map((column) => column.top), placed.h];
  const of = (y) => columns[lastAtMost(tops, y)];
  return {
    w, h, breaks: [],
    x: placed.x.map((x, n) => x + of(placed.y[n]).dx),
    y: placed.y.map((y) => y + of(y).dy),
    paths: placed.paths.map((path) => path.flatMap(([x, y], n) => {
      const own = of(y);
      const before = n ? of(path[n - 1][1]) : own;
      const point = [x + own.dx, y + own.dy];
      return before === own ? [point] : [...turn(path[n - 1], before, own, x), point];
    })),
  };
}

/** The way from the bottom of a column up the gutter to the top of the next; corners are round. */
function turn([x0], before, own, x) {
  const left = before.right + before.dx + COLUMN.gutter / 2;
  const bottom = before.bottom + before.dy + COLUMN.turn / 2;
  const top = COLUMN.turn / 2 - 4;
  return [
    [x0 + before.dx, bottom, true], [left, bottom, true], [left, top, true],
    [x + own.dx, top, true],
  ];
}
