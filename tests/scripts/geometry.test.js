import assert from "node:assert/strict";
import test from "node:test";

import * as geometry from "../../assets/maps/geometry.js";

/** @import { Point, Viewport } from "../../assets/maps/types.js" */

const BOX = { left: 100, top: 50, width: 400, height: 200 };
const CAMERA = { x: 2, y: -1, zoom: 0.5 }; // a unit of the data is 50 pixels long
const HOME = { x: 0, y: 0, reach: 4 };
/** @type {Viewport} */
const VIEWPORT = { box: BOX, camera: CAMERA, home: HOME };

/**
 * @param {readonly number[]} actual
 * @param {readonly number[]} expected
 */
function assertClose(actual, expected) {
  assert.equal(actual.length, expected.length);
  expected.forEach((value, i) => assert.ok(Math.abs(actual[i] - value) < 1e-9, `expected ${expected}, got ${actual}`));
}

test("the camera's middle is shown in the middle of the panel, and y grows upwards", () => {
  assert.deepEqual(geometry.toScreen(BOX, CAMERA, [2, -1]), [300, 150]);
  assert.deepEqual(geometry.toScreen(BOX, CAMERA, [3, 0]), [350, 100]);
});

test("a place of the screen leads back to its place in the data", () => {
  for (const place of /** @type {Point[]} */ ([[0, 0], [2, -1], [-3.5, 7.25]])) {
    assertClose(geometry.toData(BOX, CAMERA, geometry.toScreen(BOX, CAMERA, place)), place);
  }
});

test("the whole map fits into the shorter side of the panel", () => {
  const camera = geometry.wholeMap({ x: 5, y: 6, reach: 2 });
  assertClose(geometry.toScreen(BOX, camera, [5, 8]), [300, BOX.top]);
  assertClose(geometry.toScreen(BOX, camera, [5, 4]), [300, BOX.top + BOX.height]);
});

test("zooming leaves in place what lies under the pointer", () => {
  /** @type {Point} */
  const pixel = [180, 90];
  const place = geometry.toData(BOX, CAMERA, pixel), camera = geometry.zoomAt(VIEWPORT, 1.7, pixel);
  assert.equal(camera.zoom, CAMERA.zoom * 1.7);
  assertClose(geometry.toScreen(BOX, camera, place), pixel);
});

test("zooming in and out again leads back", () => {
  const closer = geometry.zoomAt(VIEWPORT, 1.4, [120, 60]);
  const { x, y, zoom } = geometry.zoomAt({ ...VIEWPORT, camera: closer }, 1 / 1.4, [120, 60]);
  assertClose([x, y, zoom], [CAMERA.x, CAMERA.y, CAMERA.zoom]);
});

test("zooming ends at 60 times and at 0.3 times the whole map", () => {
  assert.equal(geometry.zoomAt(VIEWPORT, 1e9, [0, 0]).zoom, 60 / HOME.reach);
  assert.equal(geometry.zoomAt(VIEWPORT, 1e-9, [0, 0]).zoom, 0.3 / HOME.reach);
});

test("a map follows the pointer that drags it", () => {
  const place = geometry.toData(BOX, CAMERA, [200, 100]), camera = geometry.panBy(VIEWPORT, 30, -20);
  assertClose(geometry.toScreen(BOX, camera, place), [230, 80]);
  assert.equal(camera.zoom, CAMERA.zoom);
});

test("a map is centred on its points with a rim of a quarter", () => {
  assert.deepEqual(geometry.extent([new Float32Array([0, 10, 4, 12, 2, 11])]), { x: 2, y: 11, reach: 2.5 });
});

test("one point far away does not make all others small", () => {
  const frame = Float32Array.from({ length: 2000 }, (_, i) => ((i >> 1) % 10) - 4.5);
  frame.set([1e6, 1e6]);
  assert.deepEqual(geometry.extent([frame]), { x: 0, y: 0, reach: 1.25 * 4.5 });
});

test("several frames share one middle and reach", () => {
  assert.deepEqual(geometry.extent([new Float32Array([0, 0]), new Float32Array([8, 2])]), { x: 4, y: 1, reach: 5 });
});

test("points that all lie in one place, and no points, have a reach", () => {
  assert.deepEqual(geometry.extent([new Float32Array([3, 3, 3, 3])]), { x: 3, y: 3, reach: 1 });
  assert.deepEqual(geometry.extent([new Float32Array()]), { x: 0, y: 0, reach: 1 });
});

test("points are smaller where there are many, grow when the map comes closer, and are small in a small one", () => {
  const box = { ...BOX, height: 300 }, whole = { ...VIEWPORT, box, camera: { x: 0, y: 0, zoom: 1 / HOME.reach } };
  assert.deepEqual([100, 5000, 20000].map((count) => geometry.pointSize(count, whole)), [8, 5, 3]);
  assert.equal(geometry.pointSize(100, { ...whole, camera: { x: 0, y: 0, zoom: 2.25 / HOME.reach } }), 12);
  assert.equal(geometry.pointSize(100, { ...whole, camera: { x: 0, y: 0, zoom: 60 / HOME.reach } }), 16);
  assert.equal(geometry.pointSize(100, { ...whole, camera: { x: 0, y: 0, zoom: 0.3 / HOME.reach } }), 8);
  assert.equal(geometry.pointSize(100, { ...whole, box: { ...box, width: 145 } }), 4); // half as wide
});

test("a time lies between two frames", () => {
  assert.deepEqual(geometry.stepAt(2), { low: 2, high: 2, share: 0 });
  assert.deepEqual(geometry.stepAt(2.25), { low: 2, high: 3, share: 0.25 });
});

test("easing keeps both ends and the middle, and is slow at the ends", () => {
  assert.deepEqual([0, 0.5, 1].map(geometry.ease), [0, 0.5, 1]);
  assert.ok(geometry.ease(0.1) < 0.1);
  assert.ok(geometry.ease(0.9) > 0.9);
});

test("points move along a straight line from frame to frame and end in the frames themselves", () => {
  const from = new Float32Array([0, 4]), to = new Float32Array([8, 0]);
  assert.deepEqual(geometry.interpolate(from, to, 0.25), new Float32Array([2, 3]));
  assert.equal(geometry.interpolate(from, to, 0), from);
  assert.equal(geometry.interpolate(from, to, 1), to);
});

test("the nearest point is found within the radius only", () => {
  const frame = new Float32Array([0, 0, 1, 0, 5, 5]);
  assert.equal(geometry.nearestPoint(frame, [0.7, 0.1], 1), 1);
  assert.equal(geometry.nearestPoint(frame, [3, 3], 1), -1);
  assert.equal(geometry.nearestPoint(frame, [3, 3], 3), 2);
  assert.equal(geometry.nearestPoint(new Float32Array(), [0, 0], 10), -1);
});

test("of points in one place the first is the nearest", () => {
  assert.equal(geometry.nearestPoint(new Float32Array([1, 1, 1, 1]), [1, 1], 1), 0);
});

test("a concave lasso leaves out what lies in its notch", () => {
  /** @type {Point[]} */
  const notched = [[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]];
  assert.ok(geometry.isInside([0.5, 2], notched));
  assert.ok(geometry.isInside([3.5, 2], notched));
  assert.ok(!geometry.isInside([2, 3], notched));
  assert.ok(!geometry.isInside([5, 2], notched));
  assert.ok(!geometry.isInside([-1, 2], notched));
});

test("a lasso has the same inside whichever way round it was drawn", () => {
  const clockwise = geometry.rectangle([0, 0], [2, 2]), other = [...clockwise].reverse();
  const frame = new Float32Array([1, 1, 3, 1, 1, -1, 1.9, 0.1]);
  assert.deepEqual(geometry.pointsInside(frame, clockwise), [0, 3]);
  assert.deepEqual(geometry.pointsInside(frame, other), [0, 3]);
});

test("a box may be drawn from any of its corners", () => {
  const frame = new Float32Array([1, 1, 3, 3]);
  for (const [x, y] of [[0, 0], [0, 2], [2, 0], [2, 2]]) {
    assert.deepEqual(geometry.pointsInside(frame, geometry.rectangle([x, y], [2 - x, 2 - y])), [0]);
  }
});

test("nothing is inside a lasso without an area", () => {
  assert.deepEqual(geometry.pointsInside(new Float32Array([0, 0, 1, 1]), []), []);
  assert.deepEqual(geometry.pointsInside(new Float32Array([0, 0, 1, 1]), [[0, 0], [2, 2]]), []);
});
