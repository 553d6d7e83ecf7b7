// What the page sends to the dial, and what its modules pass to each other. Types only; there is nothing to run.

/** @import { LegendEntry, MapsData } from "../maps/types.js" */

/**
 * One number of the compressed space over its widths.
 * @typedef {object} Series
 * @property {string} name of what is read: the target, an attribute, or what is counted
 * @property {"target" | "attribute" | "overlap" | "rank"} kind
 * @property {string} help what it says, in words
 * @property {(number | null)[]} trained for each width; null where the number does not exist
 * @property {(number | null)[]} pca the same for PCA
 * @property {number | null} raw of the embedding before compression
 * @property {number | null} chance what guessing reaches
 */
/** @typedef {{ name: string, legend: LegendEntry[] }} Colours what rows can be coloured by; column colour0, colour1, ... */

/**
 * What Python sends (`show_dial` in pages/width_dial.py): the maps, a frame for each width, and the numbers.
 * @typedef {MapsData & DialFields} DialData
 */
/**
 * @typedef {object} DialFields
 * @property {number[]} widths ascending
 * @property {number} start which of them is shown first
 * @property {number} rawWidth numbers per item before compression
 * @property {Series[]} series
 * @property {Colours[]} colours
 */

export {};
