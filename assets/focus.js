// Where the keyboard goes on after a lesson was turned to another step, or its question answered: not back to the top.

/** @typedef {{ place: string, title: string, answered: boolean }} FocusData */

const PATIENCE = 2000; // ms until a heading must be there
let shown = ""; // the place at which the page was last

/** @param {FocusData} data */
export function nameOf({ place, answered }) {
  return answered ? `${place} answered` : place;
}

/**
 * Return what gets the focus when a page goes from one place to another; "" for nothing.
 * @param {string} before "" where the page has just been opened
 * @param {FocusData} data
 */
export function targetOf(before, data) {
  if (!before || before === nameOf(data)) return "";
  if (data.place === "list") return "h1";
  return before === data.place ? ".st-key-question" : ".st-key-step :is(h2, h3)";
}

/** @param {{ data: FocusData }} component */
export default function focus({ data }) {
  const target = targetOf(shown, data), begun = performance.now();
  shown = nameOf(data);
  if (!target) return;
  const move = () => {
    const found = document.querySelector(target);
    const there = found instanceof HTMLElement && (target.startsWith(".st-key-question") || found.textContent === data.title);
    if (there) {
      found.tabIndex = -1;
      found.focus();
      found.scrollIntoView({ block: "nearest" });
    } else if (performance.now() - begun < PATIENCE && shown === nameOf(data)) {
      requestAnimationFrame(move);
    }
  };
  requestAnimationFrame(move);
}
