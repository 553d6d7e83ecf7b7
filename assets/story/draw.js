// Numbers into shapes and words. Knows nothing of the page, so it runs in any JavaScript.

/** @import { Box } from "./types.js" */

const UNIT = 10_000; // of a place

/**
 * Return the places of all snapshots.
 * @param {string} text base64 of little-endian 16-bit numbers, (t, size)
 * @param {number} size numbers of a snapshot
 * @returns {Float32Array[]} t of (size,)
 */
export function decodePlaces(text, size) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const numbers = new Int16Array(bytes.buffer, 0, bytes.length >> 1);
  const count = size ? Math.floor(numbers.length / size) : 0;
  return Array.from({ length: count }, (_, t) =>
    Float32Array.from(numbers.subarray(t * size, (t + 1) * size), (value) => value / UNIT),
  );
}

/**
 * Return how far points lie from the middle at most, to the side and upwards.
 * @param {Float32Array} places (r, 2)
 * @returns {[number, number]}
 */
export function farthest(places) {
  let aside = 1e-6, upwards = 1e-6;
  for (let i = 0; i < places.length; i += 2) {
    aside = Math.max(aside, Math.abs(places[i]));
    upwards = Math.max(upwards, Math.abs(places[i + 1]));
  }
  return [aside, upwards];
}

/**
 * Return numbers on their way from some to others; others at once where their count differs.
 * @template {Float32Array | number[]} Numbers
 * @param {Numbers} from
 * @param {Numbers} to
 * @param {number} share 0 to 1
 * @returns {Numbers}
 */
export function blend(from, to, share) {
  if (share >= 1 || from.length !== to.length) return to;
  const mixed = to.slice();
  for (let i = 0; i < mixed.length; i++) mixed[i] = from[i] + share * (to[i] - from[i]);
  return /** @type {Numbers} */ (mixed);
}

/**
 * Return what is told on the way from some numbers to others; a number that is new or unknown is told at once.
 * @param {readonly (number | null)[]} from
 * @param {readonly (number | null)[]} to
 * @param {number} share 0 to 1
 * @returns {(number | null)[]}
 */
export function count(from, to, share) {
  return to.map((value, i) => {
    const before = from[i] ?? null;
    return value === null || before === null ? value : before + share * (value - before);
  });
}

/**
 * Return numbers as bars to both sides of a line through the middle of a box, as a path of SVG. The longest fills it.
 * @param {readonly number[]} values
 * @param {Box} box
 * @param {boolean} down whether the bars follow one another from top to bottom
 */
export function barsPath(values, box, down) {
  const peak = Math.max(...values.map(Math.abs), 1e-9);
  const length = (down ? box.height : box.width) / values.length;
  const reach = (down ? box.width : box.height) / 2;
  const thick = length * (values.length > 64 ? 1 : 0.72);
  const parts = values.map((value, i) => {
    const start = i * length + (length - thick) / 2;
    const size = (value / peak) * reach;
    if (down) return `M${n(box.x + reach)} ${n(box.y + start)}h${n(size)}v${n(thick)}h${n(-size)}z`;
    return `M${n(box.x + start)} ${n(box.y + reach)}v${n(-size)}h${n(thick)}v${n(size)}z`;
  });
  return parts.join("");
}

/** @param {number} value */
function n(value) {
  return String(Math.round(100 * value) / 100);
}

/**
 * Return a number in so many decimals, of two that are equally near the even one: as Python says it everywhere else.
 * @param {number} value at least 0
 * @param {number} digits
 */
export function fixed(value, digits) {
  const text = value.toFixed(digits); // of two the larger one
  const halfway = Math.abs((value * 2 ** (digits + 1)) % 2) === 1; // exactly between two decimals
  return halfway && Number(text.at(-1)) % 2 ? (value - 0.5 / 10 ** digits).toFixed(digits) : text;
}

/**
 * Return a fraction in percent, with its interval where there is one; "–" where it is not known.
 * @param {number | null | undefined} value
 * @param {number | null} [interval]
 */
export function percent(value, interval = null) {
  if (value === null || value === undefined) return "–";
  const mean = fixed(100 * value, 1);
  return interval === null ? `${mean} %` : `${mean} ± ${fixed(100 * interval, 1)} %`;
}

/**
 * Return two fractions as "80 → 82 %"; the first alone where the second is not known.
 * @param {number | null} before
 * @param {number | null} after
 */
export function change(before, after) {
  if (before === null) return "–";
  const whole = (/** @type {number} */ value) => fixed(100 * value, 0);
  return after === null ? `${whole(before)} %` : `${whole(before)} → ${whole(after)} %`;
}
