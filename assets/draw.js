// Paper to draw on, and to paste pictures onto. Python is sent each drawing as bytes of ink once a stroke has ended.

/** @typedef {[x: number, y: number]} Point in pixels of the paper */
/** @typedef {{ kind: "drawing" | "picture", content: string }} Given its bytes in base64 */
/** @typedef {(given: Given | null) => void} SendGiven */
/**
 * What Python sends (`draw` in pages/try_inputs.py).
 * @typedef {object} DrawData
 * @property {boolean} drawing whether there is paper; pictures can be pasted without it too
 * @property {number} largest bytes of a pasted picture
 * @property {string} hint what is said below the paper
 */

export const SIDE = 64; // of the bytes that are sent
const PAPER = 256, PEN = 36; // pixels of the paper and of the pen, which is as wide as that of the scanned digits

/**
 * Return the ink of a square picture, averaged to side x side bytes.
 * @param {Uint8ClampedArray} rgba whose alpha is the ink
 * @param {number} width of the picture, a multiple of `side`
 * @param {number} side
 */
export function averageInk(rgba, width, side = SIDE) {
  const step = width / side, ink = new Uint8Array(side * side);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      let sum = 0;
      for (let dy = 0; dy < step; dy++) {
        for (let dx = 0; dx < step; dx++) sum += rgba[4 * ((y * step + dy) * width + x * step + dx) + 3];
      }
      ink[y * side + x] = Math.round(sum / (step * step));
    }
  }
  return ink;
}

/**
 * Return bytes in base64.
 * @param {Uint8Array} bytes
 */
export function toBase64(bytes) {
  let text = "";
  for (let start = 0; start < bytes.length; start += 8192) {
    text += String.fromCharCode(...bytes.subarray(start, start + 8192));
  }
  return btoa(text);
}

export class Paper {
  /** @type {Point[][]} */
  strokes = [];
  #drawing = false;
  /** @type {SendGiven} */
  #send = () => {};
  /** @type {DrawData} */
  #data = { drawing: true, largest: 0, hint: "" };
  #abort = new AbortController();

  /** @param {Element} root */
  constructor(root) {
    const canvas = root.querySelector("[data-paper]"), status = root.querySelector("[data-status]");
    const tools = root.querySelector(".set"), context = canvas instanceof HTMLCanvasElement && canvas.getContext("2d");
    if (!(canvas instanceof HTMLCanvasElement && tools instanceof HTMLElement && context && status)) {
      throw new Error("draw.html lacks an element");
    }
    Object.assign(this, { root });
    this.parts = { canvas, status, tools, context };
    const { signal } = this.#abort;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event), { signal });
    canvas.addEventListener("pointermove", (event) => this.#go(event), { signal });
    for (const over of ["pointerup", "pointercancel"]) canvas.addEventListener(over, () => this.#end(), { signal });
    tools.addEventListener("click", (event) => {
      const what = event.target instanceof HTMLElement && event.target.dataset.do;
      if (what) this.#change(what === "clear" ? [] : this.strokes.slice(0, -1));
    }, { signal });
    document.addEventListener("paste", (event) => this.#paste(event), { signal });
  }

  /**
   * Take what Python sends.
   * @param {DrawData} data
   * @param {SendGiven} send
   */
  update(data, send) {
    this.#data = data;
    this.#send = send;
    this.parts.canvas.hidden = this.parts.tools.hidden = !data.drawing;
    this.#say(data.hint);
    this.#paint();
  }
  end() {
    this.#abort.abort();
  }

  /** @param {string} text */
  #say(text) {
    this.parts.status.textContent = text;
  }
  /**
   * Return where on the paper an event is.
   * @param {PointerEvent} event
   * @returns {Point}
   */
  #at(event) {
    const { left, top, width, height } = this.parts.canvas.getBoundingClientRect();
    return [((event.clientX - left) / width) * PAPER, ((event.clientY - top) / height) * PAPER];
  }
  /** @param {PointerEvent} event */
  #begin(event) {
    if (event.button) return;
    this.parts.canvas.setPointerCapture(event.pointerId);
    this.#drawing = true;
    this.strokes.push([this.#at(event)]);
    this.#paint();
  }
  /** @param {PointerEvent} event */
  #go(event) {
    if (!this.#drawing) return;
    this.strokes[this.strokes.length - 1].push(this.#at(event));
    this.#paint();
  }
  #end() {
    if (!this.#drawing) return;
    this.#drawing = false;
    this.#change(this.strokes);
  }
  /** @param {Point[][]} strokes */
  #change(strokes) {
    this.strokes = strokes;
    this.#paint();
    const { data } = this.parts.context.getImageData(0, 0, PAPER, PAPER);
    this.#send(strokes.length ? { kind: "drawing", content: toBase64(averageInk(data, PAPER)) } : null);
  }
  #paint() {
    const { canvas, context } = this.parts;
    context.clearRect(0, 0, PAPER, PAPER);
    Object.assign(context, { lineWidth: PEN, lineCap: "round", lineJoin: "round" });
    context.strokeStyle = getComputedStyle(canvas).color;
    for (const stroke of this.strokes) {
      context.beginPath();
      context.moveTo(...stroke[0]);
      for (const point of stroke) context.lineTo(...point);
      context.stroke();
    }
  }
  /** @param {ClipboardEvent} event */
  async #paste(event) {
    const files = [...(event.clipboardData?.files ?? [])], file = files.find(({ type }) => type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    if (file.size > this.#data.largest) {
      this.#say(`The pasted picture has ${Math.ceil(file.size / 1e6)} MB, at most ${this.#data.largest / 1e6} MB can be pasted.`);
      return;
    }
    this.strokes = [];
    this.#paint();
    this.#send({ kind: "picture", content: toBase64(new Uint8Array(await file.arrayBuffer())) });
  }
}

/** @type {WeakMap<Element, Paper>} */
const papers = new WeakMap();

/**
 * @param {{
 *   data: DrawData,
 *   parentElement: HTMLElement | ShadowRoot,
 *   setStateValue(name: "given", given: Given | null): void,
 * }} component
 */
export default function draw({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector("[data-draw]");
  if (!root) throw new Error("the page has no paper");
  const paper = papers.get(root) ?? new Paper(root);
  papers.set(root, paper);
  paper.update(data, (given) => setStateValue("given", given));
  return () => {
    if (root.isConnected) return; // the script has only run again
    paper.end();
    papers.delete(root);
  };
}
