// Where points are: in the data and on the screen, between two frames, near a pointer, inside a lasso. Pure functions.

/** @import { Box, Camera, Extent, Point, Step, Viewport } from "./types.js" */

const CLOSEST = 60; // times the zoom that shows a whole map
const FARTHEST = 0.3;
const LARGEST = 16; // CSS pixels of a point
const ROOMY = 290; // CSS pixels of a panel below which its points shrink with it

/**
 * Return how many CSS pixels a unit of the data is long.
 * @param {Box} box
 * @param {Camera} camera
 */
export function pixelsPerUnit(box, camera) {
  return (camera.zoom * Math.min(box.width, box.height)) / 2;
}

/**
 * Return the middle of a panel in CSS pixels.
 * @param {Box} box
 * @returns {Point}
 */
export function middle(box) {
  return [box.left + box.width / 2, box.top + box.height / 2];
}

/**
 * Return where on the stage a point of the data is, in CSS pixels; y grows upwards in the data, downwards on the stage.
 * @param {Box} box
 * @param {Camera} camera
 * @param {Point} point
 * @returns {Point}
 */
export function toScreen(box, camera, [x, y]) {
  const [cx, cy] = middle(box), scale = pixelsPerUnit(box, camera);
  return [cx + (x - camera.x) * scale, cy - (y - camera.y) * scale];
}

/**
 * Return which point of the data lies at a pixel of the stage: the inverse of `toScreen`.
 * @param {Box} box
 * @param {Camera} camera
 * @param {Point} pixel
 * @returns {Point}
 */
export function toData(box, camera, [px, py]) {
  const [cx, cy] = middle(box), scale = pixelsPerUnit(box, camera);
  return [camera.x + (px - cx) / scale, camera.y - (py - cy) / scale];
}

/**
 * Return the camera that shows a whole map.
 * @param {Extent} home
 * @returns {Camera}
 */
export function wholeMap(home) {
  return { x: home.x, y: home.y, zoom: 1 / home.reach };
}

/**
 * Return the camera after zooming; what lies at the pixel stays there.
 * @param {Viewport} viewport
 * @param {number} factor above 1 comes closer
 * @param {Point} pixel
 * @returns {Camera}
 */
export function zoomAt({ box, camera, home }, factor, pixel) {
  const zoom = Math.min(CLOSEST / home.reach, Math.max(FARTHEST / home.reach, camera.zoom * factor));
  const [x, y] = toData(box, camera, pixel);
  return { x: x + ((camera.x - x) * camera.zoom) / zoom, y: y + ((camera.y - y) * camera.zoom) / zoom, zoom };
}

/**
 * Return the camera after the map was dragged by some pixels.
 * @param {Viewport} viewport
 * @param {number} dx
 * @param {number} dy
 * @returns {Camera}
 */
export function panBy({ box, camera }, dx, dy) {
  const scale = pixelsPerUnit(box, camera);
  return { ...camera, x: camera.x - dx / scale, y: camera.y + dy / scale };
}

/**
 * Return the middle and reach of nearly all points: a few far ones must not make all others small.
 * @param {readonly Float32Array[]} frames each (2n,): x0, y0, x1, y1, ...
 * @returns {Extent}
 */
export function extent(frames) {
  const [[x, wide], [y, high]] = [0, 1].map((axis) => {
    const values = Float32Array.from(frames.flatMap((frame) => [...frame].filter((_, i) => i % 2 === axis))).sort();
    const quantile = (/** @type {number} */ share) => values[Math.round(share * (values.length - 1))] || 0;
    return [(quantile(0.003) + quantile(0.997)) / 2, (quantile(0.997) - quantile(0.003)) / 2];
  });
  return { x, y, reach: 1.25 * Math.max(wide, high) || 1 };
}

/**
 * Return the diameter of points in CSS pixels: fewer and closer ones are larger, those of a small panel smaller.
 * @param {number} count of points
 * @param {Viewport} viewport
 */
export function pointSize(count, { box, camera, home }) {
  const base = count > 8000 ? 3 : count > 1500 ? 5 : 8, room = Math.min(1, Math.min(box.width, box.height) / ROOMY);
  return Math.min(LARGEST, room * base * Math.max(1, Math.sqrt(camera.zoom * home.reach)));
}

/**
 * Return the frames on both sides of a time.
 * @param {number} time 0 is the first frame, 1 the second
 * @returns {Step}
 */
export function stepAt(time) {
  const low = Math.floor(time);
  return { low, high: Math.ceil(time), share: time - low };
}

/**
 * Return a share that starts and ends slowly.
 * @param {number} share 0 to 1
 */
export function ease(share) {
  return share * share * (3 - 2 * share);
}

/**
 * Return the points between two frames; at either end the frame itself.
 * @param {Float32Array} from
 * @param {Float32Array} to
 * @param {number} share 0 to 1
 */
export function interpolate(from, to, share) {
  if (share === 0 || from === to) return from;
  if (share === 1) return to;
  return from.map((value, i) => value * (1 - share) + to[i] * share);
}

/**
 * Return the number of the point nearest to a target, -1 where none is nearer than the radius.
 * @param {Float32Array} frame (2n,): x0, y0, x1, y1, ...
 * @param {Point} target
 * @param {number} radius in the unit of the data
 */
export function nearestPoint(frame, [x, y], radius) {
  let nearest = -1, least = radius * radius;
  for (let i = 0; 2 * i < frame.length; i++) {
    const squared = (frame[2 * i] - x) ** 2 + (frame[2 * i + 1] - y) ** 2;
    if (squared < least) [nearest, least] = [i, squared];
  }
  return nearest;
}

/**
 * Return whether a point lies inside a polygon: a ray to the right crosses its edges an odd number of times.
 * @param {Point} point
 * @param {readonly Point[]} polygon closed by itself
 */
export function isInside([x, y], polygon) {
  let inside = false;
  for (let i = 0, before = polygon.length - 1; i < polygon.length; before = i++) {
    const [ax, ay] = polygon[i], [bx, by] = polygon[before];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

/**
 * Return the numbers of the points inside a polygon.
 * @param {Float32Array} frame (2n,): x0, y0, x1, y1, ...
 * @param {readonly Point[]} polygon
 */
export function pointsInside(frame, polygon) {
  const points = Array.from({ length: frame.length / 2 }, (_, i) => i);
  return points.filter((i) => isInside([frame[2 * i], frame[2 * i + 1]], polygon));
}

/**
 * Return the corners of the rectangle between two of them.
 * @param {Point} corner
 * @param {Point} opposite
 * @returns {Point[]}
 */
export function rectangle([ax, ay], [bx, by]) {
  return [[ax, ay], [bx, ay], [bx, by], [ax, by]];
}
