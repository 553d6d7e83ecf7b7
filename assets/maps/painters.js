// Which painter draws the points: the graphics card, or the processor where that is not to be had.

import { find } from "./elements.js";
import { FlatPainter, WebGLPainter } from "./paint.js";

/** @import { Painter } from "./types.js" */

/**
 * Return what draws the points of the canvas `[data-points]`.
 * @param {HTMLElement} root
 * @param {(make: () => Painter) => void} onLost called when the graphics card is taken away; what it is given makes the
 *   painter that goes on, on a new canvas
 * @returns {Painter}
 */
export function startPainter(root, onLost) {
  const canvas = find(root, "[data-points]", HTMLCanvasElement);
  try {
    const painter = new WebGLPainter(canvas);
    canvas.addEventListener("webglcontextlost", () => onLost(() => flatPainter(canvas)));
    return painter;
  } catch {
    return flatPainter(canvas);
  }
}

/** @param {HTMLCanvasElement} old */
function flatPainter(old) {
  const canvas = document.createElement("canvas"); // a canvas keeps its first kind of context
  canvas.dataset.points = "";
  canvas.setAttribute("aria-hidden", "true");
  old.replaceWith(canvas);
  return new FlatPainter(canvas);
}
