// The component as Streamlit calls it: once for every time the page's script has run.

import { DialView } from "./view.js";

/** @import { DialData } from "./types.js" */

/** @type {WeakMap<Element, DialView>} */
const views = new WeakMap();

/** @param {{ data: DialData, parentElement: HTMLElement | ShadowRoot }} component */
export default function dial({ data, parentElement }) {
  const root = parentElement.querySelector("[data-dial]");
  if (!root) throw new Error("the page has no dial");
  const view = views.get(root) ?? new DialView(parentElement);
  views.set(root, view);
  view.update(data);
  return () => {
    if (root.isConnected) return; // the script has only run again
    view.end();
    views.delete(root);
  };
}
