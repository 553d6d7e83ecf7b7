import assert from "node:assert/strict";
import test from "node:test";

import { packPalette, PALETTE_WIDTH, parseRGB } from "../../assets/maps/colours.js";

test("an entry of the legend is packed as red, green, blue and shape", () => {
  const texels = packPalette([{ name: "a", colour: "#ff8001", shape: 3 }, { name: "b", colour: "#00000a", shape: 0 }]);
  assert.deepEqual([...texels.slice(0, 8)], [255, 128, 1, 3, 0, 0, 10, 0]);
  assert.equal(texels.length, 4 * PALETTE_WIDTH);
});

test("the colour of class 257 did not overwrite that of the first", () => {
  const colours = Array.from({ length: PALETTE_WIDTH + 1 }, (_, i) => (i ? "#000002" : "#000001"));
  const legend = colours.map((colour) => ({ name: "", colour, shape: 0 }));
  const texels = packPalette(legend);
  assert.equal(texels[2], 1);
  assert.equal(texels[4 * PALETTE_WIDTH + 2], 2);
  assert.equal(texels.length, 4 * 2 * PALETTE_WIDTH);
});

test("an empty legend is a palette too", () => {
  assert.equal(packPalette([]).length, 4 * PALETTE_WIDTH);
});

test("a computed colour has parts from 0 to 1", () => {
  assert.deepEqual(parseRGB("rgb(255, 0, 51)"), [1, 0, 0.2]);
  assert.deepEqual(parseRGB("rgba(51, 255, 0, 0.5)"), [0.2, 1, 0]);
  assert.deepEqual(parseRGB("transparent"), [0, 0, 0]);
});
