// Colours of the matrices of step mode: ends of the scales, and what lies beyond them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { reach, scales, shade } from "../../assets/step.js";

/** @type {[number, number, number][]} */
const GREY = [[0, 0, 0], [100, 100, 100], [200, 200, 200]];

test("a scale is linear between its colours and stands still beyond its ends", () => {
  assert.deepEqual(shade(GREY, 0), [0, 0, 0]);
  assert.deepEqual(shade(GREY, 0.25), [50, 50, 50]);
  assert.deepEqual(shade(GREY, 1), [200, 200, 200]);
  assert.deepEqual(shade(GREY, -3), [0, 0, 0]);
  assert.deepEqual(shade(GREY, 9), [200, 200, 200]);
});

test("a few entries far outside do not take the colours from all others", () => {
  const values = Array.from({ length: 100 }, (_, number) => (number < 2 ? -50 : number / 100));
  assert.ok(reach(values) < 1);
  assert.ok(reach([]) > 0);
});

test("student and target share one scale, around 0 where there are signs; the difference begins at 0", () => {
  const palette = { diverging: GREY, rising: GREY };
  const matrix = (/** @type {number[]} */ values, difference = false) => ({ name: "", colour: "", values, difference });
  const signed = scales([matrix([-1, 1]), matrix([-2, 2]), matrix([0, 4], true)], palette);
  assert.equal(signed[0], signed[1]);
  assert.equal(signed[0].low, -signed[0].high);
  assert.equal(signed[2].low, 0);
  assert.equal(scales([matrix([0, 1])], palette)[0].low, 0);
  const [first, , third] = scales([matrix([0, 1]), matrix([0, 2]), matrix([0, 8])], palette);
  assert.equal(first, third, "three spaces, no difference");
});
