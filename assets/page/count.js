// Numbers that change count up or down to what they become, wherever the page shows them as text of its own.
//
// React and our components write the new text; what they wrote last is what stands there in the end.

import { between, onlyNumbersDiffer } from "./numbers.js";

const MOVE = 180; // ms
const COUNTED = '[data-counts], [data-testid="stMetricValue"], .stMarkdownBadge, .st-key-answer, .st-key-came-out, .kd-table';
const SPOKEN = '[role="alert"], [role="status"], [aria-live]'; // read aloud when it changes: once is enough

/** @typedef {{ from: string, to: string, begun: number }} Way */

/** @type {Map<Text, Way>} */
const ways = new Map();
let request = 0; // of the next picture
const still = matchMedia("(prefers-reduced-motion: reduce)");
/** @type {MutationObserver} */
let seen;
const OPTIONS = { subtree: true, childList: true, characterData: true, characterDataOldValue: true };

/** Count in the page, and in every component that says that it has numbers that change. */
export function watch() {
  seen = new MutationObserver((changes) => {
    changes.forEach(follow);
    seen.takeRecords(); // of what was just written here
  });
  seen.observe(document.body, OPTIONS);
  document.addEventListener("kd-counts", (event) => {
    if (event instanceof CustomEvent && event.detail instanceof Node) seen.observe(event.detail, OPTIONS);
  });
}

/** @param {MutationRecord} change */
function follow({ type, target, oldValue, removedNodes, addedNodes }) {
  if (still.matches || document.hidden) return;
  if (type === "characterData" && target instanceof Text) return begin(target, target, oldValue ?? "");
  if (removedNodes.length !== 1 || addedNodes.length !== 1) return;
  const [before, after] = [removedNodes[0], addedNodes[0]];
  if (before instanceof Text && after instanceof Text) return begin(after, before, before.data);
  const known = new Map(rowsOf(before).map((row) => [rowName(row), texts(row)]));
  for (const row of rowsOf(after)) {
    const [old, now] = [known.get(rowName(row)) ?? [], texts(row)];
    if (old.length === now.length) now.forEach((text, i) => begin(text, old[i], old[i].data));
  }
}

/**
 * Return the rows of a table that counts.
 * @param {Node} node
 */
function rowsOf(node) {
  return node instanceof Element && node.matches(".kd-table") ? [...node.querySelectorAll("tbody tr")] : [];
}

/**
 * Return what tells a row from the others, wherever it stands: a table may have been sorted.
 * @param {Element} row
 */
function rowName(row) {
  return `${row.getAttribute("data-row")} ${row.querySelector("th")?.textContent}`;
}

/**
 * Return the texts in a row.
 * @param {Element} row
 */
function texts(row) {
  const walker = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
  /** @type {Text[]} */
  const found = [];
  while (walker.nextNode()) if (walker.currentNode instanceof Text) found.push(walker.currentNode);
  return found;
}

/**
 * @param {Text} text that has changed, or has come
 * @param {Text} before in whose place it stands
 * @param {string} from what that said
 */
function begin(text, before, from) {
  const way = ways.get(before);
  ways.delete(before);
  const parent = text.parentElement;
  if (!parent?.closest(COUNTED) || parent.closest(SPOKEN) || !onlyNumbersDiffer(from, text.data)) return;
  request ||= requestAnimationFrame(step);
  const goesOn = way?.to === text.data; // written once more on its way there
  ways.set(text, goesOn ? way : { from, to: text.data, begun: performance.now() });
  text.data = from;
}

/** @param {number} now ms of the page's clock */
function step(now) {
  for (const [text, way] of ways) {
    const share = text.isConnected ? Math.min(Math.max((now - way.begun) / MOVE, 0), 1) : 1;
    text.data = between(way.from, way.to, share);
    if (share === 1) ways.delete(text);
  }
  seen.takeRecords();
  request = ways.size ? requestAnimationFrame(step) : 0;
}
