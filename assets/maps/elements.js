// Elements of the maps. Names of classes and items are a person's own: they go in as text, never as markup.

/** @import { LegendEntry, PanelLabel } from "./types.js" */

const CLIPS = [
  "circle(50%)",
  "none",
  "polygon(50% 0, 100% 100%, 0 100%)",
  "polygon(50% 0, 100% 50%, 50% 100%, 0 50%)",
]; // by number of shape

/**
 * Return the element that a selector finds.
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} selector
 * @param {{ new (): T }} kind
 * @returns {T}
 * @throws where maps.html has no such element
 */
export function find(root, selector, kind) {
  const element = root.querySelector(selector);
  if (!(element instanceof kind)) throw new Error(`expected ${kind.name} at ${selector} in maps.html, got ${element}`);
  return element;
}

/** Return a panel and the elements of its label. */
export function createPanel() {
  const element = document.createElement("div"), head = document.createElement("div");
  const title = document.createElement("b"), note = document.createElement("div");
  const wait = document.createElement("div"), doing = document.createElement("span"), bar = document.createElement("i");
  element.className = "panel";
  element.tabIndex = 0;
  element.setAttribute("role", "group");
  head.className = "head";
  note.className = "note";
  wait.className = "wait";
  wait.hidden = true;
  wait.append(doing, bar);
  head.append(title);
  element.append(head, note, wait);
  return { element, title, note, wait, doing };
}

/**
 * Write what a panel shows, and what is still being made for it.
 * @param {ReturnType<typeof createPanel>} panel
 * @param {PanelLabel} label
 * @param {number} count of rows
 */
export function writeLabel({ element, title, note, wait, doing }, label, count) {
  title.textContent = label.title;
  title.style.setProperty("--role", label.colour);
  note.textContent = label.note;
  note.title = label.help ?? "";
  doing.textContent = label.waiting ?? "";
  wait.hidden = !label.waiting;
  wait.classList.toggle("moving", label.moving ?? false);
  const words = [`Map: ${label.title}.`, `${count} rows.`, label.note, label.waiting ?? ""];
  element.setAttribute("aria-label", words.filter((each) => each).join(" "));
}

/**
 * Return a button for each entry of the legend.
 * @param {readonly LegendEntry[]} legend
 */
export function createLegend(legend) {
  return legend.map(({ name, colour, shape }, code) => {
    const button = document.createElement("button");
    const mark = document.createElement("i"), word = document.createElement("span");
    button.type = "button";
    button.title = "Select these rows";
    button.dataset.code = String(code);
    mark.style.background = colour;
    mark.style.clipPath = CLIPS[shape];
    word.textContent = name;
    button.append(mark, word);
    return button;
  });
}

/**
 * Return terms and descriptions for a `<dl>`.
 * @param {readonly (readonly [name: string, value: string])[]} facts
 */
export function createFacts(facts) {
  return facts.flatMap(([name, value]) => {
    const term = document.createElement("dt"), description = document.createElement("dd");
    term.textContent = name;
    description.textContent = value;
    return [term, description];
  });
}
