// What the page sends to the story, and what its modules pass to each other. Types only; there is nothing to run.

/**
 * One moment of a race; all its numbers belong to the same epoch.
 * @typedef {object} Step
 * @property {string} when in words
 * @property {(number | null)[]} bars score of each bar, 0 to 1; null while it is not known
 * @property {(number | null)[]} intervals half-width of each bar's 95 % interval; null where there is none
 * @property {(number | null)[]} before of each line of "kept": how well it is read from the raw space, 0 to 1
 * @property {(number | null)[]} after the same for the compressed space
 * @property {number} frame which of the snapshots is drawn; -1 where there is none yet
 * @property {boolean} final whether these numbers are those of the test set
 */
/** @typedef {{ role: string, name: string, colour: string }} BarLabel */
/** @typedef {{ name: string, chance: number | null }} KeptLabel */
/** @typedef {{ name: string, title: string, colour: string }} PanelLabel */

/**
 * What Python sends (`pages/story.py`).
 * @typedef {object} StoryData
 * @property {string} id of the race; where it changes, the story begins anew
 * @property {boolean} play whether it plays by itself when it comes
 * @property {number} seconds that playing it takes
 * @property {string} status what this is: a recorded race, a live one
 * @property {string} picture address of the item's picture; empty while it is not known
 * @property {Record<string, string>} words what replaces each {placeholder}
 * @property {number[]} raw the item's teacher embedding
 * @property {number[][]} compressed per snapshot, the item's compressed embedding
 * @property {BarLabel[]} bars
 * @property {KeptLabel[]} kept
 * @property {PanelLabel[]} panels
 * @property {string} places base64 of 16-bit numbers, (t, panels, r, 2), 10,000 = 1
 * @property {number[]} codes (r,) into the colours
 * @property {string[]} colours of the classes
 * @property {string[]} classes their names
 * @property {Step[]} steps
 */

/** @typedef {{ x: number, y: number, width: number, height: number }} Box */

/**
 * What is shown at an instant: a step, or the way from one to the next.
 * @typedef {object} Shown
 * @property {Float32Array} places (panels, r, 2)
 * @property {number[]} compressed
 */

export {};
