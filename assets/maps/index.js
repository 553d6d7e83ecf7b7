// The component as Streamlit calls it: once for every time the page's script has run.

import { MapsView } from "./view.js";

/** @import { MapsData } from "./types.js" */

/** @type {WeakMap<Element, MapsView>} */
const views = new WeakMap();

/**
 * @param {{
 *   data: MapsData,
 *   parentElement: HTMLElement | ShadowRoot,
 *   setStateValue(name: "selected", rows: number[]): void,
 * }} component
 */
export default function maps({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector("[data-kd]");
  if (!root) throw new Error("the page has no maps");
  const view = views.get(root) ?? new MapsView(parentElement);
  views.set(root, view);
  view.update(data, (rows) => setStateValue("selected", rows));
  return () => {
    if (root.isConnected) return; // the script has only run again
    view.end();
    views.delete(root);
  };
}
