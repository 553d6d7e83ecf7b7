// The story on the page: fills its texts, moves its bars and draws its maps. Text goes in as text, never as markup.

import { barsPath, blend, change, count, decodePlaces, farthest, percent } from "./draw.js";
import { Player } from "./player.js";

/** @import { Shown, Step, StoryData } from "./types.js" */

const MOVE = 180; // ms from one step to the next
const MARGIN = 12; // CSS pixels around a map
const DOT = 2.1; // CSS pixels, radius

export class StoryView {
  #player = new Player();
  /** @type {StoryData | null} */
  #data = null;
  /** @type {Float32Array[]} */
  #frames = [];
  /** @type {Shown} */
  #from = { places: new Float32Array(), compressed: [] };
  /** @type {Shown} */
  #to = { places: new Float32Array(), compressed: [] };
  /** @type {Step | null} */
  #before = null; // the step that was shown before
  /** @type {Step | null} */
  #after = null; // the one that is shown now
  #moved = 0; // ms of the page's clock, when the step that is shown came
  #request = 0;
  #shape = ""; // of what was built
  #still = matchMedia("(prefers-reduced-motion: reduce)");
  #resized = new ResizeObserver(() => this.#draw(1));

  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.#part("play").addEventListener("click", () => this.#toggle());
    const slider = this.#slider();
    slider.addEventListener("input", () => {
      this.#player.seek(Number(slider.value));
      this.#show();
    });
    this.#resized.observe(this.#part("panels"));
  }

  /** @param {StoryData} data */
  update(data) {
    this.#data = data;
    this.#frames = decodePlaces(data.places, data.panels.length * data.codes.length * 2);
    this.#build(data);
    const play = data.play && !this.#still.matches;
    this.#player.load(data.id, data.steps.length, data.seconds, play);
    this.#show();
  }
  end() {
    cancelAnimationFrame(this.#request);
    this.#resized.disconnect();
    this.#data = null;
  }

  /** @param {string} name */
  #part(name) {
    const found = this.root.querySelector(`[data-part="${name}"]`);
    if (!(found instanceof HTMLElement)) throw new Error(`the story has no ${name}`);
    return found;
  }
  #slider() {
    return /** @type {HTMLInputElement} */ (this.#part("slider"));
  }
  #toggle() {
    if (this.#player.playing) this.#player.pause();
    else this.#player.play();
    this.#show();
  }

  /**
   * Write what stays the same from step to step.
   * @param {StoryData} data
   */
  #build(data) {
    for (const text of this.root.querySelectorAll("[data-text]")) {
      const template = text.getAttribute("data-text") ?? "";
      text.textContent = template.replace(/\{\w+\}/g, (placeholder) => data.words[placeholder.slice(1, -1)] ?? "");
    }
    for (const image of this.root.querySelectorAll("[data-picture]")) {
      if (data.picture) image.setAttribute("href", data.picture);
    }
    this.#part("status").textContent = data.status;
    this.#paths("raw", data.raw);
    const shape = JSON.stringify([data.bars, data.kept, data.panels, data.classes, data.colours]);
    if (shape === this.#shape) return;
    this.#shape = shape;
    this.#part("bars").replaceChildren(...data.bars.map((bar) => barRow(bar.name, bar.colour)));
    this.#part("kept").replaceChildren(...data.kept.map((line) => keptRow(line.name, line.chance)));
    this.#part("panels").replaceChildren(...data.panels.map((panel) => panelFigure(panel.title, panel.colour)));
    const names = data.classes.map((name, i) => element("span", "class", [swatch(data.colours[i]), name]));
    this.#part("classes").replaceChildren(...names);
  }

  /** Show the step the player stands at. */
  #show() {
    const data = this.#data;
    if (!data || !data.steps.length) return;
    const { step, count, playing } = this.#player;
    const now = data.steps[step];
    this.#before = this.#after ?? now;
    this.#after = now;
    this.#part("time").toggleAttribute("data-hidden", count < 2);
    this.#part("play").textContent = playing ? "Pause" : "Play";
    const slider = this.#slider();
    slider.max = String(count - 1);
    slider.value = String(step);
    slider.setAttribute("aria-valuetext", now.when);
    this.#part("when").textContent = now.when;
    this.#write(data, now);
    this.#from = this.#now(1);
    this.#to = {
      places: this.#frames[now.frame] ?? new Float32Array(),
      compressed: data.compressed[now.frame] ?? [],
    };
    this.#moved = 0;
    this.#request ||= requestAnimationFrame((time) => this.#tick(time));
  }
  /**
   * Set bars and words to a step; styles make the bars go there.
   * @param {StoryData} data
   * @param {Step} step
   */
  #write(data, step) {
    for (const [i, row] of [...this.#part("bars").children].entries()) {
      set(row, "fill", step.bars[i]);
      const interval = step.intervals[i];
      set(row, "whisker", interval === null ? null : 2 * interval, (step.bars[i] ?? 0) - (interval ?? 0));
    }
    for (const [i, row] of [...this.#part("kept").children].entries()) {
      set(row, "before", step.before[i]);
      set(row, "after", step.after[i]);
    }
    this.#part("measured").textContent = data.words[step.final ? "measured_final" : "measured"] ?? "";
    this.#part("told").textContent = data.words[step.final ? "told_final" : "told"] ?? "";
  }

  /**
   * Return what is shown on the way to the present step.
   * @param {number} share of the way
   * @returns {Shown}
   */
  #now(share) {
    return {
      places: blend(this.#from.places, this.#to.places, share),
      compressed: blend(this.#from.compressed, this.#to.compressed, share),
    };
  }
  /** @param {number} time ms of the page's clock */
  #tick(time) {
    this.#request = 0;
    if (!this.#data || !this.root.isConnected) return;
    this.#moved ||= time;
    const share = this.#still.matches ? 1 : Math.min((time - this.#moved) / MOVE, 1);
    this.#draw(share);
    if (this.#player.advance(time)) this.#show();
    if (share < 1 || this.#player.playing) this.#request ||= requestAnimationFrame((next) => this.#tick(next));
    else if (this.#part("play").textContent === "Pause") this.#part("play").textContent = "Play";
  }
  /** @param {number} share of the way to the present step */
  #draw(share) {
    const data = this.#data;
    if (!data) return;
    this.#tell(share);
    const shown = this.#now(share);
    this.#paths("compressed", shown.compressed);
    const size = 2 * data.codes.length;
    for (const [i, canvas] of [...this.root.querySelectorAll("canvas")].entries()) {
      const last = this.#frames[this.#frames.length - 1] ?? new Float32Array();
      const reach = farthest(last.subarray(i * size, (i + 1) * size));
      paintMap(canvas, shown.places.subarray(i * size, (i + 1) * size), reach, data);
    }
  }
  /**
   * Write the numbers beside the bars, on their way as these are.
   * @param {number} share of the way to the present step
   */
  #tell(share) {
    const [from, to] = [this.#before, this.#after];
    if (!from || !to) return;
    const bars = count(from.bars, to.bars, share);
    const [before, after] = [count(from.before, to.before, share), count(from.after, to.after, share)];
    for (const [i, row] of [...this.#part("bars").children].entries()) {
      content(row, "value", percent(bars[i], to.intervals[i]));
    }
    for (const [i, row] of [...this.#part("kept").children].entries()) {
      content(row, "value", change(before[i], after[i]));
    }
  }

  /**
   * Draw numbers as bars wherever the picture has a place for them.
   * @param {string} name
   * @param {readonly number[]} values
   */
  #paths(name, values) {
    for (const path of this.root.querySelectorAll(`[data-bars="${name}"]`)) {
      const [x, y, width, height] = (path.getAttribute("data-box") ?? "").split(" ").map(Number);
      const down = path.getAttribute("data-axis") === "y";
      path.setAttribute("d", values.length ? barsPath(values, { x, y, width, height }, down) : "");
    }
  }
}

/**
 * @param {string} tag
 * @param {string} kind
 * @param {(Node | string)[]} [children]
 */
function element(tag, kind, children = []) {
  const made = document.createElement(tag);
  made.className = kind;
  made.append(...children);
  return made;
}
/** @param {string} colour */
function swatch(colour) {
  const made = element("i", "swatch");
  made.style.setProperty("--colour", colour);
  return made;
}
/**
 * @param {string} name
 * @param {string} colour
 */
function barRow(name, colour) {
  const track = element("span", "track", [element("i", "fill"), element("i", "whisker")]);
  const made = element("div", "bar", [element("span", "name", [name]), element("b", "value"), track]);
  made.style.setProperty("--colour", colour);
  return made;
}
/**
 * @param {string} name
 * @param {number | null} chance
 */
function keptRow(name, chance) {
  const track = element("span", "track", [element("i", "before"), element("i", "after")]);
  if (chance !== null) {
    const mark = element("i", "chance");
    mark.style.left = `${100 * chance}%`;
    track.append(mark);
  }
  return element("div", "kept-row", [element("span", "name", [name]), track, element("b", "value")]);
}
/**
 * @param {string} title
 * @param {string} colour
 */
function panelFigure(title, colour) {
  const made = element("figure", "panel", [document.createElement("canvas"), element("figcaption", "", [title])]);
  made.style.setProperty("--colour", colour);
  return made;
}
/**
 * Give a part of a row its length.
 * @param {Element} row
 * @param {string} kind
 * @param {number | null} share of the track; null hides it
 * @param {number} start where it begins
 */
function set(row, kind, share, start = 0) {
  const part = row.querySelector(`.${kind}`);
  if (!(part instanceof HTMLElement)) return;
  part.style.opacity = share === null ? "0" : "1";
  part.style.left = `${100 * start}%`;
  part.style.width = `${100 * (share ?? 0)}%`;
}
/**
 * @param {Element} row
 * @param {string} kind
 * @param {string} text
 */
function content(row, kind, text) {
  const part = row.querySelector(`.${kind}`);
  if (part && part.textContent !== text) part.textContent = text;
}
/**
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} places (r, 2)
 * @param {[number, number]} reach how far the map reaches from its middle, to the side and upwards
 * @param {StoryData} data
 */
function paintMap(canvas, places, [aside, upwards], { codes, colours }) {
  const { clientWidth, clientHeight } = canvas, ratio = devicePixelRatio;
  const [width, height] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  if (!context) return;
  context.clearRect(0, 0, width, height);
  const [halfWidth, halfHeight] = [width / 2 - MARGIN * ratio, height / 2 - MARGIN * ratio];
  const scale = Math.min(halfWidth / aside, halfHeight / upwards);
  for (let i = 0; i < places.length / 2; i++) {
    const x = inside(scale * places[2 * i], halfWidth), y = inside(scale * places[2 * i + 1], halfHeight);
    context.fillStyle = colours[codes[i] % colours.length] ?? "#888";
    context.beginPath();
    context.arc(width / 2 + x, height / 2 - y, DOT * ratio, 0, 2 * Math.PI);
    context.fill();
  }
}
/**
 * @param {number} value
 * @param {number} limit
 */
function inside(value, limit) {
  return Math.max(-limit, Math.min(limit, value));
}
