// Fills the picture of the chain: words into texts, fractions into bars. Text goes in as text, never as markup.

/**
 * What Python sends (`show_chain` in pages/chain.py).
 * @typedef {object} ChainData
 * @property {Record<string, string>} words what replaces each {placeholder}
 * @property {Record<string, number | null>} bars share of each bar's length, 0 to 1; null while it is not known
 * @property {string} picture its address, empty while it is being loaded
 */

/** @param {{ data: ChainData, parentElement: HTMLElement | ShadowRoot }} component */
export default function chain({ data, parentElement }) {
  const { words, bars, picture } = data;
  for (const text of parentElement.querySelectorAll("[data-text]")) {
    const template = text.getAttribute("data-text") ?? "";
    text.textContent = template.replace(/\{\w+\}/g, (placeholder) => words[placeholder.slice(1, -1)] ?? "");
  }
  for (const bar of parentElement.querySelectorAll("[data-bar]")) {
    if (bar instanceof SVGElement) bar.style.transform = `scaleX(${bars[bar.dataset.bar ?? ""] ?? 0})`;
  }
  for (const image of parentElement.querySelectorAll("[data-picture]")) {
    if (picture) image.setAttribute("href", picture);
  }
}
