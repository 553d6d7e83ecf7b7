// Items as small pictures or lines of text: to choose one of, to listen to, or only to look at.

/**
 * @typedef {object} Tile
 * @property {number} row of the dataset
 * @property {string} caption its class
 * @property {string} text the item itself where it can be read, otherwise ""
 */
/**
 * What Python sends (`show_tiles` in pages/tiles.py).
 * @typedef {object} TilesData
 * @property {Tile[]} tiles
 * @property {"choose" | "listen" | "look"} mode what a click does
 * @property {string} picture address of a row's picture without its number; "" where there are no pictures
 * @property {string} sound address of a row's sound without its number; "" where there are none
 * @property {number} chosen row that is chosen, -1 for none
 */
/** @typedef {(row: number) => void} SendChosen */

const player = typeof Audio === "undefined" ? null : new Audio();

/**
 * Return the element of a tile. What it is called goes in as text.
 * @param {Tile} tile
 * @param {TilesData} data
 * @param {SendChosen} send
 */
function createTile({ row, caption, text }, { mode, picture, sound, chosen }, send) {
  const tile = document.createElement(mode === "look" ? "div" : "button");
  tile.className = "tile";
  if (picture) {
    const image = document.createElement("img");
    image.src = picture + row;
    image.alt = "";
    image.loading = "lazy";
    tile.append(image);
  }
  const name = document.createElement(text ? "b" : "span");
  name.textContent = caption;
  tile.append(name);
  if (text) tile.append(Object.assign(document.createElement("span"), { textContent: text }));
  if (tile instanceof HTMLButtonElement) {
    tile.type = "button";
    tile.setAttribute("aria-label", `${mode === "listen" ? "Listen to" : "Choose"} item ${row}, ${caption} ${text}`.trim());
    if (mode === "choose") tile.setAttribute("aria-pressed", String(row === chosen));
    tile.addEventListener("click", () => {
      if (mode === "choose") send(row);
      else if (player) {
        player.src = sound + row;
        player.play().catch(() => {}); // another click has begun another sound
      }
    });
  }
  return tile;
}

/** @type {WeakMap<Element, string>} */
const written = new WeakMap(); // what the tiles of an element were made of
/** @type {WeakMap<Element, SendChosen>} */
const senders = new WeakMap();

/**
 * @param {{
 *   data: TilesData,
 *   parentElement: HTMLElement | ShadowRoot,
 *   setStateValue(name: "chosen", row: number): void,
 * }} component
 */
export default function tiles({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector("[data-tiles]");
  if (!root) throw new Error("the page has no tiles");
  senders.set(root, (row) => setStateValue("chosen", row));
  const content = JSON.stringify(data);
  if (written.get(root) === content) return; // its buttons keep the focus
  const page = /** @type {Document | ShadowRoot} */ (root.getRootNode());
  const index = page.activeElement ? [...root.children].indexOf(page.activeElement) : -1;
  written.set(root, content);
  root.classList.toggle("texts", data.tiles.some(({ text }) => text));
  root.replaceChildren(...data.tiles.map((tile) => createTile(tile, data, (row) => senders.get(root)?.(row))));
  const again = root.children[index];
  if (again instanceof HTMLElement) again.focus();
}
