// Colours as the graphics card takes them. Pure functions.

/** @import { LegendEntry, RGB } from "./types.js" */

export const PALETTE_WIDTH = 256; // texels in a row of the palette's texture; every graphics card takes as many

/**
 * Return the palette as rows of texels of four bytes: red, green, blue and the shape's number.
 * @param {readonly LegendEntry[]} legend
 */
export function packPalette(legend) {
  const texels = new Uint8Array(4 * PALETTE_WIDTH * Math.max(1, Math.ceil(legend.length / PALETTE_WIDTH)));
  legend.forEach(({ colour, shape }, index) => {
    const value = parseInt(colour.slice(1), 16);
    texels.set([value >> 16, (value >> 8) & 255, value & 255, shape], 4 * index);
  });
  return texels;
}

/**
 * Return the parts of a colour as the browser computes it: "rgb(255, 0, 51)" or "rgba(255, 0, 51, 0.5)"; black where
 * there are none.
 * @param {string} computed
 * @returns {RGB}
 */
export function parseRGB(computed) {
  const [red = 0, green = 0, blue = 0] = (computed.match(/[\d.]+/g) || []).map((part) => Number(part) / 255);
  return [red, green, blue];
}
