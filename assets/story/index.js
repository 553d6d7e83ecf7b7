// The component as Streamlit calls it: once for every time the page's script has run.

import { StoryView } from "./view.js";

/** @import { StoryData } from "./types.js" */

/** @type {WeakMap<Element, StoryView>} */
const views = new WeakMap();

/** @param {{ data: StoryData, parentElement: HTMLElement | ShadowRoot }} component */
export default function story({ data, parentElement }) {
  const root = parentElement.querySelector("[data-story]");
  if (!(root instanceof HTMLElement)) throw new Error("the page has no story");
  const view = views.get(root) ?? new StoryView(root);
  views.set(root, view);
  view.update(data);
  return () => {
    if (root.isConnected) return; // the script has only run again
    view.end();
    views.delete(root);
  };
}
