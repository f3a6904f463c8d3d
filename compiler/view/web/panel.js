/* The panel at the side: what is chosen, or the network as a whole. `choose` is in state.js. */

const panel = the("panel");

/** A button that leads to an item of the graph. */
function linkTo(item, text = item.label) {
  const button = make("button", { type: "button", class: "link", title: item.name }, text);
  button.addEventListener("click", () => choose(item, { centre: true }));
  return button;
}

function swatch(colour) {
  const element = make("span", { class: "swatch", "aria-hidden": "true" });
  element.style.background = colour;
  return element;
}

/** Terms and what they are; a row without a value is left out. */
function facts(rows) {
  const list = make("dl", { class: "facts" });
  for (const [term, value] of rows) {
    if (value === null || value === undefined || value === false || value === "") continue;
    list.append(make("dt", {}, term), make("dd", {}, ...[value].flat()));
  }
  return list;
}

function part(title, ...content) {
  return content.length ? [make("h3", {}, title), ...content] : [];
}

function showPanel(item) {
  const content = !item ? overview() : item.kind === "scope" ? scopePanel(item) : nodePanel(item);
  panel.replaceChildren(...content.flat());
  panel.scrollTop = 0;
}

/** The network as a whole. */
function overview() {
  const tensors = (list) => list.map((number) => tensorFacts(number));
  const { costs } = MODEL;
  return [
    make("h2", {}, MODEL.name || "Unnamed"),
    make("p", { class: "kind" }, MODEL.form),
    facts([
      ["Layers", LAYERS.length.toLocaleString("en")],
      ["Parameters", count(total(LAYERS, "parameters"))],
      ["MACs", count(total(LAYERS, "macs"))],
      ["Arena", LAYERS.length ? `${bytes(MODEL.memory.arena)}, ${MODEL.memory.plan}` : ""],
      ...MODEL.memory.targets.map(([target, size]) => [`Arena, ${target}`,
        `${bytes(size)}, the target's own plan, after fusion`]),
      ["Profile", costs && `${costs.device ? `${costs.target}, ${costs.device}` : costs.target}: `
        + `${amount(costs.total, costs.unit)}`],
      ["Matched", costs && `${costs.matched} of ${plural(costs.rows, "kernel")}`],
    ]),
    ...part("Inputs", ...tensors(MODEL.inputs)),
    ...part("Outputs", ...tensors(MODEL.outputs)),
    ...costliest(LAYERS),
    ...opTable(LAYERS),
    ...part("Of its making", ...(MODEL.metadata.length ? [facts(MODEL.metadata)] : [])),
  ];
}

/** The layers that cost most, with bars. */
function costliest(nodes) {
  const rows = nodes.filter((node) => node.cost?.share > 0)
    .sort((a, b) => b.cost.share - a.cost.share).slice(0, 10);
  const bars = rows.map((node) => make("li", {},
    linkTo(node, shortName(node)), costBar(node.cost.share, rows[0].cost.share)));
  return part("Costliest layers", ...(bars.length ? [make("ol", { class: "costs" }, ...bars)] : []));
}

/** A share, and its bar: as long as the room for it where the share is `most`. */
function costBar(share, most = 1) {
  const bar = make("span", { class: "bar" });
  const fill = make("span");
  fill.style.width = `${Math.min(100, (share / most) * 100)}%`;
  bar.append(fill);
  return make("span", { class: "cost" }, bar, percent(share));
}

/** How often each op is there; a press searches for it. */
function opTable(nodes) {
  const counts = new Map();
  for (const node of nodes) counts.set(node.op, (counts.get(node.op) ?? 0) + 1);
  const rows = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([op, number]) => {
    const button = make("button", { type: "button", class: "link" }, op);
    button.addEventListener("click", () => searchFor(op));
    return make("li", {}, swatch(COLOURS[familyOf(op)]), button,
      make("span", { class: "number" }, number.toLocaleString("en")));
  });
  return part("Ops", ...(rows.length ? [make("ul", { class: "ops" }, ...rows)] : []));
}

function scopePanel(scope) {
  const button = make("button", { type: "button" }, scope.open ? "Fold " : "Unfold ",
    make("kbd", {}, scope.open ? "[" : "]"));
  button.addEventListener("click", () => toggle(scope));
  return [
    make("h2", {}, scope.label),
    make("p", { class: "kind" }, scope.made ? "Block, grouped by this page"
      : make("span", { class: "path" }, scope.name)),
    button,
    facts([
      ["Layers", scope.nodes.length.toLocaleString("en")],
      ["Parameters", count(total(scope.nodes, "parameters"))],
      ["MACs", count(total(scope.nodes, "macs"))],
      ["Cost", MODEL.costs ? [costBar(scope.share)] : null],
      ["Within", scope.parent.parent ? [linkTo(scope.parent)] : null],
    ]),
    ...costliest(scope.nodes),
    ...opTable(scope.nodes),
    ...part("Holds", make("ul", { class: "holds" }, ...scope.children.slice(0, 200).map((child) => make(
      "li", {}, linkTo(child), child.kind === "scope" ? ` ${plural(child.nodes.length, "layer")}` : "",
    )))),
  ];
}

function nodePanel(node) {
  const kind = node.kind === "layer" ? node.op : `${node.op} of the network`;
  const constants = node.inputs.filter((t) => t >= 0 && MODEL.tensors[t].role === "constant");
  const read = node.inputs.filter((t) => t < 0 || MODEL.tensors[t].role !== "constant");
  return [
    make("h2", {}, node.label),
    make("p", { class: "kind" }, swatch(COLOURS[familyOf(node.op)]), kind),
    facts([
      ["Name", make("span", { class: "path" }, node.name)],
      ["Number", node.kind === "layer" && `${node.number + 1} of ${LAYERS.length}`],
      ["Runs on", node.placement && [swatch(COLOURS[`at-${placeOf(node)}`]), node.placement]],
      ...costRows(node),
      ["Parameters", node.parameters ? count(node.parameters) : ""],
      ["MACs", node.macs === null ? "not known, a size is open" : node.macs ? count(node.macs) : ""],
      ["Alive", node.kind === "layer" && MODEL.memory.live.length
        ? `${bytes(MODEL.memory.live[node.number])} while it runs` : ""],
      ["Within", node.parent.parent ? [linkTo(node.parent)] : null],
    ]),
    ...part("Attributes", ...(node.attributes.length ? [facts(node.attributes)] : [])),
    ...part("Reads", ...read.map((t) => tensorFacts(t, [PRODUCER.get(t)].filter(Boolean)))),
    ...part("Writes", ...node.outputs.map((t) => tensorFacts(
      t, [...new Set(node.out.filter((e) => e.tensor === t).map((e) => e.to))], "to",
    ))),
    ...part("Constants", ...constants.map((t) => tensorFacts(t))),
    ...part("Nodes that it computes", ...(node.nodes.length
      ? [make("ul", { class: "names" }, ...node.nodes.map((name) => make("li", {}, name)))] : [])),
  ];
}

function costRows(node) {
  if (!MODEL.costs) return node.kernels.length ? [kernelRow(node.kernels)] : [];
  const { cost } = node;
  if (!cost) return node.kind === "layer" ? [["Cost", "not in the profile"]] : [];
  if (cost.within >= 0) {
    return [["Cost", ["in the same kernel as ", linkTo(LAYERS[cost.within])]],
      kernelRow(cost.kernels)];
  }
  return [["Cost", [costBar(cost.share), ` ${amount(cost.amount, MODEL.costs.unit)}`]],
    kernelRow(cost.kernels)];
}

function kernelRow(kernels) {
  return [kernels.length > 1 ? "Kernels" : "Kernel", kernels.join(", ")];
}

/** A tensor: its shape, who makes or reads it, and of a constant what its numbers are like. */
function tensorFacts(number, others = [], how = "from") {
  if (number < 0) return make("div", { class: "tensor" }, "left out");
  const tensor = MODEL.tensors[number];
  const found = tensor.statistics;
  const links = others.slice(0, 30).flatMap((other, n) => [n ? ", " : `${how} `, linkTo(other)]);
  return make("div", { class: "tensor" },
    make("p", {}, make("span", { class: "path" }, tensor.name)),
    make("p", { class: "shape" }, `${tensor.dtype} ${shapeText(tensor.shape)}`),
    ...(links.length ? [make("p", { class: "others" }, ...links)] : []),
    ...(tensor.quantization ? [quantizationFacts(tensor.quantization)] : []),
    ...(tensor.value ? [make("p", { class: "value" }, tensor.value, standsFor(tensor))] : []),
    ...(found && found.elements > 1 ? [statisticsFacts(found)] : []));
}

/** Of a single stored integer the number that it stands for. */
function standsFor({ quantization, statistics }) {
  if (!quantization || statistics?.elements !== 1) return "";
  return ` stands for ${short(statistics.minimum)}`;
}

function quantizationFacts(row) {
  return make("p", { class: "shape" }, `${row.bits} bits: ${short(row.scale)} × (stored `
    + `${row.offset < 0 ? "−" : "+"} ${Math.abs(row.offset)}), ${short(row.minimum)} to ${short(row.maximum)}`);
}

function statisticsFacts(found) {
  const rows = [
    ["Minimum", short(found.minimum)], ["Maximum", short(found.maximum)],
    ["Mean", short(found.mean)], ["Std. dev.", short(found.deviation)],
    ["Zeros", percent(found.zeros)], ["Elements", count(found.elements)],
    ["Not finite", found.not_finite ? found.not_finite.toLocaleString("en") : ""],
  ];
  const list = facts(rows);
  list.classList.add("pairs");
  const flat = found.minimum === found.maximum;
  return make("div", {}, list, ...(flat ? [] : [histogram(found)]));
}
