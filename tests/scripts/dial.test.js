import assert from "node:assert/strict";
import test from "node:test";

import * as numbers from "../../assets/dial/numbers.js";

/** @import { Series } from "../../assets/dial/types.js" */

const WIDTHS = [1, 2, 4, 8, 12, 16];

/**
 * @param {Partial<Series>} changes
 * @returns {Series}
 */
function series(changes = {}) {
  return {
    name: "target", kind: "target", help: "", trained: [0.3, 0.6, 0.7, 0.8, 0.8, 0.81], pca: [0.1, 0.2, 0.5, 0.7, 0.7, 0.78],
    raw: 0.8, chance: 0.1, ...changes,
  };
}

test("each doubling takes the same way along the axis, from 0 to 1", () => {
  assert.deepEqual([1, 2, 4, 8, 16].map((width) => numbers.along(width, 16)), [0, 0.25, 0.5, 0.75, 1]);
  assert.equal(numbers.along(1, 1), 1);
});

test("a place of the axis leads to the nearest width", () => {
  for (const [index, width] of WIDTHS.entries()) {
    assert.equal(numbers.nearestIndex(numbers.along(width, 16), WIDTHS), index);
  }
  assert.deepEqual([-1, 0.1, 0.2, 2].map((share) => numbers.nearestIndex(share, WIDTHS)), [0, 0, 1, 5]);
});

test("a curve runs from left to right, up for larger values, with a gap where a number does not exist", () => {
  assert.equal(numbers.curve([0, 0.5, 1], [1, 2, 4], 1), "M0.00 100.00L50.00 50.00L100.00 0.00");
  assert.equal(numbers.curve([null, 1, null, 2], [1, 2, 4, 8], 2), "M33.33 50.00M100.00 0.00");
});

test("a fraction is a percentage, a rank a number, and what does not exist a dash", () => {
  assert.equal(numbers.format("target", 0.815), "82\u00a0%");
  assert.equal(numbers.format("rank", 3), "3.0");
  assert.equal(numbers.format("overlap", null), "–");
  assert.equal(numbers.bytes(16), "64 bytes");
});

test("the axis of the rank reaches its largest value, that of a fraction 100 %", () => {
  assert.equal(numbers.top(series()), 1);
  assert.equal(numbers.top(series({ kind: "rank", trained: [1, 5, null], pca: [1, 9, null] })), 9);
  assert.equal(numbers.top(series({ kind: "rank", trained: [null], pca: [null] })), 1);
});

test("powers of two and the last width are written at the axis, none over another", () => {
  assert.deepEqual(numbers.ticks(WIDTHS), [1, 2, 4, 8, 16]);
  assert.deepEqual(numbers.ticks([1, 2, 4, 8, 16, 32, 36]), [1, 2, 4, 8, 16, 36]);
  assert.deepEqual(numbers.ticks([1]), [1]);
});

test("the sentence says what is kept of the target and which attribute was thrown away most", () => {
  const attribute = { kind: /** @type {const} */ ("attribute"), trained: [0.1, 0.1, 0.1, 0.2, 0.2, 0.4] };
  const all = [
    series(), series({ ...attribute, name: "position", raw: 0.9 }), series({ ...attribute, name: "background", raw: 0.5 }),
  ];
  assert.equal(
    numbers.sentence(all, WIDTHS, 2),
    ("4 of 16 numbers, 16 bytes per item. A linear probe reads the target at 70 %; from PCA 50 %, by guessing 10 %. " +
    "Thrown away most: position, 90 % in the raw embedding, 10 % here; PCA 50 %.").replaceAll(" %", "\u00a0%"),
  );
  assert.doesNotMatch(numbers.sentence([series(), series({ ...attribute, raw: 0.12 })], WIDTHS, 2), /Thrown/);
});

test("one scale holds the maps of all widths, also a lopsided one", () => {
  const frames = [[1, 0, -1, 0], [4, 0, -2, 0]].map((frame) => Float32Array.from(frame));
  const { x, y, reach } = numbers.widest(frames);
  assert.deepEqual([x, y], [0, 0]);
  assert.ok(reach >= 4 && reach < 6, String(reach));
});

test("a sweep goes from wide to narrow, glides or jumps, and ends at one number", () => {
  assert.equal(numbers.sweep(5, 0, 400, false), 5);
  assert.equal(numbers.sweep(5, 600, 400, false), 3.5);
  assert.equal(numbers.sweep(5, 600, 400, true), 4);
  assert.equal(numbers.sweep(5, 9000, 400, false), 0);
});
