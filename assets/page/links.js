// A link to a part of a page brings one there: `?show=Table` chooses the section, and here it comes into view.

const SECTIONS = ["show", "below", "own", "network", "curves", "upload", "sweeping"]; // keys of controls in the address
const PATIENCE = 15_000; // ms until the part must be there
const SETTLING = 1500; // ms in which what stands above may still grow

/**
 * Return the key of the part that an address leads to, "" for none.
 * @param {string} query of the address
 */
export function partOf(query) {
  const asked = new URLSearchParams(query);
  return asked.get("open") ?? SECTIONS.findLast((name) => asked.has(name)) ?? "";
}

/** Follow the link by which the page was opened, and each that leads to another page of the app. */
export function follow() {
  let place = "";
  const look = () => {
    if (location.pathname === place) return;
    place = location.pathname;
    const part = partOf(location.search);
    if (/^[a-z-]+$/.test(part)) bringIntoView(`.st-key-${part}`);
  };
  look();
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
}

/** @param {string} selector */
function bringIntoView(selector) {
  const place = location.pathname, until = performance.now() + PATIENCE;
  let there = 0; // ms of the page's clock, when the part came
  let moved = false; // by a person, who then goes on as he likes
  const stop = () => { moved = true; };
  const gestures = ["wheel", "pointerdown", "keydown", "touchstart"];
  for (const gesture of gestures) addEventListener(gesture, stop, { capture: true, passive: true, once: true });
  /** @param {number} now */
  const look = (now) => {
    const part = document.querySelector(selector);
    if (part) {
      there ||= now;
      const { top, bottom } = part.getBoundingClientRect();
      const leads = !part.querySelector('[data-testid="stPopover"]') || top < 0 || bottom > innerHeight;
      if (leads) part.scrollIntoView({ block: "start", behavior: "instant" });
    }
    const over = moved || location.pathname !== place || (there ? now - there > SETTLING : now > until);
    if (!over) requestAnimationFrame(look);
    else for (const gesture of gestures) removeEventListener(gesture, stop, { capture: true });
  };
  requestAnimationFrame(look);
}
