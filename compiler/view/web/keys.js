/* What keys do in the graph. */

const KEYS = [
  ["↑ ↓", "what it reads, what reads it"],
  ["← →", "what is beside it"],
  ["Shift+arrows", "move the window"],
  ["Home End", "first and last layer"],
  ["Enter", "details in the panel; Escape leads back"],
  ["Space", "fold or unfold a scope"],
  ["[ ]", "fold the scope around it, unfold it"],
  ["{ }", "fold all, unfold all"],
  ["/", "search; ↑ ↓ and Enter choose, Escape ends"],
  ["+ − 0", "zoom in, zoom out, show all"],
  ["1", "size in which texts are read well"],
  ["w", "one tower, or columns that fill the window"],
  ["c", "next way to colour"],
  ["m", "memory timeline"],
  ["t", "light, dark, or as the system"],
  ["?", "these keys"],
  ["wheel", "moves; with Ctrl, or two fingers, zooms"],
];

const ACTIONS = {
  Enter: () => { showPanel(STATE.chosen); panel.focus(); },
  " ": () => { if (STATE.chosen?.kind === "scope") toggle(STATE.chosen); },
  "[": () => {
    const { chosen } = STATE;
    const scope = chosen?.kind === "scope" && chosen.open ? chosen : chosen && scopesOf(chosen)[0];
    if (scope) toggle(scope, false);
  },
  "]": () => { if (STATE.chosen?.kind === "scope") toggle(STATE.chosen, true); },
  "{": () => toggleAll(false),
  "}": () => toggleAll(true),
  "/": () => { searchBox.focus(); searchBox.select(); },
  "+": () => zoom("in"),
  "=": () => zoom("in"),
  "-": () => zoom("out"),
  0: () => zoom("fit"),
  1: () => zoom("one"),
  c: () => {
    const at = MODES.findIndex(([key]) => key === COLOURS.mode);
    setMode(MODES[(at + 1) % MODES.length][0]);
  },
  w: () => {
    WRAP.on = !WRAP.on;
    for (const scope of [ROOT, ...allScopes(ROOT)]) scope.layout = null;
    compose();
    if (STATE.chosen) choose(STATE.chosen, { centre: true });
    else fitFirst(STATE.scene);
    say(WRAP.on ? "In columns" : "As one tower");
  },
  m: () => { if (MODEL.memory.placed.length) toggleMemory(); },
  t: () => nextTheme(),
  "?": () => the("help").showModal(),
  Home: () => choose(start(), { centre: true }),
  End: () => choose(NODES.length ? seen(NODES[NODES.length - 1]) : null, { centre: true }),
  Escape: () => { if (STATE.found) endSearch(); else choose(null); },
};

function zoom(how) {
  const [x, y] = [CAMERA.w / 2, CAMERA.h / 2];
  if (how === "fit") fitAll(STATE.scene, true);
  else if (how === "one") zoomAt(1 / CAMERA.k, x, y, STATE.scene, true);
  else zoomAt(how === "in" ? ZOOM.step : 1 / ZOOM.step, x, y, STATE.scene, true);
}

function setMode(mode) {
  COLOURS.mode = mode;
  the("colour").value = mode;
  showLegend();
  refresh();
  say(`Coloured ${MODES.find(([key]) => key === mode)[1]}`);
}

stage.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key.startsWith("Arrow")) {
    if (event.shiftKey) {
      const ways = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
      panBy(ways[event.key][0] * 120, ways[event.key][1] * 120, STATE.scene, true);
    } else {
      const next = step(event.key);
      if (next) choose(next);
    }
  } else if (Object.hasOwn(ACTIONS, event.key)) {
    ACTIONS[event.key]();
  } else {
    return;
  }
  event.preventDefault();
});

/* These work wherever the focus is, but in a field that takes text. */
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.defaultPrevented || typing || the("help").open) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && panel.contains(event.target)) stage.focus();
  else if ("/?mtcw".includes(event.key)) ACTIONS[event.key]();
  else return;
  event.preventDefault();
});

the("keys").append(...KEYS.flatMap(([keys, what]) => [
  make("dt", {}, ...keys.split(" ").flatMap((key, n) => [n ? " " : "", make("kbd", {}, key)])),
  make("dd", {}, what),
]));
