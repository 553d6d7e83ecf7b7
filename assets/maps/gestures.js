// What fingers, wheel and keys do to a panel.

import { middle } from "./geometry.js";

/** @import { MapsView, Panel } from "./view.js" */
/** @import { Point } from "./types.js" */

const CLICK = 4; // CSS pixels a pointer may move and still click
const KEY_STEP = 40; // CSS pixels an arrow key moves a map
const KEY_ZOOM = 1.3;
const KEY_REACH = 60; // CSS pixels around the cross in which Enter selects
const WHEEL_SPEED = 400; // pixels of scrolling that zoom by e

/**
 * Listen to everything that happens at a panel.
 * @param {MapsView} view
 * @param {Panel} panel
 */
export function listen(view, panel) {
  listenToPointers(view, panel);
  const { element } = panel;
  element.addEventListener(
    "wheel",
    (event) => {
      const focused = view.root.getRootNode();
      const active = focused instanceof ShadowRoot || focused instanceof Document ? focused.activeElement : null;
      if (!event.ctrlKey && !event.metaKey && active !== element) return; // otherwise the page scrolls
      event.preventDefault();
      view.zoom(panel, Math.exp(-event.deltaY / WHEEL_SPEED), view.onStage(event));
    },
    { passive: false },
  );
  element.addEventListener("keydown", (event) => pressKey(view, panel, event));
  element.addEventListener("focus", () => view.show());
  element.addEventListener("blur", () => view.show());
}

/**
 * @param {MapsView} view
 * @param {Panel} panel
 */
function listenToPointers(view, panel) {
  const { element } = panel;
  /** @type {Map<number, Point>} */
  const fingers = new Map();
  let moved = false;

  element.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    element.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, view.onStage(event));
    moved = false;
    view.path = fingers.size === 1 ? [view.onStage(event)] : [];
  });
  element.addEventListener("pointermove", (event) => {
    const at = view.onStage(event), before = fingers.get(event.pointerId);
    if (!before) return view.hoverAt(panel, at);
    fingers.set(event.pointerId, at);
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    if (fingers.size === 2 && other) pinch(view, panel, other, before, at);
    else if (view.path.length) {
      const [[x, y]] = view.path;
      view.path.push(at);
      moved ||= Math.hypot(at[0] - x, at[1] - y) > CLICK;
      if (view.mode === "move" && event.pointerType !== "touch") view.pan(panel, at[0] - before[0], at[1] - before[1]);
      view.hoverAt(panel, null);
    }
  });
  const up = (/** @type {PointerEvent} */ event) => {
    if (!fingers.delete(event.pointerId)) return;
    if (event.type === "pointerup" && view.path.length) {
      if (moved && view.mode !== "move") view.selectInside(panel, event.shiftKey);
      else if (!moved) clickAt(view, panel, event);
    }
    view.path = [];
    moved = false;
    view.show();
  };
  element.addEventListener("pointerup", up);
  element.addEventListener("pointercancel", up);
  element.addEventListener("pointerleave", () => view.hoverAt(panel, null));
}

/**
 * Zoom by how far two fingers moved apart, and drag by how far they went.
 * @param {MapsView} view
 * @param {Panel} panel
 * @param {Point} other the finger that rests
 * @param {Point} before where the moving finger was
 * @param {Point} at where it is
 */
function pinch(view, panel, other, before, at) {
  const length = Math.hypot(before[0] - other[0], before[1] - other[1]);
  const factor = length ? Math.hypot(at[0] - other[0], at[1] - other[1]) / length : 1;
  view.zoom(panel, factor, [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2]);
  view.pan(panel, (at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
}

/**
 * Select the point under a click.
 * @param {MapsView} view
 * @param {Panel} panel
 * @param {PointerEvent} event
 */
function clickAt(view, panel, event) {
  const at = view.onStage(event), i = view.nearest(panel, at);
  if (i >= 0) view.select([i], event.shiftKey);
}

/**
 * @param {MapsView} view
 * @param {Panel} panel
 * @param {KeyboardEvent} event
 */
function pressKey(view, panel, event) {
  const cross = middle(panel.box);
  /** @type {Record<string, () => void>} */
  const actions = {
    ArrowLeft: () => view.pan(panel, KEY_STEP, 0),
    ArrowRight: () => view.pan(panel, -KEY_STEP, 0),
    ArrowUp: () => view.pan(panel, 0, KEY_STEP),
    ArrowDown: () => view.pan(panel, 0, -KEY_STEP),
    "+": () => view.zoom(panel, KEY_ZOOM, cross),
    "=": () => view.zoom(panel, KEY_ZOOM, cross),
    "-": () => view.zoom(panel, 1 / KEY_ZOOM, cross),
    0: () => view.showWhole([panel]),
    Escape: () => view.select([], false),
    Enter: () => {
      const i = view.nearest(panel, cross, KEY_REACH);
      if (i >= 0) view.select([i], event.shiftKey);
    },
  };
  if (!Object.hasOwn(actions, event.key)) return;
  actions[event.key]();
  event.preventDefault();
  const i = event.key === "Escape" ? -1 : view.nearest(panel, cross, KEY_REACH);
  view.hover(i, i < 0 ? cross : view.screen(panel, i));
}
