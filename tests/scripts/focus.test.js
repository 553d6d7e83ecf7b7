// Where the keyboard goes on in a lesson.

import assert from "node:assert/strict";
import { test } from "node:test";

import { move } from "../../assets/guess/guess.js";
import { nameOf, targetOf } from "../../assets/focus.js";

const step = (/** @type {string} */ place, answered = false) => ({ place, title: "", answered });

test("a page that was just opened, or drawn again, keeps the focus where it is", () => {
  assert.equal(targetOf("", step("1-1")), "");
  assert.equal(targetOf("1-1", step("1-1")), "");
  assert.equal(targetOf(nameOf(step("1-1", true)), step("1-1", true)), "");
});

test("another step begins at its heading, an answered question at itself", () => {
  assert.match(targetOf("1-1", step("1-2")), /h3/);
  assert.match(targetOf(nameOf(step("1-1", true)), step("1-2", true)), /h3/);
  assert.equal(targetOf("1-2", step("1-2", true)), ".st-key-question");
  assert.equal(targetOf("1-2", step("list")), "h1");
});

test("keys move a point of the guess within its ends", () => {
  assert.equal(move("ArrowUp", 50, 0, 100, 1), 51);
  assert.equal(move("ArrowLeft", 0, 0, 100, 1), 0);
  assert.equal(move("PageUp", 95, 0, 100, 1), 100);
  assert.equal(move("Home", 50, 0, 100, 1), 0);
  assert.equal(move("End", 50, 0, 100, 1), 100);
  assert.equal(move("Tab", 50, 0, 100, 1), null);
});
