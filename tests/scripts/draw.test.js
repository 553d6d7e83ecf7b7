import assert from "node:assert/strict";
import test from "node:test";

import { averageInk, SIDE, toBase64 } from "../../assets/draw.js";

test("ink is the alpha of the pixels, averaged by blocks", () => {
  const rgba = new Uint8ClampedArray(4 * 4 * 4); // 4 x 4 pixels
  for (const pixel of [0, 1, 4, 5]) rgba[4 * pixel + 3] = 255; // the first block is full
  rgba[4 * 2 + 3] = 200; // a pixel of the second
  rgba[4 * 15] = 255; // a colour without alpha
  assert.deepEqual([...averageInk(rgba, 4, 2)], [255, 50, 0, 0]);
});

test("a paper gives as many bytes as Python expects", () => {
  assert.equal(averageInk(new Uint8ClampedArray(4 * 256 * 256), 256).length, SIDE * SIDE);
});

test("bytes of any number come back from base64", () => {
  const bytes = Uint8Array.from({ length: 20_000 }, (_, i) => i % 256);
  assert.deepEqual([...Buffer.from(toBase64(bytes), "base64")], [...bytes]);
  assert.equal(toBase64(new Uint8Array()), "");
});
