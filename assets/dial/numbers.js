// What the dial says and where its curves run. Pure functions.

import { extent } from "../maps/geometry.js";
import { fixed } from "../story/draw.js";

/** @import { Extent } from "../maps/types.js" */
/** @import { Series } from "./types.js" */

const BYTES = 4; // of a number, float32

/** @param {number} width numbers per item */
export function bytes(width) {
  return `${BYTES * width} bytes`;
}

/**
 * Return a value as the dial writes it: a percentage, or for the effective rank a number; "–" where there is none.
 * @param {Series["kind"]} kind
 * @param {number | null} value
 */
export function format(kind, value) {
  if (value === null) return "–";
  return kind === "rank" ? fixed(value, 1) : `${fixed(100 * value, 0)}\u00a0%`;
}

/**
 * Return where on the axis a width lies, 0 to 1: each doubling takes the same way.
 * @param {number} width
 * @param {number} last the largest width
 */
export function along(width, last) {
  return last > 1 ? Math.log2(width) / Math.log2(last) : 1;
}

/**
 * Return which width is nearest to a place on the axis.
 * @param {number} share 0 to 1
 * @param {readonly number[]} widths ascending
 */
export function nearestIndex(share, widths) {
  const last = widths[widths.length - 1];
  const far = widths.map((width) => Math.abs(along(width, last) - share));
  return far.indexOf(Math.min(...far));
}

/**
 * Return the largest value of a chart's axis.
 * @param {Series} series
 */
export function top({ kind, trained, pca }) {
  if (kind !== "rank") return 1;
  return Math.max(1, ...[...trained, ...pca].map((value) => value ?? 0));
}

/**
 * Return a curve as an SVG path in a box of 100 x 100; it has a gap where a number does not exist.
 * @param {readonly (number | null)[]} values
 * @param {readonly number[]} widths
 * @param {number} highest of the axis
 */
export function curve(values, widths, highest) {
  const last = widths[widths.length - 1];
  let pen = "M";
  return values.map((value, i) => {
    if (value === null) {
      pen = "M";
      return "";
    }
    const step = `${pen}${(100 * along(widths[i], last)).toFixed(2)} ${(100 * (1 - value / highest)).toFixed(2)}`;
    pen = "L";
    return step;
  }).join("");
}

/**
 * Return the widths that are written at the axis: powers of two, and the last.
 * @param {readonly number[]} widths
 */
export function ticks(widths) {
  const last = widths[widths.length - 1];
  return widths.filter((width) => width === last || (Math.log2(width) % 1 === 0 && along(width, last) < 0.9));
}

/**
 * Return in words what a width keeps of the target, and what it has thrown away most.
 * @param {readonly Series[]} series
 * @param {readonly number[]} widths
 * @param {number} index of the width
 */
export function sentence(series, widths, index) {
  const width = widths[index], last = widths[widths.length - 1];
  const target = series.find((each) => each.kind === "target");
  const parts = [`${width} of ${last} numbers, ${bytes(width)} per item.`];
  if (target) {
    const [trained, pca, chance] = [target.trained[index], target.pca[index], target.chance]
      .map((value) => format("target", value));
    parts.push(`A linear probe reads the ${target.name} at ${trained}; from PCA ${pca}, by guessing ${chance}.`);
  }
  const lost = series.filter((each) => each.kind === "attribute").map((each) => ({
    ...each, gone: (each.raw ?? 0) - (each.trained[index] ?? 0),
  })).sort((a, b) => b.gone - a.gone)[0];
  if (lost && lost.gone > 0.05) {
    const [raw, trained, pca] = [lost.raw, lost.trained[index], lost.pca[index]].map((value) => format("target", value));
    parts.push(`Thrown away most: ${lost.name}, ${raw} in the raw embedding, ${trained} here; PCA ${pca}.`);
  }
  return parts.join(" ");
}

/**
 * Return the extent, around the middle that all maps share, in which the widest of them lies: one scale for all widths.
 * @param {readonly Float32Array[]} frames each (2n,): x0, y0, x1, y1, ...
 * @returns {Extent}
 */
export function widest(frames) {
  const reaches = frames.map((frame) => {
    const { x, y, reach } = extent([frame]);
    return reach + Math.max(Math.abs(x), Math.abs(y));
  });
  return { x: 0, y: 0, reach: Math.max(...reaches) };
}

/**
 * Return where a sweep from wide to narrow is after some time, as a place between widths.
 * @param {number} from where it began
 * @param {number} passed ms
 * @param {number} step ms for each width
 * @param {boolean} still whether it jumps from width to width
 */
export function sweep(from, passed, step, still) {
  const place = Math.max(0, from - passed / step);
  return still ? Math.ceil(place) : place;
}
