// Fills the picture of the chain: words into texts, fractions into bars. Text goes in as text, never as markup.
export default function ({ data, parentElement }) {
  const { words, bars, picture } = data;
  for (const text of parentElement.querySelectorAll("[data-text]")) {
    text.textContent = text.dataset.text.replace(/\{(\w+)\}/g, (_, name) => words[name] ?? "");
  }
  for (const bar of parentElement.querySelectorAll("[data-bar]")) {
    bar.style.transform = `scaleX(${bars[bar.dataset.bar] ?? 0})`;
  }
  for (const image of parentElement.querySelectorAll("[data-picture]")) {
    image.setAttribute("href", picture);
  }
}
