import assert from "node:assert/strict";
import test from "node:test";

import { countNames } from "../../assets/maps/drawer.js";

test("a selection is counted by class, the most frequent first", () => {
  assert.equal(countNames(["7", "1", "7", "9", "7", "1"]), "7: 3, 1: 2, 9: 1");
  assert.equal(countNames([]), "");
});
