// Linked maps of the same rows: hover, zoom, pan, lasso, box, keys and buttons. Python hears of finished selections only.

class Maps extends View {
  point(index, i, x, y) {
    const tip = this.part("tip");
    this.hover = i;
    tip.hidden = i < 0;
    if (i >= 0 && tip.dataset.row !== String(this.rows[i])) {
      tip.dataset.row = this.rows[i];
      const told = this.facts.map(({ name, names, codes }) => [name, codes[i] < 0 ? "–" : names[codes[i]]]);
      const picture = this.part("picture");
      picture.hidden = !this.item;
      picture.onerror = () => (picture.hidden = true);
      if (this.item) picture.src = this.item + this.rows[i];
      picture.alt = told.map((pair) => pair.join(" ")).join(", ");
      this.part("facts").replaceChildren(
        ...told.flatMap((pair) => pair.map((text, k) => Object.assign(document.createElement(k ? "dd" : "dt"), { textContent: text }))),
      );
    }
    if (i >= 0) {
      const stage = this.part("stage"), room = stage.clientWidth - tip.offsetWidth;
      tip.style.left = `${Math.max(0, Math.min(x + 16, room))}px`;
      tip.style.top = `${stage.offsetTop + y + 18}px`;
    }
    this.show(false);
  }
  zoom(panel, factor, x, y) {
    const { left, top, wide, high } = panel.box, half = Math.min(wide, high) / 2;
    const dx = (x - left - wide / 2) / half, dy = -(y - top - high / 2) / half;
    const zoom = Math.min(60 / panel.home.reach, Math.max(0.3 / panel.home.reach, panel.zoom * factor));
    panel.x += dx / panel.zoom - dx / zoom;
    panel.y += dy / panel.zoom - dy / zoom;
    panel.zoom = zoom;
    this.show();
  }
  shift(panel, dx, dy) {
    const half = (panel.zoom * Math.min(panel.box.wide, panel.box.high)) / 2;
    panel.x -= dx / half;
    panel.y += dy / half;
    this.show();
  }
  listen(panel, index) {
    const element = panel.element, fingers = new Map();
    const at = (event) => {
      const all = this.part("stage").getBoundingClientRect();
      return [event.clientX - all.left, event.clientY - all.top];
    };
    element.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      element.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, at(event));
      this.path = fingers.size === 1 ? [at(event)] : null;
    });
    element.addEventListener("pointermove", (event) => {
      const [x, y] = at(event), before = fingers.get(event.pointerId);
      if (!before) return this.point(index, this.nearest(index, x, y), x, y);
      fingers.set(event.pointerId, [x, y]);
      if (fingers.size === 2) {
        const [[ax, ay], [bx, by]] = [...fingers.values()];
        const other = [...fingers.entries()].find(([id]) => id !== event.pointerId)[1];
        const was = Math.hypot(before[0] - other[0], before[1] - other[1]), now = Math.hypot(ax - bx, ay - by);
        this.zoom(panel, was ? now / was : 1, (ax + bx) / 2, (ay + by) / 2);
        this.shift(panel, (x - before[0]) / 2, (y - before[1]) / 2);
      } else if (this.path) {
        this.path.push([x, y]);
        this.moved = Math.hypot(x - this.path[0][0], y - this.path[0][1]) > 4 || this.moved;
        if (this.mode === "move" && event.pointerType !== "touch") this.shift(panel, x - before[0], y - before[1]);
        this.point(index, -1);
      }
    });
    const up = (event) => {
      if (!fingers.delete(event.pointerId)) return;
      const path = this.path, [x, y] = at(event), drawn = path && this.moved && this.mode !== "move";
      if (event.type === "pointerup" && drawn) this.select(this.inside(index), event.shiftKey);
      else if (event.type === "pointerup" && path && !this.moved) {
        const i = this.nearest(index, x, y);
        if (i >= 0) this.select([i], event.shiftKey);
        if (event.pointerType === "touch") this.point(index, i, x, y);
      }
      this.path = null;
      this.moved = false;
      this.show();
    };
    element.addEventListener("pointerup", up);
    element.addEventListener("pointercancel", up);
    element.addEventListener("pointerleave", () => this.point(index, -1));
    element.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey && this.root.getRootNode().activeElement !== element) return; // otherwise the page scrolls
      event.preventDefault();
      this.zoom(panel, Math.exp(-event.deltaY / 400), ...at(event));
    }, { passive: false });
    element.addEventListener("keydown", (event) => this.key(event, panel, index));
    for (const name of ["focus", "blur"]) element.addEventListener(name, () => this.show());
  }
  key(event, panel, index) {
    const { left, top, wide, high } = panel.box, x = left + wide / 2, y = top + high / 2, step = 40;
    const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (moves[event.key]) this.shift(panel, ...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(panel, 1.3, x, y);
    else if (event.key === "-") this.zoom(panel, 1 / 1.3, x, y);
    else if (event.key === "0") this.whole([panel]);
    else if (event.key === "Escape") this.select([]);
    else if (event.key === "Enter") {
      const i = this.nearest(index, x, y, 60);
      if (i >= 0) this.select([i], event.shiftKey);
    } else return;
    event.preventDefault();
    const i = this.nearest(index, x, y, 60);
    this.point(index, event.key === "Escape" ? -1 : i, ...(i < 0 ? [x, y] : this.screen(index, i)));
  }
  whole(panels) {
    panels.forEach((panel) => this.centre(panel));
    this.show();
  }
  centre(panel) {
    Object.assign(panel, { x: panel.home.x, y: panel.home.y, zoom: 1 / panel.home.reach });
  }
  pressed(button) {
    if (!button) return;
    const middle = ({ left, top, wide, high }) => [left + wide / 2, top + high / 2];
    if (button.dataset.mode) this.mode = button.dataset.mode;
    else if (button.dataset.code) {
      const points = Array.from(this.codes.keys()).filter((i) => this.codes[i] === Number(button.dataset.code));
      this.select(points);
    } else
      ({
        in: () => this.panels.forEach((panel) => this.zoom(panel, 1.4, ...middle(panel.box))),
        out: () => this.panels.forEach((panel) => this.zoom(panel, 1 / 1.4, ...middle(panel.box))),
        whole: () => this.whole(this.panels),
        clear: () => this.select([]),
        morph: () => {
          this.morph = !this.morph;
          this.time = 0;
          this.playing = false;
          this.build();
          if (this.morph) this.play(0);
        },
        play: () => (this.playing ? (this.playing = false) : this.play(this.time >= this.ends() ? 0 : this.time)),
      })[button.dataset.do]();
    this.show();
  }
}

const VIEWS = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector("[data-kd]");
  if (!VIEWS.has(root)) VIEWS.set(root, new Maps(parentElement));
  VIEWS.get(root).update(data, (rows) => setStateValue("selected", rows));
  return () => {
    if (root.isConnected) return; // only drawn anew
    VIEWS.get(root)?.end();
    VIEWS.delete(root);
  };
}
