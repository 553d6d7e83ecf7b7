// What is selected, as pictures beside the maps: the items of a lasso, or one item with its nearest neighbours.
// Names of classes and items are a person's own: they go in as text, never as markup.

/** @import { Neighbour, NeighbourGroup, Neighbours } from "./types.js" */
/** @import { Scene } from "./scene.js" */

const MOST = 120; // pictures of a selection

/**
 * @typedef {object} DrawerActions what can be done in it
 * @property {(rows: number[]) => void} select row numbers of the dataset
 * @property {(row: number) => void} point shows where a row is on the maps, -1 for none
 */
/** @typedef {Omit<Neighbour, "same"> & { mark: "" | "same" | "wrong" }} Tile */

/**
 * Return an element with text and children.
 * @param {string} kind
 * @param {string} className
 * @param {string} [text]
 * @param {readonly Node[]} [children]
 */
function element(kind, className, text = "", children = []) {
  const made = document.createElement(kind);
  made.className = className;
  made.textContent = text;
  made.append(...children);
  return made;
}

/**
 * Return how often each class is among some rows, the most frequent first: "7: 20, 1: 9".
 * @param {readonly string[]} names of the class of each row
 */
export function countNames(names) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1]).map(([name, count]) => `${name}: ${count}`).join(", ");
}

export class Drawer {
  #written = ""; // what it was made of
  /** @type {number[]} */
  #before = []; // the rows of the selection out of which one was picked
  /** @type {HTMLAudioElement | null} */
  #player = null;

  /**
   * @param {HTMLElement} root
   * @param {DrawerActions} actions
   */
  constructor(root, actions) {
    this.root = root;
    this.actions = actions;
    root.addEventListener("click", (event) => {
      const button = event.target instanceof Element && event.target.closest("button");
      if (button) this.#press(button);
    });
    for (const kind of ["pointerover", "focusin"]) {
      root.addEventListener(kind, (event) => {
        const tile = event.target instanceof Element && event.target.closest("[data-row]");
        actions.point(tile instanceof HTMLElement ? Number(tile.dataset.row) : -1);
      });
    }
    root.addEventListener("pointerleave", () => actions.point(-1));
  }
  /** @param {HTMLButtonElement} button */
  #press({ dataset }) {
    if (dataset.play) this.#play(dataset.play);
    else if (dataset.drawer === "back") this.actions.select(this.#before);
    else if (dataset.drawer === "close") this.actions.select([]);
    else if (dataset.row) this.actions.select([Number(dataset.row)]);
  }
  /** @param {string} source */
  #play(source) {
    this.#player ??= new Audio();
    this.#player.src = source;
    this.#player.play().catch(() => {}); // another click has begun another sound
  }

  /**
   * Show what is selected.
   * @param {Scene} scene
   */
  show(scene) {
    const points = Array.from(scene.marks.keys()).filter((i) => scene.marks[i]);
    const rows = points.map((i) => scene.rows[i]);
    if (rows.length > 1) this.#before = rows;
    else if (!rows.length) this.#before = [];
    const neighbours = scene.neighbours?.row === rows[0] ? scene.neighbours : null;
    const parts = [rows, this.#before.length, rows.length === 1 && neighbours, scene.explains, scene.facts.length, scene.item];
    const written = JSON.stringify([parts, points.slice(0, MOST).map((i) => scene.describe(i))]);
    if (written === this.#written) return; // its buttons keep the focus
    this.#written = written;
    this.root.hidden = !rows.length;
    this.root.replaceChildren(...(rows.length === 1 ? this.#one(scene, points[0], neighbours) : this.#many(scene, points)));
    this.root.scrollTop = 0;
  }
  /**
   * @param {string} title
   * @param {Node[]} more
   */
  #head(title, more = []) {
    const close = element("button", "close", "×");
    close.dataset.drawer = "close";
    close.setAttribute("aria-label", "Close");
    close.title = "Clear the selection";
    return element("div", "heading", "", [element("h2", "", title), ...more, close]);
  }
  /**
   * @param {Scene} scene
   * @param {readonly number[]} points
   */
  #many(scene, points) {
    const known = points.map((i) => Object.fromEntries(scene.describe(i)));
    const judged = known.filter((facts) => facts.prediction && facts.class !== "–");
    const right = judged.filter((facts) => facts.class === facts.prediction).length;
    const words = [countNames(known.map((facts) => facts.class ?? "–"))];
    if (judged.length) words.push(`${right} of ${judged.length} are predicted right; after the arrow what is predicted instead.`);
    const tiles = points.slice(0, MOST).map((i, at) => {
      const facts = known[at], wrong = facts.prediction && facts.class !== "–" && facts.class !== facts.prediction;
      return this.#tile(scene, {
        row: scene.rows[i],
        caption: wrong ? `${facts.class} → ${facts.prediction}` : facts.class ?? "",
        text: facts.text ?? "",
        about: scene.describe(i).map((pair) => pair.join(" ")).join(", "),
        mark: wrong ? "wrong" : "",
      });
    });
    const rest = points.length - tiles.length;
    return [
      this.#head(`${points.length} items`),
      ...words.map((text) => element("p", "", text)),
      element("div", "tiles", "", tiles),
      ...(rest > 0 ? [element("p", "", `and ${rest} more`)] : []),
    ];
  }
  /**
   * @param {Scene} scene
   * @param {number} i
   * @param {Neighbours | null} neighbours
   */
  #one(scene, i, neighbours) {
    const facts = scene.describe(i), row = scene.rows[i], back = element("button", "back", `Back to ${this.#before.length} items`);
    back.dataset.drawer = "back";
    const about = facts.map((pair) => pair.join(" ")).join(", ");
    const forgets = scene.explains && scene.labels.some(({ name }) => name === "compressed");
    const shared = neighbours?.shared ?? {}, lines = facts.filter(([name]) => name !== "text");
    const list = element("dl", scene.explains ? "counted" : "", "", lines.flatMap(([name, value]) => [
      element("dt", "", name),
      element("dd", "", value),
      ...(scene.explains ? [element("dd", "shared", shared[name] ?? "")] : []),
    ]));
    if (neighbours?.legend) list.append(element("dd", "legend", neighbours.legend));
    const text = facts.find(([name]) => name === "text")?.[1] ?? "";
    const item = element("div", "item", "", [this.#tile(scene, { row, caption: "", text, about, mark: "" }), list]);
    const head = this.#head(forgets ? "What did it forget?" : "One item", this.#before.length ? [back] : []);
    if (!scene.explains) return [head, item];
    if (!neighbours) return [head, item, element("p", "finding", "Finding its nearest neighbours …")];
    return [
      head,
      item,
      ...neighbours.words.map((words) => element("p", "words", words)),
      ...neighbours.groups.map((group) => this.#group(scene, group)),
    ];
  }
  /**
   * @param {Scene} scene
   * @param {NeighbourGroup} group
   */
  #group(scene, { name, title, colour, items }) {
    const heading = element("h3", "", title);
    heading.style.setProperty("--role", colour);
    const tiles = items.map(({ same, ...item }) => this.#tile(scene, { ...item, mark: same ? "same" : "" }));
    const group = element("section", "group", "", [heading, element("div", "tiles", "", tiles)]);
    group.dataset.group = name;
    return group;
  }
  /**
   * @param {Scene} scene
   * @param {Tile} tile
   */
  #tile({ item, sound }, { row, caption, text, about, mark }) {
    const pick = element("button", "pick"), tile = element("div", `tile ${mark}`, "", [pick]);
    pick.dataset.row = tile.dataset.row = String(row);
    pick.title = about;
    pick.setAttribute("aria-label", `${mark === "same" ? "Same class: " : ""}item ${row}, ${about}`);
    if (item) {
      const picture = document.createElement("img");
      picture.src = item + row;
      picture.alt = "";
      picture.loading = "lazy";
      pick.append(picture);
    }
    if (caption) pick.append(element(text ? "b" : "span", "", caption));
    if (text) pick.append(element("span", "text", text));
    if (sound) {
      const play = element("button", "play", "▶");
      play.dataset.play = sound + row;
      play.setAttribute("aria-label", `Play item ${row}`);
      tile.append(play);
    }
    return tile;
  }
}
