// The chain above the controls of Distill: what is set in each part, and a click opens the controls of that part.

/**
 * What Python sends (`show_controls` in pages/chain.py).
 * @typedef {object} ControlsData
 * @property {Record<string, string>} words what is written in each place
 * @property {string} picture address of an item's picture, may be empty
 * @property {[number, number]} widths of the embedding before and after compression, 0 where there is none
 * @property {string[]} unused parts without effect on what is chosen
 */

const HEIGHT = 64; // of the funnel

/**
 * Return the corners of the funnel: its ends are as high as the logarithms of the two widths.
 * @param {number} before
 * @param {number} after
 */
export function funnel(before, after) {
  const share = /** @param {number} width */ (width) => Math.log2(1 + width) / Math.log2(1 + Math.max(before, after, 1));
  const [left, right] = [before, after].map((width) => (HEIGHT / 2) * share(width));
  const middle = HEIGHT / 2;
  const corners = [[0, middle - left], [100, middle - right], [100, middle + right], [0, middle + left]];
  return corners.map(([x, y]) => `${x},${y.toFixed(1)}`).join(" ");
}

/** Return the fold of the page that holds the controls of a part. @param {string} part */
function fold(part) {
  const details = document.querySelector(`.st-key-group-${part} details`);
  return details instanceof HTMLDetailsElement ? details : null;
}

/** Open the controls of one part, close the others; a second click closes them. @param {HTMLButtonElement[]} buttons @param {string} part */
function toggle(buttons, part) {
  for (const button of buttons) {
    const details = fold(button.dataset.part ?? "");
    const open = button.dataset.part === part && !details?.open;
    if (details && details.open !== open) details.querySelector("summary")?.click();
    button.setAttribute("aria-expanded", String(open));
    if (open && details) details.scrollIntoView({ block: "nearest" });
  }
}

/** @param {{ data: ControlsData, parentElement: HTMLElement | ShadowRoot }} component */
export default function chainControls({ data, parentElement }) {
  const { words, picture, widths, unused } = data;
  document.dispatchEvent(new CustomEvent("kd-counts", { detail: parentElement })); // assets/page/count.js
  for (const element of parentElement.querySelectorAll("[data-word]")) {
    if (!(element instanceof HTMLElement)) continue;
    const word = words[element.dataset.word ?? ""] ?? "";
    element.textContent = word;
    element.title = word;
  }
  parentElement.querySelector("polygon")?.setAttribute("points", funnel(...widths));
  const image = parentElement.querySelector("[data-picture]");
  if (image && picture) image.setAttribute("src", picture);
  const buttons = [...parentElement.querySelectorAll("button")];
  for (const button of buttons) {
    const part = button.dataset.part ?? "";
    button.classList.toggle("unused", unused.includes(part));
    button.setAttribute("aria-expanded", String(fold(part)?.open ?? false));
    button.onclick = () => toggle(buttons, part);
  }
  // A fold may also be opened by its own line: the part is then marked as well.
  const marked = () => {
    for (const button of buttons) button.setAttribute("aria-expanded", String(fold(button.dataset.part ?? "")?.open ?? false));
  };
  document.addEventListener("toggle", marked, true);
  return () => document.removeEventListener("toggle", marked, true);
}
