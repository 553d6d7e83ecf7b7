// A click on the name of a column sorts a table of text by it: upwards, downwards, then as it came.

const BUTTON = ".kd-table thead .kd-sort";
const NUMBER = /^[+-]?\d[\d,]*(?:\.\d+)?/;
const NONE = "–";

/** @typedef {{ column: number, down: boolean }} Order */

/** @type {WeakMap<Node, Order>} */
const orders = new WeakMap(); // place of a table -> how its rows stand
/** @type {HTMLElement | null} */
let focused = null; // the column's name that has the focus

/**
 * Return the places of some cells in the order of what they say, numbers by their value; a dash is last either way.
 * @param {string[]} cells
 * @param {boolean} down
 */
export function sortedPlaces(cells, down) {
  const known = [...cells.keys()].filter((place) => cells[place] !== NONE);
  const rest = [...cells.keys()].filter((place) => cells[place] === NONE);
  const numbers = cells.map((cell) => Number(NUMBER.exec(cell)?.[0].replaceAll(",", "") ?? NaN));
  const numeric = known.every((place) => !Number.isNaN(numbers[place]));
  const sign = down ? -1 : 1;
  known.sort((a, b) => sign * (numeric ? numbers[a] - numbers[b] : cells[a].localeCompare(cells[b], "en", { numeric: true })));
  return [...known, ...rest];
}

/**
 * Return how a table stands after a click on the name of a column.
 * @param {Order | undefined} before
 * @param {number} column
 * @returns {Order | undefined}
 */
export function nextOrder(before, column) {
  if (before?.column !== column) return { column, down: false };
  return before.down ? undefined : { column, down: true };
}

/** Sort in the page, also what takes the place of a sorted table. */
export function watch() {
  document.addEventListener("click", ({ target }) => {
    const button = target instanceof Element ? target.closest(BUTTON) : null;
    const table = button?.closest(".kd-table");
    const heading = button?.closest("th");
    if (!table?.parentElement || !heading) return;
    const order = nextOrder(orders.get(table.parentElement), heading.cellIndex);
    if (order) orders.set(table.parentElement, order);
    else orders.delete(table.parentElement);
    arrange(table, order);
  });
  document.addEventListener("focusin", ({ target }) => {
    focused = target instanceof HTMLElement && target.matches(BUTTON) ? target : null;
  });
  new MutationObserver((changes) => changes.forEach(takePlace)).observe(document.body, { subtree: true, childList: true });
}

/** @param {MutationRecord} change */
function takePlace({ target, addedNodes, removedNodes }) {
  for (const table of addedNodes) {
    if (!(table instanceof Element) || !table.matches(".kd-table")) continue;
    const order = orders.get(target);
    if (order) arrange(table, order);
    if (focused && document.activeElement === document.body && [...removedNodes].some((node) => node.contains(focused))) {
      const again = table.querySelectorAll("thead th")[focused.closest("th")?.cellIndex ?? -1]?.querySelector("button");
      again?.focus();
    }
  }
}

/** Return what a cell is sorted by. @param {HTMLElement | undefined} cell */
function cellOrder(cell) {
  return cell?.dataset.order ?? cell?.textContent ?? "";
}

/**
 * Put the rows of a table into an order, and say so in the heading of the column.
 * @param {Element} table
 * @param {Order | undefined} order
 */
function arrange(table, order) {
  const body = table.querySelector("tbody");
  const headings = [...table.querySelectorAll("thead th")];
  if (!body) return;
  const rows = [...body.rows].sort((a, b) => Number(a.dataset.row) - Number(b.dataset.row));
  headings.forEach((heading, column) => {
    if (order?.column === column) heading.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    else heading.removeAttribute("aria-sort");
  });
  const cells = order ? rows.map((row) => cellOrder(row.cells[order.column])) : [];
  const places = order ? sortedPlaces(cells, order.down) : [...rows.keys()];
  body.append(...places.map((place) => rows[place]));
}
