import assert from "node:assert/strict";
import test from "node:test";

import { asksForSearch } from "../../assets/keys.js";

/** @param {string} key @param {object} [target] @param {object} [held] */
const press = (key, target = {}, held = {}) =>
  asksForSearch({ key, ctrlKey: false, metaKey: false, altKey: false, target: /** @type {any} */ (target), ...held });

test("a slash asks for the search field", () => assert.equal(press("/"), true));

test("it does so from a box that is ticked, where nothing is typed", () => {
  for (const type of ["checkbox", "radio"]) assert.equal(press("/", { tagName: "INPUT", type }), true);
});

test("a slash that is typed stays a slash", () => {
  for (const tagName of ["INPUT", "TEXTAREA", "SELECT"]) assert.equal(press("/", { tagName }), false);
  assert.equal(press("/", { tagName: "DIV", isContentEditable: true }), false);
});

test("other keys, and shortcuts of the browser, are left alone", () => {
  assert.equal(press("a"), false);
  for (const held of ["ctrlKey", "metaKey", "altKey"]) assert.equal(press("/", {}, { [held]: true }), false);
});
