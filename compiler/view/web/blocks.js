/* Scopes for models whose names have none. Layers that follow each other and whose names begin alike
   up to a number ("block_1_expand", "block_1_project") go together; where that is not enough, what
   lies between two points through which everything passes does, such as the branches of an
   Inception module with their concatenation. */

const CROWD = 24; // items of a scope beyond which they are grouped
const BLOCK = { named: 3, branched: 4 }; // items that a group has at least

/** Group the items of a scope and of all within it. */
function groupItems(scope) {
  if (scope.children.length > CROWD) groupByName(scope);
  if (scope.children.length > CROWD) groupByWaists(scope);
  for (const child of scope.children) if (child.kind === "scope") groupItems(child);
}

/** The beginning of a name up to its first number: "block_1_" of "block_1_expand/Relu". */
function numbered(name) {
  return name.match(/^[^/]*?[0-9]+[a-z]?(?=[_.-])[_.-]/)?.[0] ?? "";
}

function groupByName(scope) {
  const rest = (item) => item.name.slice(item.name.startsWith(scope.strip) ? scope.strip.length : 0);
  const key = (item) => (item.kind === "input" || item.kind === "output" ? "" : numbered(rest(item)));
  regroup(scope, runs(scope.children, key), BLOCK.named, ([first]) => {
    const begin = key(first);
    return { label: begin.slice(0, -1), strip: scope.strip + begin };
  });
}

/** Neighbours of one key together; what has no key stays alone. */
function runs(items, keyOf) {
  const found = [];
  let before = "";
  for (const item of items) {
    const key = keyOf(item);
    if (key && key === before) found[found.length - 1].push(item);
    else found.push([item]);
    before = key;
  }
  return found;
}

/** Cut a scope's items, which stand in an order in which they run, where one node's tensors alone
    lead on. */
function groupByWaists(scope) {
  const place = new Map(scope.children.map((child, n) => [child, n]));
  const inside = (node) => {
    let item = node;
    while (item && item.parent !== scope) item = item.parent;
    return item ? place.get(item) : -1;
  };
  const last = new Map(); // of each maker, the last place that reads it
  for (const edge of EDGES) {
    const to = inside(edge.to);
    if (to < 0) continue;
    const from = inside(edge.from);
    const known = last.get(edge.from.number) ?? { from, to };
    last.set(edge.from.number, { from, to: Math.max(known.to, to) });
  }
  const open = new Int32Array(scope.children.length + 1); // changes of how many makers are read
  for (const { from, to } of last.values()) {
    if (to <= from) continue;
    open[Math.max(0, from)]++;
    open[to]--;
  }
  const parts = [];
  let many = 2;
  let makers = 0;
  scope.children.forEach((child, n) => {
    if (many > 1 && parts.length) parts[parts.length - 1].push(child);
    else parts.push([child]);
    makers += open[n];
    many = child.kind === "input" || child.kind === "output" ? 0 : makers;
  });
  regroup(scope, parts, BLOCK.branched, (items) => {
    const { name } = items[items.length - 1];
    const own = name.startsWith(scope.strip) ? name.slice(scope.strip.length) : name;
    return { label: own.split("/")[0], strip: scope.strip };
  });
}

/** Put runs of at least some length into scopes of their own, but never all of a scope into one. */
function regroup(scope, parts, least, named) {
  if (parts.length < 2) return;
  scope.children = parts.flatMap((items) => {
    const layers = items.filter((item) => item.kind === "layer" || item.kind === "scope");
    if (layers.length < least || layers.length < items.length) return items;
    const { label, strip } = named(items);
    const made = newScope(`${scope.name}/${label}`, scope);
    Object.assign(made, { label, strip, made: true, children: items, order: items[0].order });
    for (const item of items) item.parent = made;
    return [made];
  });
}
