// What is said of the row under the pointer: its picture and what is known of it.

import { createFacts, find } from "./elements.js";

/** @import { Scene } from "./scene.js" */
/** @import { Point } from "./types.js" */

const OFFSET = { x: 16, y: 18 }; // CSS pixels from the pointer

export class Tip {
  #row = ""; // whose picture and facts are written

  /**
   * @param {HTMLElement} root
   * @param {HTMLElement} stage
   */
  constructor(root, stage) {
    this.stage = stage;
    this.element = find(root, "[data-tip]", HTMLElement);
    this.picture = find(root, "[data-picture]", HTMLImageElement);
    this.facts = find(root, "[data-facts]", HTMLElement);
    this.picture.addEventListener("error", () => {
      this.picture.hidden = true;
    });
  }
  /** Write anew next time: the same row number may be another item by then. */
  forget() {
    this.#row = "";
  }
  hide() {
    this.element.hidden = true;
  }
  /**
   * @param {Scene} scene
   * @param {number} i point
   * @param {Point} pixel of the stage
   */
  show(scene, i, [x, y]) {
    this.element.hidden = false;
    if (this.#row !== String(scene.rows[i])) this.#write(scene, i);
    const room = this.stage.clientWidth - this.element.offsetWidth;
    this.element.style.left = `${Math.max(0, Math.min(x + OFFSET.x, room))}px`;
    this.element.style.top = `${this.stage.offsetTop + y + OFFSET.y}px`;
  }
  /**
   * @param {Scene} scene
   * @param {number} i
   */
  #write(scene, i) {
    const facts = scene.describe(i);
    this.#row = String(scene.rows[i]);
    this.picture.hidden = !scene.item;
    if (scene.item) this.picture.src = scene.item + this.#row;
    this.picture.alt = facts.map((pair) => pair.join(" ")).join(", ");
    this.facts.replaceChildren(...createFacts(facts));
  }
}
