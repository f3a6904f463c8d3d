/* Search: all words of the query must be in a layer's name, op, tensors or nodes. */

const searchBox = the("search");
const foundList = the("found");
const SHOWN = 50;
const searching = { rows: [], at: -1 };

/** The text of a node that is searched, made once; what it reads of others belongs to those. */
function searchText(node) {
  const own = (t) => t >= 0 && MODEL.tensors[t].role === "constant";
  node.text ??= [node.name, node.op, node.placement, ...node.kernels, ...node.nodes,
    ...[...node.inputs.filter(own), ...node.outputs].map((t) => MODEL.tensors[t].name),
  ].join("\n").toLowerCase();
  return node.text;
}

/** Nodes that fit, those first whose op is the query, then whose own name holds it. */
function search(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const rank = (node) => {
    if (node.op.toLowerCase() === words[0]) return 0;
    return words.every((word) => node.name.toLowerCase().includes(word)) ? 1 : 2;
  };
  return NODES.filter((node) => words.every((word) => searchText(node).includes(word)))
    .map((node) => [rank(node), node]).sort((a, b) => a[0] - b[0] || a[1].number - b[1].number)
    .map(([, node]) => node);
}

function runSearch() {
  const query = searchBox.value.trim();
  searching.rows = search(query);
  searching.at = -1;
  STATE.found = query ? new Set(searching.rows) : null;
  showFound(query);
  redraw();
}

function showFound(query) {
  const rows = searching.rows.slice(0, SHOWN).map((node, n) => {
    const row = make("li", { id: `found-${n}`, role: "option", "aria-selected": "false" },
      swatch(COLOURS[familyOf(node.op)]), make("b", {}, node.op),
      make("span", { class: "path" }, shortName(node)));
    row.addEventListener("pointerdown", (event) => event.preventDefault());
    row.addEventListener("click", () => goTo(n));
    return row;
  });
  const more = searching.rows.length - rows.length;
  if (query && !rows.length) rows.push(make("li", { class: "none" }, "Nothing fits"));
  if (more > 0) rows.push(make("li", { class: "none" }, `and ${more.toLocaleString("en")} more`));
  foundList.replaceChildren(...rows);
  openFound(Boolean(query));
  if (query) say(`${plural(searching.rows.length, "layer")} found`);
}

function openFound(open) {
  foundList.hidden = !open;
  searchBox.setAttribute("aria-expanded", String(open));
  if (!open) searchBox.removeAttribute("aria-activedescendant");
}

/** Mark a row of those found. */
function markFound(at) {
  const rows = foundList.querySelectorAll("[role=option]");
  if (!rows.length) return;
  rows[searching.at]?.setAttribute("aria-selected", "false");
  searching.at = (at + rows.length) % rows.length;
  rows[searching.at].setAttribute("aria-selected", "true");
  rows[searching.at].scrollIntoView({ block: "nearest" });
  searchBox.setAttribute("aria-activedescendant", `found-${searching.at}`);
}

/** Choose what was found; the others stay marked in the graph until the query goes. */
function goTo(at) {
  const node = searching.rows[at];
  if (!node) return;
  openFound(false);
  choose(node, { centre: true });
  the("stage").focus();
}

function searchFor(query) {
  searchBox.value = query;
  runSearch();
  searchBox.focus();
}

function endSearch() {
  searchBox.value = "";
  runSearch();
}

searchBox.addEventListener("input", runSearch);
searchBox.addEventListener("focus", () => { if (searchBox.value.trim()) openFound(true); });
searchBox.addEventListener("blur", () => openFound(false));
searchBox.addEventListener("keydown", (event) => {
  const steps = { ArrowDown: 1, ArrowUp: -1 };
  if (event.key in steps) {
    openFound(searching.rows.length > 0);
    markFound(searching.at < 0 && steps[event.key] < 0 ? -1 : searching.at + steps[event.key]);
  } else if (event.key === "Enter") {
    goTo(Math.max(0, searching.at));
  } else if (event.key === "Escape") {
    endSearch();
    the("stage").focus();
  } else {
    return;
  }
  event.preventDefault();
  event.stopPropagation();
});
