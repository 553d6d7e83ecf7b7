import assert from "node:assert/strict";
import test from "node:test";

import { Scene, splitFrames } from "../../assets/maps/scene.js";

/** @import { MapsData, NumericArray, Table } from "../../assets/maps/types.js" */

/**
 * Return a table as the page gets it.
 * @param {Record<string, NumericArray>} columns
 * @returns {Table}
 */
function table(columns) {
  return { getChild: (name) => (name in columns ? { toArray: () => columns[name] } : null) };
}

/**
 * Return three rows in two spaces: (0, 0), (1, 1), (2, 2) and in the other one ten times as far to the right.
 * @param {Partial<MapsData>} changes
 * @returns {MapsData}
 */
function sent(changes = {}) {
  const x = new Float32Array([0, 1, 2]);
  return {
    kind: "pca",
    points: table({
      row: new Int32Array([7, 8, 9]),
      code: new Int16Array([0, 1, 0]),
      fact0: new Int16Array([1, 0, -1]),
    }),
    frames: table({ x0: x, y0: x, x1: x.map((value) => 10 * value), y1: x }),
    panels: ["raw", "student"].map((name) => ({ name, title: name, note: "", colour: "#000000" })),
    legend: ["a", "b"].map((name) => ({ name, colour: "#000000", shape: 0 })),
    facts: [{ name: "class", names: ["zero", "one"] }],
    item: "",
    when: [],
    live: false,
    selected: [],
    ...changes,
  };
}

/**
 * Return one row in one space that moves to the right, a unit from frame to frame.
 * @param {number} frames
 */
function replayed(frames, live = false) {
  const x = Float32Array.from({ length: frames }, (_, i) => i);
  return sent({
    points: table({ row: new Int32Array([7]), code: new Int16Array([0]), fact0: new Int16Array([0]) }),
    frames: table({ x0: x, y0: new Float32Array(frames) }),
    panels: [{ name: "student", title: "", note: "", colour: "#000000" }],
    when: Array.from(x, (i) => `after epoch ${i}`),
    live,
  });
}

/** @param {MapsData} data */
function loaded(data) {
  const scene = new Scene();
  scene.load(data);
  return scene;
}

test("frames follow one another in the columns", () => {
  const x = new Float32Array([1, 2, 3, 4]), y = new Float32Array([5, 6, 7, 8]);
  assert.deepEqual(splitFrames(x, y, 2, 2), [new Float32Array([1, 5, 2, 6]), new Float32Array([3, 7, 4, 8])]);
});

test("a missing column is named", () => {
  assert.throws(() => new Scene().load(sent({ points: table({ row: new Int32Array() }) })), /no column code/);
});

test("each space has its own points, nearest point and inside", () => {
  const scene = loaded(sent());
  assert.deepEqual(scene.point(1, 2), [20, 2]);
  assert.equal(scene.nearest(0, [1.1, 1], 0.5), 1);
  assert.equal(scene.nearest(1, [1.1, 1], 0.5), -1);
  assert.deepEqual(scene.inside(1, [[5, 0], [25, 0], [25, 5], [5, 5]]), [1, 2]);
});

test("what is known of a row is in words, and what is not known is a dash", () => {
  const scene = loaded(sent());
  assert.deepEqual([0, 2].map((i) => scene.describe(i)), [[["class", "one"]], [["class", "–"]]]);
});

test("a legend entry selects its rows", () => {
  const scene = loaded(sent());
  assert.deepEqual(scene.select(scene.coded(0)), [7, 9]);
  assert.deepEqual([...scene.marks], [1, 0, 1]);
  assert.equal(scene.marked, 2);
});

test("a selection replaces the one before, or is added to it", () => {
  const scene = loaded(sent());
  scene.select([0]);
  assert.deepEqual(scene.select([1]), [8]);
  assert.deepEqual(scene.select([2], true), [8, 9]);
  assert.deepEqual(scene.highlighted(), [8, 9]);
});

test("other colours did away with the selection, because the first one came with them again", () => {
  const scene = loaded(sent({ selected: [9] }));
  assert.deepEqual(scene.highlighted(), [9]);
  scene.select([0]);
  scene.load(sent({ selected: [9], legend: [] }));
  assert.deepEqual(scene.highlighted(), [7]);
});

test("another selection of Python replaces the one of the maps", () => {
  const scene = loaded(sent({ selected: [9] }));
  scene.select([0]);
  scene.load(sent({ selected: [8] }));
  assert.deepEqual(scene.highlighted(), [8]);
});

test("selected rows that are not shown stay selected", () => {
  const scene = loaded(sent({ selected: [7, 1000] }));
  assert.equal(scene.marked, 1);
  assert.deepEqual(scene.select([1], true), [7, 1000, 8]);
});

test("other spaces or another projection are new maps, other colours are not", () => {
  const scene = new Scene();
  assert.equal(scene.load(sent()), "new");
  assert.equal(scene.load(sent({ legend: [] })), "same");
  assert.equal(scene.load(sent({ kind: "umap" })), "new");
  assert.equal(scene.load(sent({ kind: "umap", panels: sent().panels.slice(0, 1) })), "new");
});

test("a morph leads from space to space, slowly at both ends", () => {
  const scene = loaded(sent());
  scene.toggleMorph();
  assert.equal(scene.end, 1);
  assert.deepEqual(scene.point(0, 2), [2, 2]);
  scene.time = 0.25;
  const share = 0.25 ** 2 * (3 - 2 * 0.25);
  assert.ok(Math.abs(scene.point(0, 2)[0] - (2 + 18 * share)) < 1e-5); // frames are float32
  scene.time = 1;
  assert.deepEqual(scene.point(0, 2), [20, 2]);
});

test("a morph shows the points of all spaces, a map those of its own", () => {
  const scene = loaded(sent());
  assert.deepEqual(scene.home(1), { x: 10, y: 1, reach: 12.5 });
  scene.toggleMorph();
  assert.equal(scene.home(0).reach, 12.5);
});

test("playing takes 400 ms from frame to frame and stops at the last", () => {
  const scene = loaded(replayed(3));
  scene.play(0);
  scene.advance(1000);
  assert.equal(scene.time, 0);
  scene.advance(1200);
  assert.deepEqual(scene.point(0, 0), [0.5, 0]);
  assert.ok(scene.playing);
  scene.advance(9000);
  assert.equal(scene.time, 2);
  assert.ok(!scene.playing);
});

test("frames that come later are played, unless somebody looks at an earlier one", () => {
  const scene = new Scene();
  assert.equal(scene.load(replayed(2, true)), "new");
  assert.equal(scene.time, 1);
  assert.equal(scene.load(replayed(3, true)), "grown");
  assert.equal(scene.time, 1);
  scene.seek(0.5);
  assert.equal(scene.load(replayed(4, true)), "same");
  assert.equal(scene.time, 0.5);
  scene.seek(3);
  assert.equal(scene.load(replayed(5, true)), "grown");
});

test("a time that is gone becomes the last one there is", () => {
  const scene = loaded(replayed(5));
  scene.seek(4);
  scene.load(replayed(3));
  assert.equal(scene.time, 2);
});

test("row numbers lead to points, those of rows that are not drawn to none", () => {
  const scene = loaded(sent());
  assert.deepEqual(scene.pointsOf([9, 100, 7]), [2, 0]);
});

test("neighbours, sounds and whether neighbours come are as they were sent", () => {
  const neighbours = { row: 8, words: ["near"], groups: [], shared: {}, legend: "" };
  const scene = loaded(sent({ neighbours, explains: true, sound: "sound?row=" }));
  assert.deepEqual([scene.neighbours, scene.explains, scene.sound], [neighbours, true, "sound?row="]);
  const without = loaded(sent());
  assert.deepEqual([without.neighbours, without.explains, without.sound], [null, false, ""]);
});
