// The maps on the page: panels, labels, buttons, selection. Python is sent finished selections only.
// `root.view` lets tests ask what is where.

import { parseRGB } from "./colours.js";
import { Drawer } from "./drawer.js";
import { createLegend, createPanel, find, writeLabel } from "./elements.js";
import { listenToFull, toggleFull } from "./full.js";
import { middle, panBy, pixelsPerUnit, pointSize, rectangle, toData, toScreen, wholeMap, zoomAt } from "./geometry.js";
import { listen } from "./gestures.js";
import { paintOverlay } from "./paint.js";
import { startPainter } from "./painters.js";
import { Scene } from "./scene.js";
import { Tip } from "./tip.js";

/** @import { MapsData, Mode, PanelLabel, Point, SendSelection, Viewport } from "./types.js" */

/** @typedef {Viewport & ReturnType<typeof createPanel> & { index: number }} Panel */

const NEAR = 14; // CSS pixels within which a pointer means a point
const BUTTON_ZOOM = 1.4;

/** @type {PanelLabel} */
const MORPH = { name: "morph", title: "", note: "", colour: "transparent" };

export class MapsView {
  scene = new Scene();
  /** @type {Panel[]} */
  panels = [];
  /** @type {Mode} */
  mode = matchMedia("(pointer: coarse)").matches ? "move" : "lasso";
  /** @type {Point[]} */
  path = []; // of the pointer, since it went down
  hovered = -1; // point under the pointer
  ended = false;
  #request = 0; // of the next picture
  #stale = false; // whether the points have changed since the last one
  #legend = ""; // what its buttons were made of
  /** @type {SendSelection} */
  #send = () => {};

  /** @param {ParentNode} parent */
  constructor(parent) {
    this.root = find(parent, "[data-kd]", HTMLElement);
    Object.assign(this.root, { view: this });
    this.parts = {
      stage: find(this.root, "[data-stage]", HTMLElement),
      panels: find(this.root, "[data-panels]", HTMLElement),
      over: find(this.root, "[data-over]", HTMLCanvasElement),
      modes: find(this.root, "[data-modes]", HTMLElement),
      morphing: find(this.root, "[data-morphing]", HTMLElement),
      morph: find(this.root, "[data-do=morph]", HTMLElement),
      time: find(this.root, "[data-time]", HTMLElement),
      play: find(this.root, "[data-do=play]", HTMLElement),
      slider: find(this.root, "[data-slider]", HTMLInputElement),
      when: find(this.root, "[data-when]", HTMLElement),
      status: find(this.root, "[data-status]", HTMLElement),
      legend: find(this.root, "[data-legend]", HTMLElement),
    };
    this.tip = new Tip(this.root, this.parts.stage);
    this.drawer = new Drawer(find(this.root, "[data-drawer]", HTMLElement), {
      select: (rows) => this.select(this.scene.pointsOf(rows), false),
      point: (row) => this.ring(this.scene.pointsOf([row])[0] ?? -1),
    });
    listenToFull(this.root, find(this.root, "[data-do=full]", HTMLElement));
    this.painter = startPainter(this.root, (make) => {
      if (this.ended) return;
      this.painter = make();
      this.#fit();
    });
    this.root.addEventListener("click", (event) => {
      const button = event.target instanceof Element && event.target.closest("button");
      if (button) this.#press(button);
    });
    this.parts.slider.addEventListener("input", () => {
      this.scene.seek(Number(this.parts.slider.value));
      this.show();
    });
    this.watcher = new ResizeObserver(() => this.#fit());
    this.watcher.observe(this.parts.stage);
  }
  get #points() {
    return find(this.root, "[data-points]", HTMLCanvasElement);
  }
  end() {
    this.ended = true;
    this.scene.playing = false;
    this.watcher.disconnect();
    this.painter.end();
  }

  /**
   * Take what Python sends.
   * @param {MapsData} data
   * @param {SendSelection} send
   */
  update(data, send) {
    this.#send = send;
    const { scene } = this, last = scene.end, change = scene.load(data);
    if (change === "new") this.#build();
    else if (change === "grown") {
      for (const panel of this.panels) {
        const whole = panel.camera.zoom === 1 / panel.home.reach;
        panel.home = scene.home(panel.index);
        if (whole) panel.camera = wholeMap(panel.home);
      }
      if (!scene.playing) this.#play(last);
    }
    this.tip.forget();
    this.parts.morphing.hidden = scene.when.length > 1 || scene.labels.length < 2;
    this.#writeLegend();
    this.painter.load(scene);
    this.#showSelection();
  }
  #build() {
    const { scene } = this, { panels } = this.parts, shown = scene.morphing ? [MORPH] : scene.labels;
    panels.style.setProperty("--wide", String(shown.length));
    this.panels = shown.map(({ name }, index) => {
      const home = scene.home(index), box = { left: 0, top: 0, width: 0, height: 0 };
      const panel = { ...createPanel(), index, box, home, camera: wholeMap(home) };
      panel.element.dataset.panel = name;
      listen(this, panel);
      return panel;
    });
    panels.replaceChildren(...this.panels.map((panel) => panel.element));
    this.#fit();
  }
  /**
   * @param {Panel} panel
   * @returns {PanelLabel}
   */
  #label(panel) {
    const { labels, morphing, time } = this.scene, from = labels[Math.floor(time)], to = labels[Math.ceil(time)];
    if (!morphing) return labels[panel.index];
    return from === to ? from : { ...MORPH, title: `${from.title} → ${to.title}`, colour: to.colour };
  }
  #write() {
    const { scene, parts } = this, now = Math.round(scene.time);
    for (const panel of this.panels) {
      writeLabel(panel, this.#label(panel), scene.count);
      panel.element.dataset.mode = this.mode;
    }
    parts.time.hidden = !scene.moves;
    parts.slider.max = String(scene.end);
    parts.slider.value = String(scene.time);
    parts.when.textContent = scene.morphing ? scene.labels[now].title : scene.when[now] || "";
    parts.play.textContent = scene.playing ? "Pause" : "Play";
    parts.morph.setAttribute("aria-pressed", String(scene.morphing));
    for (const button of parts.modes.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === this.mode));
    }
  }

  #writeLegend() {
    const { legend } = this.parts, written = JSON.stringify(this.scene.legend);
    if (written === this.#legend) return; // its buttons keep the focus
    this.#legend = written;
    legend.replaceChildren(...createLegend(this.scene.legend));
  }

  /**
   * Return where on the stage an event is, in CSS pixels.
   * @param {MouseEvent} event
   * @returns {Point}
   */
  onStage(event) {
    const stage = this.parts.stage.getBoundingClientRect();
    return [event.clientX - stage.left, event.clientY - stage.top];
  }
  /**
   * Return where on the stage a point is, in CSS pixels.
   * @param {Panel} panel
   * @param {number} i
   * @returns {Point}
   */
  screen({ box, camera, index }, i) {
    return toScreen(box, camera, this.scene.point(index, i));
  }
  /**
   * Return the point nearest to a pixel of the stage, -1 where none is near.
   * @param {Panel} panel
   * @param {Point} pixel
   * @param {number} radius in CSS pixels
   */
  nearest({ box, camera, index }, pixel, radius = NEAR) {
    return this.scene.nearest(index, toData(box, camera, pixel), radius / pixelsPerUnit(box, camera));
  }

  /**
   * @param {Panel} panel
   * @param {number} factor above 1 comes closer
   * @param {Point} pixel that stays where it is
   */
  zoom(panel, factor, pixel) {
    panel.camera = zoomAt(panel, factor, pixel);
    this.show();
  }
  /**
   * @param {Panel} panel
   * @param {number} dx CSS pixels
   * @param {number} dy CSS pixels
   */
  pan(panel, dx, dy) {
    panel.camera = panBy(panel, dx, dy);
    this.show();
  }
  /** @param {readonly Panel[]} panels */
  showWhole(panels) {
    for (const panel of panels) panel.camera = wholeMap(panel.home);
    this.show();
  }
  /** @param {number} factor */
  #zoomAll(factor) {
    for (const panel of this.panels) this.zoom(panel, factor, middle(panel.box));
  }

  /**
   * @param {readonly number[]} points
   * @param {boolean} add to those that are selected already
   */
  select(points, add) {
    const rows = this.scene.select(points, add);
    this.painter.mark(this.scene.marks);
    this.#showSelection();
    this.#send(rows);
  }
  /**
   * @param {Panel} panel in which the pointer went around points
   * @param {boolean} add
   */
  selectInside({ box, camera, index }, add) {
    const polygon = this.#outline().map((pixel) => toData(box, camera, pixel));
    this.select(this.scene.inside(index, polygon), add);
  }
  #showSelection() {
    const { count, marked } = this.scene;
    this.parts.status.textContent = marked ? `${marked} of ${count} rows selected` : `${count} rows`;
    this.drawer.show(this.scene);
    this.show();
  }
  #outline() {
    if (this.mode === "move" || this.path.length < 2) return [];
    return this.mode === "box" ? rectangle(this.path[0], this.path[this.path.length - 1]) : this.path;
  }

  /**
   * Show the row at a pixel of a panel, in all of them.
   * @param {Panel} panel
   * @param {Point | null} pixel
   */
  hoverAt(panel, pixel) {
    if (pixel) this.hover(this.nearest(panel, pixel), pixel);
    else this.hover(-1, [0, 0]);
  }
  /**
   * @param {number} i point; -1 for none
   * @param {Point} pixel where its tip is
   */
  hover(i, pixel) {
    this.hovered = i;
    if (i < 0) this.tip.hide();
    else this.tip.show(this.scene, i, pixel);
    this.show(false);
  }
  /** @param {number} i point around which a ring is drawn; -1 for none */
  ring(i) {
    this.hovered = i;
    this.tip.hide();
    this.show(false);
  }

  /** @param {HTMLButtonElement} button */
  #press(button) {
    const { mode, code } = button.dataset;
    if (mode === "lasso" || mode === "box" || mode === "move") this.mode = mode;
    else if (code) this.select(this.scene.coded(Number(code)), false);
    else if (button.dataset.do === "full") toggleFull(this.root);
    else this.#do(button.dataset.do);
    this.show();
  }
  /** @param {string | undefined} action */
  #do(action) {
    const { scene } = this;
    if (action === "in") this.#zoomAll(BUTTON_ZOOM);
    else if (action === "out") this.#zoomAll(1 / BUTTON_ZOOM);
    else if (action === "whole") this.showWhole(this.panels);
    else if (action === "clear") this.select([], false);
    else if (action === "morph") {
      scene.toggleMorph();
      this.#build();
      if (scene.morphing) this.#play(0);
    } else if (action === "play") {
      if (scene.playing) scene.playing = false;
      else this.#play(scene.time >= scene.end ? 0 : scene.time);
    }
  }
  /** @param {number} from */
  #play(from) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches && !this.scene.morphing;
    this.scene.play(still ? this.scene.end : from);
    this.show();
  }

  #fit() {
    const stage = this.parts.stage.getBoundingClientRect();
    for (const canvas of [this.#points, this.parts.over]) {
      canvas.width = Math.round(stage.width * devicePixelRatio);
      canvas.height = Math.round(stage.height * devicePixelRatio);
    }
    for (const panel of this.panels) {
      const { left, top, width, height } = panel.element.getBoundingClientRect();
      panel.box = { left: left - stage.left, top: top - stage.top, width, height };
    }
    this.show();
  }
  /** @param {boolean} points whether they have changed, or only what lies over them */
  show(points = true) {
    this.#stale ||= points;
    this.#request ||= requestAnimationFrame((now) => this.#paint(now));
  }
  /** @param {Panel} panel */
  #ringRadius(panel) {
    return pointSize(this.scene.count, panel) / 2 + 5;
  }
  /** @param {number} now ms of the page's clock */
  #paint(now) {
    const { scene } = this, style = getComputedStyle(this.root);
    this.#request = 0;
    if (this.ended || !this.panels.length) return;
    if (scene.playing) scene.advance(now);
    if (this.#stale) {
      this.painter.draw(scene, this.panels, devicePixelRatio, parseRGB(style.color));
      this.#write();
    }
    this.#stale = false;
    const over = this.panels.map((panel) => ({
      box: panel.box,
      ring: this.hovered < 0 ? null : { centre: this.screen(panel, this.hovered), radius: this.#ringRadius(panel) },
      cross: panel.element.matches(":focus-visible"),
    }));
    paintOverlay(this.parts.over, devicePixelRatio, style.color, over, this.#outline());
    if (scene.playing) this.show();
  }
}
