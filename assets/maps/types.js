// What the page sends to the maps, and what their modules pass to each other. Types only; there is nothing to run.

/** @import { Scene } from "./scene.js" */

/**
 * An Arrow table as Streamlit hands it over; `toArray` of a column is a typed array.
 * @typedef {{ getChild(name: string): { toArray(): NumericArray } | null }} Table
 */
/** @typedef {Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array} IntegerArray */
/** @typedef {IntegerArray | Float32Array | Float64Array} NumericArray */

/**
 * What is written at a map.
 * @typedef {object} PanelLabel
 * @property {string} name of the space
 * @property {string} title
 * @property {string} note what is said below the map
 * @property {string} colour of the space, as CSS writes it
 * @property {string} [help] what the words of the note mean
 * @property {string} [waiting] what is still being made for this map; nothing where nothing is
 * @property {boolean} [moving] whether just that is being made now
 */
/**
 * What a colour and shape stand for.
 * @typedef {object} LegendEntry
 * @property {string} name
 * @property {string} colour "#rrggbb"
 * @property {number} shape 0 circle, 1 square, 2 triangle, 3 diamond
 */
/** @typedef {{ name: string, names: string[] }} FactLabel known of every row: class, prediction, attribute */
/** @typedef {FactLabel & { codes: NumericArray }} Fact its codes (n,) into the names; below 0: not known */

/**
 * One of the nearest rows of another.
 * @typedef {object} Neighbour
 * @property {number} row number in the dataset
 * @property {string} caption its class
 * @property {string} text the item itself where it can be read, otherwise ""
 * @property {string} about everything that is known of it
 * @property {boolean} same whether it is of the same class
 */
/** @typedef {{ name: string, title: string, colour: string, items: Neighbour[] }} NeighbourGroup those in one space */
/**
 * The neighbours of a row.
 * @typedef {object} Neighbours
 * @property {number} row number in the dataset
 * @property {string[]} words what they say, in sentences
 * @property {NeighbourGroup[]} groups
 * @property {Record<string, string>} shared name of a fact -> how many neighbours share it: "3 → 7"
 * @property {string} legend what these numbers are
 */

/**
 * What Python sends (`linked` in pages/maps.py).
 * @typedef {object} MapsData
 * @property {string} kind of maps; where it changes, zoom and position start anew
 * @property {Table} points (n,) columns row, code, fact0, fact1, ...
 * @property {Table} frames (t * n,) columns x0, y0, x1, y1, ...: a pair for each panel, frame after frame
 * @property {PanelLabel[]} panels
 * @property {LegendEntry[]} legend what the codes of the points mean
 * @property {FactLabel[]} facts
 * @property {string} item address of a row's picture without its number; empty where there are no pictures
 * @property {string} [sound] address of a row's sound without its number; empty where nothing can be heard
 * @property {boolean} [explains] whether the neighbours of a single selected row come
 * @property {Neighbours | null} [neighbours] of a single selected row
 * @property {string[]} when names of the frames; empty where there is one only
 * @property {boolean} live whether more frames will come
 * @property {number[]} selected row numbers of the dataset
 */
/** @typedef {(rows: number[]) => void} SendSelection tells Python which row numbers of the dataset are selected */

/** @typedef {[x: number, y: number]} Point */
/** @typedef {{ left: number, top: number, width: number, height: number }} Box a panel on the stage, in CSS pixels */
/** @typedef {{ x: number, y: number, zoom: number }} Camera middle of what is shown; zoom 1 fits [-1, 1] into it */
/** @typedef {{ x: number, y: number, reach: number }} Extent middle of a map and how far its points reach from there */
/** @typedef {{ box: Box, camera: Camera, home: Extent }} Viewport */
/** @typedef {{ low: number, high: number, share: number }} Step two frames and the way between them */

/**
 * The two frames a map lies between; a frame holds x0, y0, x1, y1, ... (2n,).
 * @typedef {object} Transition
 * @property {Float32Array} from
 * @property {Float32Array} to
 * @property {number} share of the way, 0 to 1
 */

/**
 * What lies over the points of a panel.
 * @typedef {object} Overlay
 * @property {Box} box
 * @property {{ centre: Point, radius: number } | null} ring around the point under the pointer
 * @property {boolean} cross where Enter selects
 */

/** @typedef {"lasso" | "box" | "move"} Mode what dragging does */

/**
 * @typedef {object} Painter
 * @property {(scene: Scene) => void} load takes new data
 * @property {(marks: Uint8Array) => void} mark takes (n,) marks, 1 = selected
 * @property {(scene: Scene, viewports: readonly Viewport[], ratio: number, rim: RGB) => void} draw
 * @property {() => void} end
 */
/** @typedef {[red: number, green: number, blue: number]} RGB each 0 to 1 */

export {};
