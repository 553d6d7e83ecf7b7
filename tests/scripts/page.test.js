// What every page does: numbers that change count, links lead to sections, tables are sorted.

import assert from "node:assert/strict";
import { test } from "node:test";

import { partOf } from "../../assets/page/links.js";
import { between, onlyNumbersDiffer } from "../../assets/page/numbers.js";
import { nextOrder, sortedPlaces } from "../../assets/page/sort.js";

test("a number goes to what it becomes, with as many decimals", () => {
  assert.equal(between("40 %", "50 %", 0.5), "45 %");
  assert.equal(between("82.0 ± 0.5 %", "84.0 ± 0.9 %", 0.5), "83.0 ± 0.7 %");
  assert.equal(between("10", "0", 0.25), "8");
});

test("it ends at exactly the text that was written, whatever that is", () => {
  for (const to of ["007", "1e9", "1,00", "no number"]) assert.equal(between("3", to, 1), to);
});

test("thousands stay apart where they are, and only there", () => {
  assert.equal(between("900 labels", "1,500 labels", 0.5), "1,200 labels");
  assert.equal(between("1,500 labels", "900 labels", 0.25), "1,350 labels");
  assert.equal(between("width 1000", "width 2000", 0.5), "width 1500");
});

test("a difference goes through nought to the other side, and a hyphen is no sign", () => {
  assert.equal(between("+5.0", "-5.0", 0.25), "+2.5");
  assert.equal(between("+5.0", "-5.0", 0.75), "-2.5");
  assert.equal(between("+5.0", "-5.0", 0.5), "0.0");
  assert.equal(between("2-4 min", "4-8 min", 0.5), "3-6 min");
});

test("numbers that stay are left as they are", () => {
  assert.equal(between("seed 007 of 10", "seed 007 of 20", 0.5), "seed 007 of 15");
});

test("other words are there at once", () => {
  assert.equal(between("1 seed", "3 seeds", 0.5), "3 seeds");
  assert.equal(onlyNumbersDiffer("1 seed", "3 seeds"), false);
  assert.equal(onlyNumbersDiffer("running 4 %", "running 5 %"), true);
  assert.equal(onlyNumbersDiffer("4 %", "4 %"), false);
});

test("an address leads to the section that it names, the innermost one", () => {
  assert.equal(partOf("?runs=abc&show=Table"), "show");
  assert.equal(partOf("?show=Dimension&sweeping=true"), "sweeping");
  assert.equal(partOf("?open=report&show=Table"), "report");
  assert.equal(partOf("?text=mlp&page=2"), "");
  assert.equal(partOf(""), "");
});

test("a column of numbers goes by their value, one of words by the alphabet; what is missing comes last", () => {
  assert.deepEqual(sortedPlaces(["9.5", "–", "1,200", "-3 ± 1"], false), [3, 0, 2, 1]);
  assert.deepEqual(sortedPlaces(["9.5", "–", "1,200", "-3 ± 1"], true), [2, 0, 3, 1]);
  assert.deepEqual(sortedPlaces(["pca 16", "mlp", "pca 2", "–"], false), [1, 2, 0, 3]);
});

test("rows that are equal stay as they came, either way", () => {
  assert.deepEqual(sortedPlaces(["2", "1", "2"], false), [1, 0, 2]);
  assert.deepEqual(sortedPlaces(["2", "1", "2"], true), [0, 2, 1]);
});

test("clicks sort upwards, downwards, and not; another column begins anew", () => {
  const up = nextOrder(undefined, 1);
  assert.deepEqual(up, { column: 1, down: false });
  assert.deepEqual(nextOrder(up, 1), { column: 1, down: true });
  assert.equal(nextOrder({ column: 1, down: true }, 1), undefined);
  assert.deepEqual(nextOrder({ column: 1, down: true }, 0), { column: 0, down: false });
});
