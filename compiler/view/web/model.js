/* The model: layers and the network's inputs and outputs as nodes, tensors as edges between them,
   and the tree of scopes that the layers' names make. */

const MOST_DEEP = 24; // scopes within each other
const MODEL = JSON.parse(the("model").textContent);

/* A node has: number, kind ("layer", "input" or "output"), name, op, and what the page shows of it.
   An item is a node or a scope; items have a parent scope, a label and an order.
   A scope is a folder of items: children, open, nodes (all within). */

function readNodes() {
  const nodes = MODEL.layers.map((layer, number) => ({
    ...layer, number, kind: "layer", out: [], in: [], cost: null, placement: "", kernels: [],
  }));
  const outside = (kind, op) => (tensor) => nodes.push({
    number: nodes.length, kind, op, name: MODEL.tensors[tensor].name, attributes: [], nodes: [],
    inputs: kind === "output" ? [tensor] : [], outputs: kind === "input" ? [tensor] : [],
    parameters: 0, macs: 0, out: [], in: [], cost: null, placement: "", kernels: [],
  });
  MODEL.inputs.forEach(outside("input", "Input"));
  MODEL.outputs.forEach(outside("output", "Output"));
  for (const [number, placement] of MODEL.placements) nodes[number].placement = placement;
  for (const [number, kernels] of MODEL.kernels) nodes[number].kernels = kernels;
  for (const row of MODEL.costs?.layers ?? []) nodes[row.layer].cost = row;
  return nodes;
}

/** One edge for each tensor that a node reads of another; nodes get their edges. */
function readEdges(nodes) {
  const maker = new Map();
  for (const node of nodes) for (const tensor of node.outputs) {
    if (!maker.has(tensor)) maker.set(tensor, node);
  }
  const edges = [];
  for (const node of nodes) for (const tensor of new Set(node.inputs)) {
    const from = maker.get(tensor);
    if (from === undefined || from === node) continue;
    const edge = { number: edges.length, from, to: node, tensor };
    edges.push(edge);
    from.out.push(edge);
    node.in.push(edge);
  }
  return edges;
}

/** The part of a layer's name that names its scope; of absurdly deep ones the outer part. */
function scopeName(name) {
  const parts = name.split("/").slice(0, -1);
  return parts.slice(0, MOST_DEEP).join("/");
}

let scopeCount = 0;

function newScope(name, parent) {
  const label = name;
  return { kind: "scope", id: scopeCount++, name, label, parent, children: [], open: false, strip: "" };
}

/** The tree of scopes. Scopes of one item are left out, their names kept in what they hold. */
function readScopes(nodes) {
  const root = newScope("", null);
  root.open = true;
  const scopes = new Map([["", root]]);
  const scopeOf = (name) => {
    if (scopes.has(name)) return scopes.get(name);
    const slash = name.lastIndexOf("/");
    const parent = scopeOf(slash < 0 ? "" : name.slice(0, slash));
    const scope = newScope(name, parent);
    scope.strip = `${name}/`;
    parent.children.push(scope);
    scopes.set(name, scope);
    return scope;
  };
  for (const node of nodes) {
    node.parent = scopeOf(node.kind === "layer" ? scopeName(besideOf(node).name) : "");
    node.parent.children.push(node);
  }
  simple(root);
  dissolve(root);
  finish(root);
  groupItems(root);
  finish(root);
  return root;
}

/** A layer that compiling made has a name that says nothing: it goes where what reads it is. */
function besideOf(node) {
  if (node.nodes.length || node.name.includes("/")) return node;
  const others = [...node.out.map((edge) => edge.to), ...node.in.map((edge) => edge.from)];
  return others.find((other) => other.kind === "layer" && other.name.includes("/")) ?? node;
}

/** Leave out scopes of one item. */
function simple(scope) {
  scope.children = scope.children.map((child) => {
    if (child.kind !== "scope") return child;
    simple(child);
    return child.children.length === 1 ? child.children[0] : child;
  });
  for (const child of scope.children) child.parent = scope;
}

/** A scope that holds everything but the network's inputs and outputs tells nothing. */
function dissolve(root) {
  const inner = root.children.filter((child) => child.kind === "scope");
  const layers = root.children.filter((child) => child.kind === "layer");
  if (inner.length !== 1 || layers.length > 0) return;
  root.strip = inner[0].strip;
  root.children = root.children.flatMap((child) => (child === inner[0] ? child.children : [child]));
  for (const child of root.children) child.parent = root;
  dissolve(root);
}

/** Labels, order and sums of a scope and all within it. */
function finish(scope) {
  scope.nodes = [];
  for (const child of scope.children) {
    if (!child.made) {
      const inside = child.name.startsWith(scope.strip) && child.name.length > scope.strip.length;
      child.label = inside ? child.name.slice(scope.strip.length) : child.name;
    }
    if (child.kind === "scope") {
      finish(child);
      scope.nodes.push(...child.nodes);
    } else {
      child.order = child.kind === "input" ? child.number - 1e9 : child.number;
      scope.nodes.push(child);
    }
  }
  scope.children.sort((a, b) => a.order - b.order);
  scope.order = scope.nodes.reduce((least, node) => Math.min(least, node.order), Infinity);
  scope.share = scope.nodes.reduce((sum, node) => sum + (node.cost?.share ?? 0), 0);
}

/** A layer's name without what all names begin with. */
function shortName(node) {
  return node.name.startsWith(ROOT.strip) ? node.name.slice(ROOT.strip.length) : node.name;
}

/** The scopes that hold an item, the innermost first, without the root. */
function scopesOf(item) {
  const found = [];
  for (let scope = item.parent; scope && scope.parent; scope = scope.parent) found.push(scope);
  return found;
}

/** What is seen of an item: itself, or the outermost folded scope that holds it. */
function seen(item) {
  let found = item;
  for (const scope of scopesOf(item)) if (!scope.open) found = scope;
  return found;
}

/** Unfold whole levels, the outer ones first, as long as the graph stays one that can be read. */
function unfoldFirst(root, most = 40) {
  let visible = root.children.length;
  for (let level = [root]; level.length;) {
    const inner = level.flatMap((scope) => scope.children.filter((c) => c.kind === "scope"));
    visible += inner.reduce((sum, scope) => sum + scope.children.length - 1, 0);
    if (visible > most) return;
    for (const scope of inner) scope.open = true;
    level = inner;
  }
}

function allScopes(root) {
  const found = [];
  const walk = (scope) => {
    for (const child of scope.children) if (child.kind === "scope") { found.push(child); walk(child); }
  };
  walk(root);
  return found;
}

const NODES = readNodes();
const EDGES = readEdges(NODES);
const ROOT = readScopes(NODES);
const LAYERS = NODES.slice(0, MODEL.layers.length);
