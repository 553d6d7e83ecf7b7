// What the maps show: rows, frames, time and selection. Knows nothing of the page, so it runs in any JavaScript.

import { ease, extent, interpolate, nearestPoint, pointsInside, stepAt } from "./geometry.js";

/** @import { Extent, Fact, LegendEntry, MapsData, Neighbours, NumericArray, PanelLabel, Point } from "./types.js" */
/** @import { Table, Transition } from "./types.js" */

const FRAME_DURATION = 400; // ms from one snapshot to the next
const MORPH_DURATION = 1500; // ms from one space to the next

/**
 * @param {Table} table
 * @param {string} name
 */
function column(table, name) {
  const found = table.getChild(name);
  if (!found) throw new Error(`the maps' data have no column ${name}`);
  return found.toArray();
}

/**
 * Return frames of points from columns in which they follow one another.
 * @param {NumericArray} x (t * n,)
 * @param {NumericArray} y (t * n,)
 * @param {number} frames t
 * @param {number} count n
 * @returns {Float32Array[]} t of (2n,): x0, y0, x1, y1, ...
 */
export function splitFrames(x, y, frames, count) {
  return Array.from({ length: frames }, (_, f) =>
    Float32Array.from({ length: 2 * count }, (_, k) => (k % 2 ? y : x)[f * count + (k >> 1)]),
  );
}

export class Scene {
  count = 0; // rows
  /** @type {NumericArray} */
  rows = new Int32Array(); // (n,) row numbers of the dataset
  /** @type {NumericArray} */
  codes = new Int16Array(); // (n,) into the legend
  /** @type {Fact[]} */
  facts = [];
  /** @type {LegendEntry[]} */
  legend = [];
  /** @type {PanelLabel[]} */
  labels = []; // of the spaces
  /** @type {Float32Array[][]} */
  frames = []; // space -> frames of (2n,)
  /** @type {string[]} */
  when = [];
  item = ""; // address of a row's picture without its number
  sound = ""; // the same of its sound
  explains = false; // whether the neighbours of a single selected row come
  /** @type {Neighbours | null} */
  neighbours = null; // of the row they are of
  marks = new Uint8Array(); // (n,) 1 = selected
  marked = 0;

  time = 0; // in frames, or in spaces while the maps morph
  morphing = false;
  playing = false;
  following = true; // whether new frames are played when they come
  #tick = 0; // ms, when time last advanced

  /** @type {Set<number>} */
  #selected = new Set(); // row numbers of the dataset; they may be rows that are not shown now
  #received = ""; // the selection Python sent last; it comes again with other colours, whatever was selected since
  /** @type {Map<number, number>} */
  #index = new Map(); // row number -> point
  #identity = ""; // which spaces these are, and how they were projected

  /**
   * Take what Python sends.
   * @param {MapsData} data
   * @returns {"new" | "grown" | "same"} whether these are other maps, the same ones with more frames, or neither
   */
  load(data) {
    const last = this.end;
    this.rows = column(data.points, "row");
    this.codes = column(data.points, "code");
    this.facts = data.facts.map((fact, i) => ({ ...fact, codes: column(data.points, `fact${i}`) }));
    this.legend = data.legend;
    this.labels = data.panels;
    this.item = data.item;
    this.sound = data.sound ?? "";
    this.explains = data.explains ?? false;
    this.neighbours = data.neighbours ?? null;
    this.when = data.when;
    this.count = this.rows.length;
    const frames = this.when.length || 1;
    this.frames = data.panels.map((_, p) =>
      splitFrames(column(data.frames, `x${p}`), column(data.frames, `y${p}`), frames, this.count),
    );
    this.#index = new Map(Array.from(this.rows, (row, i) => [row, i]));
    const received = JSON.stringify(data.selected);
    if (received !== this.#received) {
      this.#received = received;
      this.#selected = new Set(data.selected);
    }
    this.#mark();
    const identity = JSON.stringify([data.panels.map((panel) => panel.name), data.kind]);
    const same = identity === this.#identity;
    this.#identity = identity;
    if (!same) {
      this.morphing = false;
      this.time = data.live ? this.end : 0;
      return "new";
    }
    this.time = Math.min(this.time, this.end);
    return frames > 1 && this.following && this.end > last ? "grown" : "same";
  }

  /** The last time there is. */
  get end() {
    return this.morphing ? this.labels.length - 1 : Math.max(this.when.length - 1, 0);
  }
  /** Whether there is more than one frame, so that a time can be chosen. */
  get moves() {
    return this.morphing || this.when.length > 1;
  }

  /**
   * Return which frames the points of a panel lie between.
   * @param {number} panel
   * @returns {Transition}
   */
  between(panel) {
    const { low, high, share } = stepAt(this.time);
    if (this.morphing) return { from: this.frames[low][0], to: this.frames[high][0], share: ease(share) };
    return { from: this.frames[panel][low], to: this.frames[panel][high], share };
  }
  /**
   * Return where the points of a panel are now (2n,).
   * @param {number} panel
   */
  positions(panel) {
    const { from, to, share } = this.between(panel);
    return interpolate(from, to, share);
  }
  /**
   * Return where a point is now.
   * @param {number} panel
   * @param {number} i
   * @returns {Point}
   */
  point(panel, i) {
    const { from, to, share } = this.between(panel);
    const [x, y] = interpolate(from.subarray(2 * i, 2 * i + 2), to.subarray(2 * i, 2 * i + 2), share);
    return [x, y];
  }
  /**
   * Return the middle and reach of a panel's points at the end.
   * @param {number} panel
   * @returns {Extent}
   */
  home(panel) {
    return extent((this.morphing ? this.frames : [this.frames[panel]]).map((frames) => frames[frames.length - 1]));
  }
  /**
   * Return the point nearest to a place of the data, -1 where none is nearer than the radius.
   * @param {number} panel
   * @param {Point} place
   * @param {number} radius
   */
  nearest(panel, place, radius) {
    return nearestPoint(this.positions(panel), place, radius);
  }
  /**
   * Return the points inside a polygon of the data.
   * @param {number} panel
   * @param {readonly Point[]} polygon
   */
  inside(panel, polygon) {
    return pointsInside(this.positions(panel), polygon);
  }
  /**
   * Return the points of a legend entry.
   * @param {number} code
   */
  coded(code) {
    return Array.from(this.codes.keys()).filter((i) => this.codes[i] === code);
  }
  /**
   * Return what is known of a row: names and values; "–" where a value is not known.
   * @param {number} i
   * @returns {[name: string, value: string][]}
   */
  describe(i) {
    return this.facts.map(({ name, names, codes }) => [name, codes[i] < 0 ? "–" : names[codes[i]]]);
  }

  /**
   * Select points, in place of the others or with them.
   * @param {readonly number[]} points
   * @param {boolean} add
   * @returns {number[]} the selected row numbers of the dataset
   */
  select(points, add = false) {
    const rows = points.map((i) => this.rows[i]);
    this.#selected = new Set(add ? [...this.#selected, ...rows] : rows);
    this.#mark();
    return [...this.#selected];
  }
  /**
   * Return the points of row numbers, as far as they are drawn.
   * @param {readonly number[]} rows
   */
  pointsOf(rows) {
    return rows.flatMap((row) => this.#index.get(row) ?? []);
  }
  #mark() {
    this.marks = new Uint8Array(this.count);
    for (const row of this.#selected) {
      const i = this.#index.get(row);
      if (i !== undefined) this.marks[i] = 1;
    }
    this.marked = this.marks.reduce((sum, mark) => sum + mark, 0);
  }
  /** Return the selected row numbers that are shown. */
  highlighted() {
    return Array.from(this.rows).filter((_, i) => this.marks[i]);
  }

  /** Show one map that moves from space to space, or the maps side by side again. */
  toggleMorph() {
    this.morphing = !this.morphing;
    this.time = 0;
    this.playing = false;
  }
  /**
   * Let the points move.
   * @param {number} from when; the end shows it at once
   */
  play(from) {
    this.time = from;
    this.following = true;
    this.#tick = 0;
    this.playing = this.time < this.end;
  }
  /**
   * Stop at a time.
   * @param {number} time
   */
  seek(time) {
    this.playing = false;
    this.time = time;
    this.following = time >= this.end;
  }
  /**
   * Move on while playing.
   * @param {number} now ms of the page's clock
   */
  advance(now) {
    const passed = this.#tick ? (now - this.#tick) / (this.morphing ? MORPH_DURATION : FRAME_DURATION) : 0;
    this.time = Math.min(this.end, this.time + passed);
    this.#tick = now;
    this.playing = this.time < this.end;
  }
}
