// One batch: its items and matrices of all pairs; of a training also the loss and how it went so far.

/**
 * A matrix of pairs, row by row.
 * @typedef {{ name: string, colour: string, values: number[], difference?: boolean }} Matrix
 * @typedef {{ row: number, label: string, text: string }} Item
 * @typedef {{ name: string, weight: number, value: number, words: string }} Term
 */

/**
 * What Python sends (`batch_data` in pages/batch.py; pages/step_mode.py adds what a training knows).
 * @typedef {object} BatchData
 * @property {number} step taken so far
 * @property {number} steps of the whole training; 0 where nothing is trained
 * @property {string} place epoch and batch, in words
 * @property {string} title
 * @property {string} fingerprint of the weights
 * @property {string} item address of an item's picture but for its row; empty for texts
 * @property {boolean} sounds whether items can be heard
 * @property {Item[]} items of the batch, by class
 * @property {number} count of all items of the batch
 * @property {Matrix[]} matrices one for each space, and the difference of two
 * @property {string} entry what an entry of a space's matrix says
 * @property {string} rule how the loss comes out of the difference, may be empty
 * @property {string} loss its name
 * @property {Term[]} terms that add up to the total
 * @property {number} total
 * @property {Record<string, number[]>} history losses of the steps so far
 */

/** @typedef {[number, number, number]} Colour */

/** @type {Record<string, string>} */
const TERM_COLOURS = { prediction: "#1b9e77", distance: "#7b3294", teacher: "#e08214", "soft labels": "#2b83ba" };
/** @typedef {{ diverging: Colour[], rising: Colour[] }} Palette */
/** Nothing is the colour of the page, so that what stands out is what is there. @type {Palette} */
const ON_LIGHT = {
  diverging: [[33, 102, 172], [146, 197, 222], [247, 247, 247], [244, 165, 130], [178, 24, 43]],
  rising: [[247, 247, 247], [188, 189, 220], [128, 115, 172], [84, 39, 136]],
};
/** @type {Palette} */
const ON_DARK = {
  diverging: [[110, 184, 240], [48, 88, 128], [30, 33, 40], [130, 66, 52], [250, 138, 106]],
  rising: [[30, 33, 40], [76, 58, 112], [146, 112, 196], [222, 200, 255]],
};
const COVERED = 0.97; // share of the entries that a scale tells apart; the diagonal is far outside of them

/**
 * Return the colour of a share from 0 to 1 on a scale of colours.
 * @param {Colour[]} scale
 * @param {number} share
 * @returns {Colour}
 */
export function shade(scale, share) {
  const place = Math.min(1, Math.max(0, share)) * (scale.length - 1), low = Math.min(Math.floor(place), scale.length - 2);
  const mix = (/** @type {number} */ channel) =>
    Math.round(scale[low][channel] + (place - low) * (scale[low + 1][channel] - scale[low][channel]));
  return [mix(0), mix(1), mix(2)];
}

/** Return the size below which `COVERED` of the values lie. @param {number[]} values */
export function reach(values) {
  const sizes = values.map(Math.abs).sort((a, b) => a - b);
  return Math.max(sizes[Math.floor(COVERED * (sizes.length - 1))] ?? 0, 1e-9);
}

/**
 * Return the ends of the scales: all spaces share one, the difference begins at 0.
 * @param {Matrix[]} matrices
 * @param {Palette} palette
 * @returns {{ low: number, high: number, scale: Colour[] }[]}
 */
export function scales(matrices, palette) {
  const spaces = matrices.filter((matrix) => !matrix.difference).flatMap((matrix) => matrix.values), high = reach(spaces);
  const signed = spaces.some((value) => value < 0);
  const first = { low: signed ? -high : 0, high, scale: signed ? palette.diverging : palette.rising };
  const difference = { low: 0, high: reach(matrices.find((matrix) => matrix.difference)?.values ?? []), scale: palette.rising };
  return matrices.map((matrix) => (matrix.difference ? difference : first));
}

/** Return whether an element is written light on dark. @param {Element} element */
function onDark(element) {
  const [red, green, blue] = (getComputedStyle(element).color.match(/[\d.]+/g) ?? []).map(Number);
  return red + green + blue > 382;
}

/** @param {Matrix} matrix */
const side = (matrix) => Math.round(Math.sqrt(matrix.values.length));

/** Return an element with a class and a text. @param {string} kind @param {string} name @param {string} text */
function element(kind, name = "", text = "") {
  const made = document.createElement(kind);
  if (name) made.className = name;
  made.textContent = text;
  return made;
}

/** @param {HTMLCanvasElement} canvas @param {Matrix} matrix @param {{ low: number, high: number, scale: Colour[] }} scale */
function paint(canvas, matrix, { low, high, scale }) {
  const size = side(matrix), context = canvas.getContext("2d");
  canvas.width = canvas.height = size;
  if (!context) return;
  const image = context.createImageData(size, size);
  matrix.values.forEach((value, place) => {
    image.data.set([...shade(scale, (value - low) / (high - low)), 255], 4 * place);
  });
  context.putImageData(image, 0, 0);
}

/** @param {HTMLElement} list @param {BatchData} data */
function drawItems(list, data) {
  list.classList.toggle("sounds", data.sounds);
  list.replaceChildren(...data.items.map((item) => {
    const button = element("button");
    button.setAttribute("type", "button");
    button.title = data.sounds ? `${item.label}: play` : item.label;
    button.setAttribute("aria-label", button.title);
    if (data.item) {
      const picture = document.createElement("img");
      picture.src = data.item + item.row;
      picture.alt = "";
      button.append(picture);
    } else {
      button.append(element("div", "text", item.text));
    }
    if (data.sounds) button.onclick = () => void new Audio(`${data.item.replace("row=", "sound=1&row=")}${item.row}`).play();
    return button;
  }));
  if (data.count > data.items.length) list.append(element("small", "", `and ${data.count - data.items.length} more`));
}

/** @param {HTMLElement} place @param {BatchData} data @param {(row: number, column: number) => void} point */
function drawMatrices(place, data, point) {
  while (place.children.length > data.matrices.length) place.lastChild?.remove();
  const ends = scales(data.matrices, onDark(place) ? ON_DARK : ON_LIGHT);
  data.matrices.forEach((matrix, number) => {
    let figure = place.children[number];
    if (!figure) {
      figure = element("figure");
      figure.append(element("figcaption"), element("canvas"), element("div", "cross"), element("div", "scale"));
      place.append(figure);
    }
    const [caption, canvas, , scale] = figure.children;
    if (!(canvas instanceof HTMLCanvasElement) || !(caption instanceof HTMLElement) || !(scale instanceof HTMLElement)) return;
    caption.textContent = matrix.name;
    caption.style.setProperty("--role", matrix.colour);
    const { low, high, scale: colours } = ends[number];
    paint(canvas, matrix, ends[number]);
    const mean = matrix.values.reduce((sum, value) => sum + value, 0) / matrix.values.length;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${matrix.name}: ${side(matrix)} by ${side(matrix)} items, mean ${mean.toFixed(3)}`);
    const bar = element("i");
    bar.style.background = `linear-gradient(to right, ${colours.map((colour) => `rgb(${colour})`)})`;
    scale.replaceChildren(element("span", "", low.toFixed(1)), bar, element("span", "", high.toFixed(1)));
    canvas.onpointermove = (event) => {
      const box = canvas.getBoundingClientRect(), size = side(matrix);
      const at = (/** @type {number} */ share) => Math.min(size - 1, Math.max(0, Math.floor(share * size)));
      point(at((event.clientY - box.top) / box.height), at((event.clientX - box.left) / box.width));
    };
    canvas.onpointerleave = () => point(-1, -1);
  });
}

/** @param {ParentNode} root @param {BatchData} data */
function drawSum(root, data) {
  const sum = root.querySelector("[data-sum]");
  if (!sum) return;
  const parts = data.terms.map((term, number) => {
    const box = element("div", "term"), weighted = term.weight === 1 ? "" : `${term.weight.toFixed(2)} × `;
    box.style.setProperty("--role", TERM_COLOURS[term.name]);
    const value = element("b", "", `${number ? "+ " : ""}${weighted}${term.value.toFixed(3)}`);
    box.append(element("span", "", term.name), value, element("small", "", term.words));
    return box;
  });
  const total = element("div", "total");
  total.append(element("span", "", "total"), element("b", "", `= ${data.total.toFixed(3)}`));
  total.append(element("small", "", "of this batch, before it is learned from"));
  sum.replaceChildren(...parts, total);
}

/** @param {ParentNode} root @param {BatchData} data */
function drawCurve(root, data) {
  const canvas = root.querySelector("[data-curve]"), legend = root.querySelector("[data-legend]");
  if (!(canvas instanceof HTMLCanvasElement) || !legend) return;
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = canvas, used = data.terms.map((term) => term.name).filter((name) => data.history[name]);
  const most = Math.max(1e-9, ...used.flatMap((name) => data.history[name]));
  context.clearRect(0, 0, width, height);
  context.lineWidth = 3;
  for (const name of used) {
    const values = data.history[name];
    context.strokeStyle = TERM_COLOURS[name];
    context.beginPath();
    values.forEach((value, number) => {
      const x = 2 + ((width - 4) * number) / Math.max(values.length - 1, 1), y = height - 4 - ((height - 10) * value) / most;
      if (number) context.lineTo(x, y);
      else context.moveTo(x, y);
    });
    context.stroke();
  }
  legend.replaceChildren(...used.map((name) => {
    const entry = element("span", "", name);
    entry.style.setProperty("--role", TERM_COLOURS[name]);
    return entry;
  }), element("small", "", data.step ? `steps 1 to ${data.step}` : "no step yet"));
}

/** @param {{ data: BatchData, parentElement: HTMLElement | ShadowRoot }} component */
export default function step({ data, parentElement: root }) {
  /** @param {string} selector @param {string} text */
  const write = (selector, text) => {
    const found = root.querySelector(selector);
    if (found) found.textContent = text;
  };
  write("[data-title]", data.title);
  write("[data-place]", data.place);
  write("[data-step]", data.steps ? `step ${data.step.toLocaleString("en")} of ${data.steps.toLocaleString("en")}` : "");
  const section = root.querySelector("section"), list = root.querySelector("[data-items]"), place = root.querySelector("[data-matrices]");
  if (!(section instanceof HTMLElement) || !(list instanceof HTMLElement) || !(place instanceof HTMLElement)) return;
  section.classList.toggle("still", !data.steps);
  section.dataset.steps = String(data.step);
  section.dataset.fingerprint = data.fingerprint;
  const rule = data.rule ? ` The ${data.loss} is ${data.rule}.` : "";
  const words = `A square: ${data.entry}. Items stand by class.${rule}`;
  write("[data-entry]", words);
  drawItems(list, data);
  drawMatrices(place, data, (row, column) => {
    [...list.children].forEach((child, number) => child.classList.toggle("lit", number === row || number === column));
    for (const figure of place.children) {
      const cross = figure.querySelector(".cross"), canvas = figure.querySelector("canvas");
      if (!(cross instanceof HTMLElement) || !canvas) continue;
      const cell = canvas.clientWidth / canvas.width;
      cross.style.display = row < 0 ? "none" : "block";
      Object.assign(cross.style, {
        left: `${canvas.offsetLeft + column * cell - 2}px`, top: `${canvas.offsetTop + row * cell - 2}px`,
        width: `${cell}px`, height: `${cell}px`,
      });
    }
    if (row < 0) return write("[data-entry]", words);
    const read = data.matrices.map((matrix) => `${matrix.name.toLowerCase()} ${matrix.values[row * side(matrix) + column].toFixed(2)}`);
    write("[data-entry]", `“${data.items[row].label}” and “${data.items[column].label}”: ${read.join(", ")}`);
  });
  if (!data.steps) return;
  drawSum(root, data);
  drawCurve(root, data);
}
