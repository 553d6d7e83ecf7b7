// The funnel of the chain: as high at its ends as the logarithms of the widths.

import assert from "node:assert/strict";
import { test } from "node:test";

import { funnel } from "../../assets/chain_controls.js";

const ends = (/** @type {string} */ points) => {
  const y = points.split(" ").map((corner) => Number(corner.split(",")[1]));
  return [y[3] - y[0], y[2] - y[1]];
};

test("it narrows to the compressed width", () => {
  const [left, right] = ends(funnel(255, 15));
  assert.equal(left, 64);
  assert.equal(right, 32); // log2(16) is half of log2(256)
});

test("without a compressor it keeps its height, without a teacher it is a line", () => {
  assert.deepEqual(ends(funnel(256, 256)), [64, 64]);
  assert.deepEqual(ends(funnel(0, 0)), [0, 0]);
});
