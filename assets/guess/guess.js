// A curve whose points are drawn by hand: dragged, or moved with the arrow keys. What was drawn is the state "values".
const SVG = "http://www.w3.org/2000/svg";
const LEFT = 44, RIGHT = 444, TOP = 16, BOTTOM = 206;

/**
 * What Python sends.
 * @typedef {object} GuessData
 * @property {string} kind names the question: another one is drawn anew
 * @property {string} label what is asked
 * @property {string} axis title of the axis
 * @property {string} unit of the values
 * @property {number[]} values the guess so far
 * @property {(string | number)[]} at where the points lie, written below them
 * @property {number} low the lowest value
 * @property {number} high the highest value
 * @property {number} step between two values
 */

/**
 * @template {keyof SVGElementTagNameMap} Name
 * @param {SVGElement} parent
 * @param {Name} name
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 * @returns {SVGElementTagNameMap[Name]}
 */
function add(parent, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, `${value}`);
  if (text !== undefined) element.textContent = text;
  parent.appendChild(element);
  return element;
}

/**
 * Return where a key moves a value, null where it moves nothing.
 * @param {string} key
 * @param {number} value
 * @param {number} low
 * @param {number} high
 * @param {number} step
 */
export function move(key, value, low, high, step) {
  /** @type {Record<string, number>} */
  const moves = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 };
  if (key === "Home") return low;
  if (key === "End") return high;
  return key in moves ? Math.min(high, Math.max(low, value + moves[key] * step)) : null;
}

/**
 * @param {{ data: GuessData, parentElement: HTMLElement | ShadowRoot,
 *           setStateValue: (name: string, value: unknown) => void }} component
 */
export default function guess({ data, parentElement, setStateValue }) {
  const svg = parentElement.querySelector(".plot");
  if (!(svg instanceof SVGSVGElement)) return;
  if (svg.dataset.kind === data.kind) return;
  svg.dataset.kind = data.kind;
  svg.replaceChildren();
  svg.setAttribute("aria-label", data.label);
  const values = data.values.slice();
  const { low, high, step, at, unit } = data;
  /** @param {number} i */
  const x = (i) => LEFT + ((RIGHT - LEFT) * (i + 0.5)) / at.length;
  /** @param {number} value */
  const y = (value) => BOTTOM - ((BOTTOM - TOP) * (value - low)) / (high - low);
  for (let i = 0; i <= 4; i++) {
    const value = low + ((high - low) * i) / 4;
    add(svg, "line", { class: "grid", x1: LEFT, x2: RIGHT, y1: y(value), y2: y(value) });
    add(svg, "text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, `${value}${i === 4 ? ` ${unit}` : ""}`);
  }
  const line = add(svg, "polyline", { class: "line" });
  const points = at.map((place, i) => {
    add(svg, "text", { x: x(i), y: BOTTOM + 18, "text-anchor": "middle" }, `${place}`);
    return add(svg, "circle", {
      class: "point", cx: x(i), r: 9, tabindex: 0, role: "slider", "aria-orientation": "vertical",
      "aria-label": `${data.axis}: ${place}`, "aria-valuemin": low, "aria-valuemax": high,
    });
  });
  add(svg, "text", { x: (LEFT + RIGHT) / 2, y: BOTTOM + 38, "text-anchor": "middle" }, data.axis);

  function draw() {
    line.setAttribute("points", values.map((value, i) => `${x(i)},${y(value)}`).join(" "));
    points.forEach((point, i) => {
      point.setAttribute("cy", `${y(values[i])}`);
      point.setAttribute("aria-valuenow", `${values[i]}`);
      point.setAttribute("aria-valuetext", `${values[i]} ${unit}`);
    });
  }
  /** @param {number} i @param {number} value */
  function set(i, value) {
    values[i] = Math.min(high, Math.max(low, Math.round(value / step) * step));
    draw();
  }
  const send = () => setStateValue("values", values.slice());
  /** @param {PointerEvent} event @param {SVGSVGElement} plot */
  function place(event, plot) {
    const box = plot.getBoundingClientRect(), scale = 460 / box.width;
    const px = (event.clientX - box.left) * scale, py = (event.clientY - box.top) * scale;
    const i = Math.min(at.length - 1, Math.max(0, Math.floor(((px - LEFT) / (RIGHT - LEFT)) * at.length)));
    set(i, low + ((BOTTOM - py) / (BOTTOM - TOP)) * (high - low));
  }
  svg.onpointerdown = (event) => { svg.setPointerCapture(event.pointerId); place(event, svg); };
  svg.onpointermove = (event) => { if (svg.hasPointerCapture(event.pointerId)) place(event, svg); };
  svg.onpointerup = send;
  svg.onkeydown = (event) => {
    const i = points.findIndex((point) => point === event.target);
    const moved = i < 0 ? null : move(event.key, values[i], low, high, step);
    if (moved === null) return;
    event.preventDefault();
    set(i, moved);
    send();
  };
  draw();
}
