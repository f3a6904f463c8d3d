/* Where the graph is looked at from, and how far. */

const MARGIN = { x: 108, y: 40 }; // free around the whole graph, the buttons lie there
const ZOOM = { least: 0.008, most: 3, step: 1.25 };

/* x, y: the world's point in the window's upper left corner.   k: pixels to a unit of the world. */
const CAMERA = { x: 0, y: 0, k: 1, w: 1, h: 1 };
const motion = { frame: 0, asked: false, drawing: () => {} };

/** Draw at the next frame, once however often it is asked for. */
function redraw() {
  if (motion.asked) return;
  motion.asked = true;
  requestAnimationFrame(() => {
    motion.asked = false;
    motion.drawing();
  });
}

function toWorld(x, y) {
  return [CAMERA.x + x / CAMERA.k, CAMERA.y + y / CAMERA.k];
}

function toScreen(x, y) {
  return [(x - CAMERA.x) * CAMERA.k, (y - CAMERA.y) * CAMERA.k];
}

/** Some of the graph stays in sight, wherever it is moved to. */
function held(view, scene) {
  const margin = 60;
  const w = CAMERA.w / view.k, h = CAMERA.h / view.k, m = margin / view.k;
  view.x = Math.min(Math.max(view.x, m - w), scene.w - m);
  view.y = Math.min(Math.max(view.y, m - h), scene.h - m);
  return view;
}

function moveTo(view, scene, smoothly = false) {
  cancelAnimationFrame(motion.frame);
  const end = held({ x: view.x, y: view.y, k: view.k }, scene);
  if (!smoothly || REDUCED.matches) {
    Object.assign(CAMERA, end);
    redraw();
    return;
  }
  const start = { x: CAMERA.x, y: CAMERA.y, k: CAMERA.k };
  const began = performance.now();
  const step = (now) => {
    const part = Math.min(1, Math.max(0, (now - began) / 220));
    const eased = 1 - (1 - part) ** 3;
    // the middle of the window moves evenly; the zoom does by factors
    const k = start.k * (end.k / start.k) ** eased;
    const mid = (at, size, axis) => at[axis] + size / 2 / at.k;
    for (const [axis, size] of [["x", CAMERA.w], ["y", CAMERA.h]]) {
      const from = mid(start, size, axis), to = mid(end, size, axis);
      CAMERA[axis] = from + (to - from) * eased - size / 2 / k;
    }
    CAMERA.k = k;
    motion.drawing();
    if (part < 1) motion.frame = requestAnimationFrame(step);
  };
  motion.frame = requestAnimationFrame(step);
}

function panBy(dx, dy, scene, smoothly = false) {
  moveTo({ x: CAMERA.x + dx / CAMERA.k, y: CAMERA.y + dy / CAMERA.k, k: CAMERA.k }, scene, smoothly);
}

/** Zoom so that the world's point under (x, y) of the window stays there. */
function zoomAt(factor, x, y, scene, smoothly = false) {
  const k = Math.min(ZOOM.most, Math.max(ZOOM.least, CAMERA.k * factor));
  const [wx, wy] = toWorld(x, y);
  moveTo({ x: wx - x / k, y: wy - y / k, k }, scene, smoothly);
}

/** All of the graph in the window. */
function fitAll(scene, smoothly = false) {
  const k = Math.min(1.2, (CAMERA.w - MARGIN.x) / scene.w, (CAMERA.h - MARGIN.y) / scene.h);
  const zoom = Math.max(ZOOM.least, k);
  moveTo({
    x: scene.w / 2 - CAMERA.w / 2 / zoom, y: scene.h / 2 - CAMERA.h / 2 / zoom, k: zoom,
  }, scene, smoothly);
}

/** The start: the whole graph where its texts can then be read, else its top. */
function fitFirst(scene) {
  fitAll(scene);
  const readable = 0.68;
  if (CAMERA.k >= readable) return;
  const k = Math.max(Math.min(1, (CAMERA.w - MARGIN.x) / scene.w), readable);
  const centre = scene.first ? scene.first.x + scene.first.w / 2 : scene.w / 2;
  // of columns the first are seen, of a wide tower what stands around its top
  const x = Math.min(centre - CAMERA.w / 2 / k, WRAP.on ? -24 / k : Infinity);
  moveTo({ x: Math.max(x, -CAMERA.w / 2 / k), y: -24 / k, k }, scene);
}

/** Bring a place into the window, moving no further than needed; what is far off, into its middle. */
function reveal(place, scene, { centre = false } = {}) {
  const [left, top] = toScreen(place.x, place.y);
  const [right, bottom] = toScreen(place.x + place.w, place.y + place.h);
  const seen = left >= 0 && top >= 0 && right <= CAMERA.w && bottom <= CAMERA.h;
  if (centre && seen && CAMERA.k >= 0.6) return;
  const k = centre ? Math.max(CAMERA.k, 0.8) : CAMERA.k;
  const w = CAMERA.w / k, h = CAMERA.h / k, margin = 40 / k;
  if (centre) {
    const y = place.h > h ? place.y - margin : place.y + place.h / 2 - h / 2;
    moveTo({ x: place.x + place.w / 2 - w / 2, y, k }, scene, true);
    return;
  }
  const near = (at, size, start, room) => {
    if (size + 2 * margin > room) return at - margin;
    return Math.min(Math.max(start, at + size + margin - room), at - margin);
  };
  moveTo({
    x: near(place.x, place.w, CAMERA.x, w), y: near(place.y, place.h, CAMERA.y, h), k,
  }, scene, true);
}
