import assert from "node:assert/strict";
import test from "node:test";

import { barsPath, blend, change, count, decodePlaces, farthest, fixed, percent } from "../../assets/story/draw.js";
import { Player } from "../../assets/story/player.js";

test("places come back from their text, snapshot after snapshot", () => {
  const numbers = Int16Array.from([10000, -5000, 0, 2500]);
  const text = Buffer.from(numbers.buffer).toString("base64");
  const frames = decodePlaces(text, 2);
  assert.deepEqual(frames.map((frame) => [...frame]), [[1, -0.5], [0, 0.25]]);
  assert.deepEqual(decodePlaces("", 6), []);
});

test("half way lies in the middle, and other counts come at once", () => {
  assert.deepEqual(blend([0, 10], [1, 20], 0.5), [0.5, 15]);
  assert.deepEqual([...blend(new Float32Array([0]), new Float32Array([4]), 0.25)], [1]);
  assert.deepEqual(blend([], [1, 2], 0.5), [1, 2]);
  assert.deepEqual(count([0, null, 2], [1, 4, null, 8], 0.25), [0.25, 4, null, 8]);
  assert.deepEqual(count([0, 5], [1, 4], 1), [1, 4]);
});

test("the longest of the numbers fills the box, the others in proportion, either side", () => {
  const box = { x: 10, y: 0, width: 40, height: 20 };
  assert.equal(barsPath([2, -1], box, true), "M30 1.4h20v7.2h-20zM30 11.4h-10v7.2h10z");
  assert.equal(barsPath([1], { x: 0, y: 0, width: 10, height: 20 }, false), "M1.4 10v-10h7.2v10z");
});

test("numbers that are all zero once divided by zero", () => {
  assert.ok(!barsPath([0, 0], { x: 0, y: 0, width: 1, height: 1 }, true).includes("NaN"));
});

test("shares are told in percent, and what is not known as a dash", () => {
  assert.equal(percent(0.6725, 0.0339), "67.2 ± 3.4 %");
  assert.equal(percent(0.5), "50.0 %");
  assert.equal(percent(null), "–");
  assert.equal(change(0.556, 0.179), "56 → 18 %");
  assert.equal(change(0.556, null), "56 %");
  assert.equal(change(null, 0.2), "–");
});

test("a map reaches as far as its farthest point", () => {
  assert.deepEqual(farthest(new Float32Array([1, -3, -2, 0.5])), [2, 3]);
});

/** @param {Player} player */
function played(player, from = 1000, until = 9000) {
  const seen = [];
  for (let now = from; now <= until; now += 100) if (player.advance(now)) seen.push(player.step);
  return seen;
}

test("a recorded race plays by itself, every step in turn, in the seconds it is given", () => {
  const player = new Player();
  player.load("recorded", 33, 8, true);
  assert.equal(player.step, 0);
  assert.deepEqual(played(player), Array.from({ length: 32 }, (_, i) => i + 1));
  assert.ok(!player.playing);
});

test("where nothing may move by itself the outcome is shown, and Play begins at the beginning", () => {
  const player = new Player();
  player.load("recorded", 3, 8, false);
  assert.deepEqual([player.step, player.playing], [2, false]);
  player.play();
  assert.deepEqual([player.step, player.playing], [0, true]);
});

test("the same race sent again does not begin anew", () => {
  const player = new Player();
  player.load("a", 5, 8, true);
  player.advance(0);
  player.seek(2);
  player.load("a", 5, 8, true);
  assert.deepEqual([player.step, player.playing], [2, false]);
});

test("a live race is followed, and its end is shown when it comes", () => {
  const player = new Player();
  player.load("live", 1, 8, false);
  player.load("live", 32, 8, false);
  assert.deepEqual([player.step, player.playing], [31, false]);
});

test("fewer steps than before once left the player beyond the last", () => {
  const player = new Player();
  player.load("a", 9, 8, false);
  player.load("b", 2, 8, true);
  player.seek(7);
  assert.equal(player.step, 1);
  player.load("b", 0, 8, true);
  assert.equal(player.step, 0);
});

test("a number halfway between two decimals is rounded as Python does it, to the even one", () => {
  /** @type {[number, number, string][]} */
  const python = [
    [67.25, 1, "67.2"], [67.75, 1, "67.8"], [0.25, 1, "0.2"], [67.35, 1, "67.3"], [67.15, 1, "67.2"], [0, 1, "0.0"],
    [0.5, 0, "0"], [1.5, 0, "2"], [2.5, 0, "2"], [99.95, 1, "100.0"],
  ];
  for (const [value, digits, text] of python) assert.equal(fixed(value, digits), text);
});
