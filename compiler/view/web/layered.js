/* Places items in ranks from the top to the bottom, each below what it reads.

   The steps are those of Sugiyama, Tagawa and Toda (1981): break cycles, give each item a rank, pass
   long edges through cells of their own, order each rank so that few edges cross, and at last give
   places: in each rank the ones of least squared distance from what their neighbours ask for, by
   pooling adjacent violators. */

const GAP = { item: 26, cell: 14, rank: 34, port: 14 };
const MOST_CELLS = 20000; // beyond that, the longest edges are drawn straight

/** items: [{w, h, pin}], pin "first" or "last" for ports.   edges: [{a, b, fromX, toX}], numbers of
    items, and where an edge leaves and enters them, from their middles.
    Returns {w, h, x, y, paths}: middles of items, and points of each edge. */
function layered(items, edges) {
  const turned = backward(items.length, edges);
  const down = edges.map((edge, n) => (turned[n]
    ? { a: edge.b, b: edge.a, ax: edge.toX, bx: edge.fromX }
    : { a: edge.a, b: edge.b, ax: edge.fromX, bx: edge.toX }));
  const rank = ranked(items, down);
  const { cells, chains } = cellsOf(items, down, rank);
  const ranks = ordered(cells);
  placeAcross(ranks);
  return finished(items, edges, { down, turned, cells, chains, ranks });
}

/** Which edges go up in a walk along the others: those that close a cycle. */
function backward(size, edges) {
  const out = Array.from({ length: size }, () => []);
  edges.forEach((edge, n) => out[edge.a].push(n));
  const turned = new Array(edges.length).fill(false);
  const state = new Uint8Array(size); // 1: on the way, 2: done
  for (let start = 0; start < size; start++) {
    if (state[start]) continue;
    const stack = [[start, 0]];
    state[start] = 1;
    while (stack.length) {
      const top = stack[stack.length - 1];
      const n = out[top[0]][top[1]++];
      if (n === undefined) {
        state[top[0]] = 2;
        stack.pop();
      } else if (state[edges[n].b] === 1) {
        turned[n] = true;
      } else if (state[edges[n].b] === 0) {
        state[edges[n].b] = 1;
        stack.push([edges[n].b, 0]);
      }
    }
  }
  return turned;
}

/** The longest way from the top, then whatever feeds only one item close to it. */
function ranked(items, down) {
  const size = items.length;
  const into = new Int32Array(size);
  const out = Array.from({ length: size }, () => []);
  for (const edge of down) { out[edge.a].push(edge.b); into[edge.b]++; }
  const start = items.some((item) => item.pin === "first") ? 1 : 0;
  const rank = items.map((item) => (item.pin === "first" ? 0 : start));
  const left = Int32Array.from(into);
  const order = [];
  for (let n = 0; n < size; n++) if (!left[n]) order.push(n);
  for (let i = 0; i < order.length; i++) for (const b of out[order[i]]) {
    rank[b] = Math.max(rank[b], rank[order[i]] + 1);
    if (--left[b] === 0) order.push(b);
  }
  for (const n of order.reverse()) {
    if (items[n].pin || !out[n].length || into[n] >= out[n].length + (into[n] > 0)) continue;
    rank[n] = Math.max(rank[n], Math.min(...out[n].map((b) => rank[b])) - 1);
  }
  const last = Math.max(0, ...rank.filter((_, n) => items[n].pin !== "last"));
  items.forEach((item, n) => { if (item.pin === "last") rank[n] = last + 1; });
  return rank;
}

/** A cell for each item, and cells where edges pass a rank: those of one item go together.
    chains: the cells that each edge passes. */
function cellsOf(items, down, rank) {
  const cells = items.map((item, n) => ({
    item: n, rank: rank[n], w: item.w, h: item.h, up: [], down: [], x: 0, port: !!item.pin,
  }));
  let room = MOST_CELLS;
  const shared = new Map();
  const link = (from, to, fromX, toX) => {
    from.down.push({ cell: to, own: fromX, other: toX, weight: 1 });
    to.up.push({ cell: from, own: toX, other: fromX, weight: 1 });
  };
  const chains = down.map((edge) => {
    const span = rank[edge.b] - rank[edge.a] - 1;
    const from = cells[edge.a], to = cells[edge.b];
    if (span <= 0 || span > room) {
      if (span <= 0) link(from, to, edge.ax, edge.bx);
      return [];
    }
    const key = `${edge.a} ${edge.ax}`;
    if (!shared.has(key)) shared.set(key, []);
    const way = shared.get(key);
    while (way.length < span) {
      const before = way[way.length - 1];
      const cell = { item: -1, rank: rank[edge.a] + 1 + way.length, w: 2, h: 0, up: [], down: [], x: 0 };
      if (before) link(before, cell, 0, 0);
      else link(from, cell, edge.ax, 0);
      way.push(cell);
      cells.push(cell);
      room--;
    }
    link(way[span - 1], to, 0, edge.bx);
    return way.slice(0, span);
  });
  return { cells, chains };
}

/** The cells of each rank from left to right, with few crossings. */
function ordered(cells) {
  let ranks = firstOrder(cells);
  const number = () => ranks.forEach((row) => row.forEach((cell, n) => { cell.at = n; }));
  number();
  let best = ranks.map((row) => row.slice());
  let least = crossings(ranks);
  const tries = cells.length > 4000 ? 4 : 14;
  for (let turn = 0; turn < tries && least > 0; turn++) {
    const side = turn % 2 ? "down" : "up";
    for (const row of turn % 2 ? ranks.slice().reverse() : ranks) {
      for (const cell of row) {
        const near = cell[side];
        cell.wish = near.length
          ? near.reduce((sum, n) => sum + n.cell.at + n.other / 1e4, 0) / near.length : cell.at;
      }
      row.sort((a, b) => a.wish - b.wish || (turn % 4 < 2 ? a.at - b.at : b.at - a.at));
      row.forEach((cell, n) => { cell.at = n; });
    }
    const found = crossings(ranks);
    if (found < least) { least = found; best = ranks.map((row) => row.slice()); }
  }
  ranks = best;
  number();
  return ranks;
}

/** Depth first from the top, so that what belongs together starts together. */
function firstOrder(cells) {
  const ranks = [];
  const met = new Set();
  for (const start of cells) {
    const stack = start.up.length ? [] : [start];
    while (stack.length) {
      const cell = stack.pop();
      if (met.has(cell)) continue;
      met.add(cell);
      (ranks[cell.rank] ??= []).push(cell);
      for (let n = cell.down.length - 1; n >= 0; n--) stack.push(cell.down[n].cell);
    }
  }
  return Array.from(ranks, (row) => row ?? []);
}

/** How many pairs of edges between neighbouring ranks cross. */
function crossings(ranks) {
  let found = 0;
  for (const row of ranks) {
    const ends = [];
    for (const cell of row) {
      ends.push(...cell.down.map((n) => n.cell.at + (n.other + 1e3) / 1e6).sort((a, b) => a - b));
    }
    if (ends.length < 2) continue;
    const values = [...new Set(ends)].sort((a, b) => a - b);
    const place = new Map(values.map((value, n) => [value, n + 1]));
    const tree = new Int32Array(values.length + 1);
    let before = 0;
    for (const end of ends) {
      let below = 0;
      for (let i = place.get(end); i > 0; i -= i & -i) below += tree[i];
      found += before - below;
      for (let i = place.get(end); i < tree.length; i += i & -i) tree[i]++;
      before++;
    }
  }
  return found;
}

/** Give each cell its place, looking up and down in turns. */
function placeAcross(ranks) {
  for (const row of ranks) for (const cell of row) for (const n of cell.down) {
    // what has one way only stays straight; branches lean to where they join
    n.weight = cell.down.length === 1 && n.cell.up.length === 1 ? 12 : 1;
    if (cell.item < 0 && n.cell.item < 0) n.weight = 12;
    n.cell.up.find((back) => back.cell === cell && back.own === n.other).weight = n.weight;
  }
  for (const row of ranks) placeRow(row, () => [0, 1]);
  const turns = ranks.length > 500 ? 8 : 16;
  for (let turn = 0; turn < turns; turn++) {
    const last = turn >= turns - 2; // then a straight way counts for more than all branches
    const side = turn % 2 ? "up" : "down";
    for (const row of turn % 2 ? ranks : ranks.slice().reverse()) {
      placeRow(row, (cell) => {
        const straight = last && cell[side].filter((n) => n.weight > 1);
        return wishOf(cell, straight?.length ? straight : last ? [...cell.up, ...cell.down] : cell[side]);
      });
    }
  }
}

/** How far an edge's end counts. One at the far side of a box of columns does not, else each such box
    would stand beside the one before it, as stairs. */
function lean(x) {
  return Math.abs(x) > 180 ? 0 : x;
}

/** The mean of where neighbours would have a cell, and how much they want it. */
function wishOf(cell, near) {
  let sum = 0, weight = 0;
  for (const n of near) {
    sum += n.weight * (n.cell.x + lean(n.other) - lean(n.own));
    weight += n.weight;
  }
  return weight ? [sum / weight, weight] : [cell.x, 0.1];
}

/** Places of a rank nearest to the wishes that keep its order and its gaps. */
function placeRow(row, wish) {
  const blocks = [];
  let offset = 0;
  row.forEach((cell, n) => {
    if (n) {
      const before = row[n - 1];
      const gap = cell.item < 0 || before.item < 0 || cell.port ? GAP.cell : GAP.item;
      offset += (before.w + cell.w) / 2 + gap;
    }
    cell.offset = offset;
    const [at, weight] = wish(cell);
    let block = { mean: at - offset, weight, size: 1 };
    while (blocks.length && blocks[blocks.length - 1].mean > block.mean) {
      const left = blocks.pop();
      const sum = left.weight + block.weight;
      block = {
        mean: (left.mean * left.weight + block.mean * block.weight) / sum,
        weight: sum, size: left.size + block.size,
      };
    }
    blocks.push(block);
  });
  let n = 0;
  for (const block of blocks) for (let i = 0; i < block.size; i++, n++) {
    row[n].x = block.mean + row[n].offset;
  }
}

/** Heights, and the points of each edge. */
function finished(items, edges, { down, turned, cells, chains, ranks }) {
  const left = Math.min(0, ...cells.map((cell) => cell.x - cell.w / 2));
  const right = Math.max(0, ...cells.map((cell) => cell.x + cell.w / 2));
  const top = [], bottom = [];
  let at = 0;
  ranks.forEach((row, n) => {
    const height = Math.max(0, ...row.map((cell) => cell.h));
    const ports = row.length > 0 && row.every((cell) => cell.port || cell.item < 0);
    top[n] = at;
    bottom[n] = at + height;
    at += height + (n < ranks.length - 1 ? (ports && n === 0 ? GAP.port : GAP.rank) : 0);
  });
  const middleOf = (cell) => (top[cell.rank] + bottom[cell.rank]) / 2;
  const paths = edges.map((_, n) => {
    const { a, b, ax, bx } = down[n];
    const from = cells[a], to = cells[b];
    const points = [[from.x + ax, middleOf(from) + from.h / 2], [from.x + ax, bottom[from.rank]]];
    for (const cell of chains[n]) points.push([cell.x, top[cell.rank]], [cell.x, bottom[cell.rank]]);
    points.push([to.x + bx, top[to.rank]], [to.x + bx, middleOf(to) - to.h / 2]);
    const path = points.map(([x, y]) => [x - left, y]);
    return turned[n] ? path.reverse() : path;
  });
  return {
    w: right - left, h: at, paths, breaks: breaksOf(ranks, top, bottom, down, cells, chains),
    x: items.map((_, n) => cells[n].x - left),
    y: items.map((_, n) => middleOf(cells[n])),
  };
}

/** Heights at which one tensor alone leads on. */
function breaksOf(ranks, top, bottom, down, cells, chains) {
  const straight = down.some(({ a, b }, n) => !chains[n].length && cells[b].rank - cells[a].rank > 1);
  if (straight) return [];
  const breaks = [];
  for (let n = 0; n + 1 < ranks.length; n++) {
    const links = ranks[n].flatMap((cell) => cell.down.map((link) => link.cell));
    if (new Set(links).size === 1 && ranks[n + 1].length === 1) {
      breaks.push((bottom[n] + top[n + 1]) / 2);
    }
  }
  return breaks;
}
