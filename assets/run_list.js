// Runs to choose from: rows of a table with a box each, changed in place as long as they are the same runs.
//
// It is a part of the page: assets/app.css makes cards of its rows where it is narrow, assets/page/count.js and sort.js
// do with it what they do with every table.

/**
 * @typedef {object} Cell
 * @property {string} name of the column
 * @property {string} text
 * @property {string} before what stands before it on a card
 * @property {string} after what stands after it on a card
 * @property {string} order what it is sorted by; "" where that is its text
 */
/**
 * @typedef {object} Run
 * @property {string} id
 * @property {string} name
 * @property {string} state "queued", "running", "done", "failed" or "cancelled"
 * @property {string} words the state, of one that runs how far it is
 * @property {number | null} share of a running one that is done
 * @property {Cell[]} cells the same columns in every run
 * @property {string} points of the validation curve in 100 x 24 pixels; "" where there is none
 * @property {string} curve the same in words
 */
/** @typedef {{ runs: Run[], chosen: string[] }} RunListData what Python sends (`list_of_runs` in pages/run_list.py) */
/** @typedef {{ box: HTMLInputElement, row: HTMLTableRowElement, write: (run: Run) => void }} Row */
/**
 * @typedef {object} List
 * @property {string} shape which runs and columns it shows
 * @property {Map<string, Row>} rows
 * @property {HTMLInputElement | null} all the box that chooses all
 * @property {Set<string>} chosen
 * @property {string} sent what was chosen and Python has not repeated yet
 * @property {(ids: string[]) => void} send
 */

const NONE = "–";
const SORTED = 6; // runs from which on they can be sorted, and chosen all at once
const SVG = "http://www.w3.org/2000/svg";

/** @type {WeakMap<Element, List>} */
const lists = new WeakMap();

/**
 * @param {{
 *   data: RunListData,
 *   parentElement: HTMLElement | ShadowRoot,
 *   setTriggerValue(name: "chosen", ids: string[]): void,
 * }} component
 */
export default function runList({ data, parentElement, setTriggerValue }) {
  const place = parentElement.querySelector("[data-runs]");
  if (!place) throw new Error("the page has no place for runs");
  const shape = JSON.stringify(data.runs.map(({ id, cells }) => [id, cells.map(({ name }) => name)]));
  let list = lists.get(place);
  const same = list?.shape === shape;
  if (!list || !same) {
    list = { shape, rows: new Map(), all: null, chosen: new Set(), sent: "", send: () => {} };
    build(place, list, data.runs);
    lists.set(place, list);
  }
  list.send = (ids) => setTriggerValue("chosen", ids);
  for (const run of data.runs) list.rows.get(run.id)?.write(run);
  const told = signature(data.chosen);
  if (!list.sent || list.sent === told) { // what was clicked since is not undone by an answer that is older
    list.chosen = new Set(data.chosen);
    list.sent = "";
  }
  mark(list);
}

/**
 * Put a table of runs in the place of what stands there; a box that has the focus keeps it.
 * @param {Element} place
 * @param {List} list
 * @param {Run[]} runs
 */
function build(place, list, runs) {
  const active = document.activeElement;
  const focused = active instanceof HTMLInputElement && place.contains(active) ? active.value : "";
  const columns = ["name", "state", "curve", ...(runs[0]?.cells.map(({ name }) => name) ?? [])];
  const heading = element("tr", { role: "row" });
  heading.append(...columns.map((name) => createHeading(name, runs.length >= SORTED)));
  if (runs.length >= SORTED) {
    list.all = element("input", { type: "checkbox", "aria-label": "All runs of this list", value: "all" });
    heading.firstElementChild?.prepend(list.all);
  }
  const body = element("tbody", { role: "rowgroup" });
  runs.forEach((run, number) => {
    const row = createRow(run, number);
    list.rows.set(run.id, row);
    body.append(row.row);
  });
  const head = element("thead", { role: "rowgroup" });
  head.append(heading);
  const table = element("table", { role: "table" });
  table.append(head, body);
  const words = { class: "kd-table kd-runs", role: "region", tabindex: "0", "aria-label": "Runs, newest first" };
  const region = element("div", words);
  region.append(table);
  region.addEventListener("change", ({ target }) => choose(list, target));
  place.replaceChildren(region);
  if (focused) (focused === "all" ? list.all : list.rows.get(focused)?.box)?.focus();
}

/**
 * Send what a click on a box makes of the choice.
 * @param {List} list
 * @param {EventTarget | null} box
 */
function choose(list, box) {
  if (!(box instanceof HTMLInputElement)) return;
  for (const id of box === list.all ? list.rows.keys() : [box.value]) {
    if (box.checked) list.chosen.add(id);
    else list.chosen.delete(id);
  }
  mark(list);
  list.sent = signature(list.chosen);
  list.send([...list.chosen]);
}

/** Return what tells a choice from others. @param {Iterable<string>} ids */
function signature(ids) {
  return [...ids].sort().join() || "none";
}

/** @param {List} list */
function mark({ rows, all, chosen }) {
  for (const [id, { box, row }] of rows) {
    box.checked = chosen.has(id);
    row.toggleAttribute("data-chosen", box.checked);
  }
  if (!all) return;
  all.checked = chosen.size === rows.size;
  all.indeterminate = chosen.size > 0 && !all.checked;
}

/**
 * @param {string} name of the column
 * @param {boolean} sortable
 */
function createHeading(name, sortable) {
  const heading = element("th", { role: "columnheader", scope: "col" });
  const button = sortable ? element("button", { type: "button", class: "kd-sort" }) : heading;
  button.textContent = name;
  if (sortable) heading.append(button);
  return heading;
}

/**
 * Return the row of a run, and what writes into it; all that it says goes in as text.
 * @param {Run} run
 * @param {number} number of the row
 * @returns {Row}
 */
function createRow({ id, cells }, number) {
  const row = element("tr", { role: "row", "data-row": String(number), "data-run": id });
  const box = element("input", { type: "checkbox", value: id });
  const name = createText("span");
  const label = element("label", {});
  label.append(box, name.element);
  const heading = element("th", { role: "rowheader", scope: "row" });
  heading.append(label);
  const words = createText("span");
  const bar = element("i", { class: "kd-share" });
  const state = element("td", { role: "cell", class: "kd-state" });
  state.append(words.element, bar);
  const curve = createCurve();
  const facts = cells.map(createFact);
  row.append(heading, state, curve.element, ...facts.map((fact) => fact.element));
  const write = (/** @type {Run} */ run) => {
    name.write(run.name);
    words.write(run.words);
    state.dataset.state = run.state;
    bar.hidden = run.share === null;
    bar.style.setProperty("--share", `${100 * (run.share ?? 0)}%`);
    curve.write(run);
    facts.forEach((fact, i) => fact.write(run.cells[i]));
  };
  return { box, row, write };
}

/** Return an element of one text that is written where it becomes another. @param {string} tag */
function createText(tag) {
  const text = document.createTextNode("");
  const holder = element(tag, {});
  holder.append(text);
  let written = ""; // what stands there may be on its way to it
  const write = (/** @type {string} */ words) => {
    if (words !== written) text.data = words;
    written = words;
  };
  return { element: holder, write };
}

function createCurve() {
  const line = document.createElementNS(SVG, "polyline");
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 100 24");
  picture.setAttribute("role", "img");
  picture.append(line);
  const cell = element("td", { role: "cell", class: "kd-line" });
  cell.append(picture);
  const write = (/** @type {Run} */ { points, curve }) => {
    line.setAttribute("points", points);
    picture.setAttribute("aria-label", curve || "no curve yet");
  };
  return { element: cell, write };
}

function createFact() {
  const text = createText("span");
  const cell = element("td", { role: "cell", class: "kd-fact" });
  cell.append(text.element);
  const write = (/** @type {Cell} */ { text: words, before, after, order }) => {
    text.write(words);
    cell.dataset.before = before && `${before}\u00a0`;
    cell.dataset.after = after && `\u00a0${after}`;
    if (order) cell.dataset.order = order;
    cell.classList.toggle("kd-none", words === NONE);
    cell.classList.toggle("kd-live", Boolean(after)); // score and age change while runs train
  };
  return { element: cell, write };
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @overload
 * @param {T} tag
 * @param {Record<string, string>} attributes
 * @returns {HTMLElementTagNameMap[T]}
 */
/**
 * @overload
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @returns {HTMLElement}
 */
/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 */
function element(tag, attributes) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
