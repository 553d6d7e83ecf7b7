// The dial on the page: a slider that turns maps and numbers of all widths, which are here already: no question goes
// back to Python. `root.view` lets tests ask what is shown.

import { parseRGB } from "../maps/colours.js";
import { createLegend, createPanel, find, writeLabel } from "../maps/elements.js";
import { pixelsPerUnit, pointSize, toData, toScreen, wholeMap } from "../maps/geometry.js";
import { FlatPainter, paintOverlay, WebGLPainter } from "../maps/paint.js";
import { Scene } from "../maps/scene.js";
import { Tip } from "../maps/tip.js";
import { Card } from "./cards.js";
import { along, bytes, nearestIndex, sentence, sweep, widest } from "./numbers.js";

/** @import { Point, Viewport } from "../maps/types.js" */
/** @import { DialData } from "./types.js" */

/** @typedef {Viewport & ReturnType<typeof createPanel> & { index: number }} Panel */

const STEP = 450; // ms a sweep takes from one width to the next
const STILL_STEP = 900; // the same where a person wants little motion: it jumps
const NEAR = 14; // CSS pixels within which a pointer means a point

export class DialView {
  scene = new Scene();
  /** @type {Panel[]} */
  panels = [];
  /** @type {Card[]} */
  cards = [];
  /** @type {DialData | null} */
  data = null;
  by = 0; // which of the colours
  delay = 0; // ms from the last input to what it shows
  hovered = -1; // point under the pointer
  ended = false;
  #kind = ""; // of the maps that are shown
  #request = 0; // of the next picture
  #asked = 0; // ms, when the slider was turned; 0 while nothing waits to be shown
  #shown = -1; // the width that is written
  #sweep = { from: 0, begun: 0, on: false };

  /** @param {ParentNode} parent */
  constructor(parent) {
    this.root = find(parent, "[data-dial]", HTMLElement);
    Object.assign(this.root, { view: this });
    this.parts = {
      play: find(this.root, "[data-play]", HTMLButtonElement),
      slider: find(this.root, "[data-slider]", HTMLInputElement),
      width: find(this.root, "[data-width]", HTMLElement),
      of: find(this.root, "[data-of]", HTMLElement),
      bytes: find(this.root, "[data-bytes]", HTMLElement),
      by: find(this.root, "[data-by]", HTMLElement),
      stage: find(this.root, "[data-stage]", HTMLElement),
      panels: find(this.root, "[data-panels]", HTMLElement),
      over: find(this.root, "[data-over]", HTMLCanvasElement),
      legend: find(this.root, "[data-legend]", HTMLElement),
      raw: find(this.root, "[data-raw]", HTMLElement),
      cards: find(this.root, "[data-cards]", HTMLElement),
      sentence: find(this.root, "[data-sentence]", HTMLElement),
    };
    this.tip = new Tip(this.root, this.parts.stage);
    this.painter = this.#startPainter();
    this.#listen();
    this.watcher = new ResizeObserver(() => this.#fit());
    this.watcher.observe(this.parts.stage);
  }
  #listen() {
    const { slider, play, by, legend, stage, cards } = this.parts;
    slider.addEventListener("input", () => this.turn(Number(slider.value)));
    slider.addEventListener("keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault(); // the page would scroll
      this.#toggle();
    });
    play.addEventListener("click", () => this.#toggle());
    by.addEventListener("click", (event) => {
      const button = event.target instanceof Element && event.target.closest("button");
      if (button) this.#colour(Number(button.dataset.by));
    });
    legend.addEventListener("click", (event) => {
      const button = event.target instanceof Element && event.target.closest("button");
      if (button) this.#highlight(button);
    });
    stage.addEventListener("pointermove", (event) => this.#point(event));
    stage.addEventListener("pointerleave", () => this.#hover(-1, [0, 0]));
    cards.addEventListener("pointerdown", (event) => this.#drag(event));
    cards.addEventListener("pointermove", (event) => event.buttons && this.#drag(event));
  }
  #startPainter() {
    const canvas = find(this.root, "[data-points]", HTMLCanvasElement);
    try {
      const painter = new WebGLPainter(canvas);
      canvas.addEventListener("webglcontextlost", () => {
        if (this.ended) return;
        this.painter = this.#flatPainter(canvas);
        this.#fit();
      });
      return painter;
    } catch {
      return this.#flatPainter(canvas);
    }
  }
  /** @param {HTMLCanvasElement} old */
  #flatPainter(old) {
    const canvas = document.createElement("canvas"); // a canvas keeps its first kind of context
    canvas.dataset.points = "";
    canvas.setAttribute("aria-hidden", "true");
    old.replaceWith(canvas);
    return new FlatPainter(canvas);
  }
  end() {
    this.ended = true;
    this.#sweep.on = false;
    this.watcher.disconnect();
    this.painter.end();
  }

  /**
   * Take what Python sends.
   * @param {DialData} data
   */
  update(data) {
    const { scene, parts } = this;
    this.data = data;
    scene.load(data);
    if (data.kind !== this.#kind) {
      this.#kind = data.kind;
      this.#sweep.on = false;
      this.by = 0;
      scene.select([]);
      scene.time = data.start;
      parts.slider.max = String(data.widths.length - 1);
      parts.slider.value = String(data.start);
      this.#build(data);
    }
    this.#shown = -1;
    this.#colour(this.by);
  }
  /** @param {DialData} data */
  #build(data) {
    const { parts, scene } = this;
    this.panels = scene.labels.map((label, index) => {
      const home = widest(scene.frames[index]), box = { left: 0, top: 0, width: 0, height: 0 };
      const panel = { ...createPanel(), index, box, home, camera: wholeMap(home) };
      panel.element.dataset.panel = label.name;
      panel.element.removeAttribute("tabindex"); // there is nothing to press in it
      panel.element.setAttribute("role", "img");
      return panel;
    });
    parts.panels.replaceChildren(...this.panels.map((panel) => panel.element));
    this.cards = data.series.map((series) => new Card(series, data.widths));
    parts.cards.replaceChildren(...this.cards.map((card) => card.element));
    parts.raw.textContent = `raw, ${data.rawWidth} numbers`;
    parts.by.replaceChildren(...data.colours.map(({ name }, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.by = String(index);
      button.textContent = name;
      return button;
    }));
    this.#fit();
  }

  /**
   * Colour the rows by the target or an attribute.
   * @param {number} by which of the colours
   */
  #colour(by) {
    const { scene, data, parts } = this, column = data?.points.getChild(`colour${by}`);
    if (!data || !column) return;
    if (by !== this.by) scene.select([]);
    this.by = by;
    scene.codes = column.toArray();
    scene.legend = data.colours[by].legend;
    parts.legend.replaceChildren(...createLegend(scene.legend));
    for (const button of parts.by.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.by === String(by)));
    }
    this.painter.load(scene);
    this.#show();
  }
  /**
   * Highlight the rows of a legend entry, or all again.
   * @param {HTMLButtonElement} button
   */
  #highlight(button) {
    const on = button.getAttribute("aria-pressed") !== "true";
    for (const other of this.parts.legend.querySelectorAll("button")) {
      other.setAttribute("aria-pressed", String(on && other === button));
    }
    this.scene.select(on ? this.scene.coded(Number(button.dataset.code)) : []);
    this.painter.mark(this.scene.marks);
    this.#show();
  }

  /**
   * Turn the dial.
   * @param {number} index of the width
   */
  turn(index) {
    this.#asked = performance.now();
    this.#sweep.on = false;
    this.scene.time = index;
    this.parts.slider.value = String(index);
    this.#show();
  }
  #toggle() {
    const { scene } = this, on = !this.#sweep.on;
    if (on && scene.time === 0) scene.time = scene.end;
    this.#sweep = { from: scene.time, begun: 0, on };
    if (!on) scene.time = Math.round(scene.time);
    this.#show();
  }
  /** @param {number} now ms of the page's clock */
  #advance(now) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#sweep.begun ||= now;
    const { from, begun } = this.#sweep;
    this.scene.time = sweep(from, now - begun, still ? STILL_STEP : STEP, still);
    this.parts.slider.value = String(Math.round(this.scene.time));
    this.#sweep.on = this.scene.time > 0;
  }
  /**
   * Turn the dial to where a pointer is in a chart.
   * @param {PointerEvent} event
   */
  #drag(event) {
    const plot = event.target instanceof Element && event.target.closest(".plot");
    if (!plot || !this.data) return;
    const { left, width } = plot.getBoundingClientRect();
    this.turn(nearestIndex((event.clientX - left) / width, this.data.widths));
  }

  /** @param {PointerEvent} event */
  #point(event) {
    const stage = this.parts.stage.getBoundingClientRect();
    /** @type {Point} */
    const pixel = [event.clientX - stage.left, event.clientY - stage.top];
    const panel = this.panels.find(({ box }) =>
      pixel[0] >= box.left && pixel[0] <= box.left + box.width && pixel[1] >= box.top && pixel[1] <= box.top + box.height,
    );
    if (!panel) return this.#hover(-1, pixel);
    const place = toData(panel.box, panel.camera, pixel), reach = NEAR / pixelsPerUnit(panel.box, panel.camera);
    return this.#hover(this.scene.nearest(panel.index, place, reach), pixel);
  }
  /**
   * @param {number} i point; -1 for none
   * @param {Point} pixel where its tip is
   */
  #hover(i, pixel) {
    this.hovered = i;
    if (i < 0) this.tip.hide();
    else this.tip.show(this.scene, i, pixel);
    this.#show();
  }

  #fit() {
    const stage = this.parts.stage.getBoundingClientRect();
    for (const canvas of [find(this.root, "[data-points]", HTMLCanvasElement), this.parts.over]) {
      canvas.width = Math.round(stage.width * devicePixelRatio);
      canvas.height = Math.round(stage.height * devicePixelRatio);
    }
    for (const panel of this.panels) {
      const { left, top, width, height } = panel.element.getBoundingClientRect();
      panel.box = { left: left - stage.left, top: top - stage.top, width, height };
    }
    this.#show();
  }
  #show() {
    this.#request ||= requestAnimationFrame((now) => this.#paint(now));
  }
  /** @param {number} now ms of the page's clock */
  #paint(now) {
    this.#request = 0;
    if (this.ended || !this.panels.length) return;
    if (this.#sweep.on) this.#advance(now);
    const { scene } = this, style = getComputedStyle(this.root);
    this.painter.draw(scene, this.panels, devicePixelRatio, parseRGB(style.color));
    const over = this.panels.map((panel) => ({
      box: panel.box,
      ring: this.hovered < 0 ? null : {
        centre: toScreen(panel.box, panel.camera, scene.point(panel.index, this.hovered)),
        radius: pointSize(scene.count, panel) / 2 + 5,
      },
      cross: false,
    }));
    paintOverlay(this.parts.over, devicePixelRatio, style.color, over, []);
    this.#write();
    if (this.#asked) this.delay = performance.now() - this.#asked;
    this.#asked = 0;
    if (this.#sweep.on) this.#show();
  }
  #write() {
    const { parts, data, scene } = this, index = Math.round(scene.time);
    if (!data) return;
    const { widths } = data, last = widths[widths.length - 1];
    parts.play.textContent = this.#sweep.on ? "Pause" : "Play";
    const low = Math.floor(scene.time), between = scene.time - low;
    const [from, to] = [widths[low], widths[Math.ceil(scene.time)]].map((width) => along(width, last));
    for (const card of this.cards) card.show(index, from + (to - from) * between);
    if (index === this.#shown) return;
    this.#shown = index;
    const words = sentence(data.series, widths, index);
    parts.width.textContent = String(widths[index]);
    parts.of.textContent = `of ${last} numbers`;
    parts.bytes.textContent = `${bytes(widths[index])} per item`;
    parts.slider.setAttribute("aria-valuetext", words);
    parts.slider.style.setProperty("--share", `${(100 * index) / Math.max(1, widths.length - 1)}%`);
    parts.sentence.textContent = words;
    for (const panel of this.panels) {
      writeLabel(panel, scene.labels[panel.index], scene.count);
      panel.element.setAttribute("aria-label", `Map of ${scene.count} rows, ${scene.labels[panel.index].title}. ${words}`);
    }
  }
}
