// What the maps are: data in, frames, zoom, morph, selection. Joined behind embeddings.paint.js, in front of embeddings.js, which listens.
// Words come from data and go in as text, never as markup. `root.view` lets tests ask what is drawn where.

const SHAPES = ["circle(50%)", "none", "polygon(50% 0, 100% 100%, 0 100%)", "polygon(50% 0, 100% 50%, 50% 100%, 0 50%)"];
const NEAR = 14; // CSS pixels within which a pointer means a point
const STEP = 400; // ms from one snapshot to the next
const LEG = 1500; // ms of the morph from one space to the next

class View {
  constructor(parent) {
    this.root = parent.querySelector("[data-kd]");
    this.root.view = this;
    this.part = (name) => this.root.querySelector(`[data-${name}]`);
    this.mode = matchMedia("(pointer: coarse)").matches ? "move" : "lasso";
    Object.assign(this, { panels: [], rows: [], picked: new Set(), hover: -1, time: 0, following: true });
    this.morph = this.playing = false;
    this.start();
    this.root.addEventListener("click", (event) => this.pressed(event.target.closest("button")));
    const slider = this.part("slider");
    slider.addEventListener("input", () => {
      this.playing = false;
      this.time = Number(slider.value);
      this.following = this.time >= this.ends();
      this.show();
    });
    this.watcher = new ResizeObserver(() => this.fit());
    this.watcher.observe(this.part("stage"));
  }
  start() {
    const canvas = this.part("points");
    try {
      this.painter = new WebGL(canvas);
      canvas.addEventListener("webglcontextlost", () => !this.over && this.fallBack());
    } catch {
      this.fallBack();
    }
  }
  fallBack() {
    const old = this.part("points");
    const canvas = old.cloneNode();
    old.replaceWith(canvas);
    this.painter = new Flat(canvas);
    this.fit();
  }
  end() {
    this.over = true;
    this.playing = false;
    this.watcher.disconnect();
    this.painter.end();
  }

  update(data, send) {
    this.send = send;
    const column = (table, name) => table.getChild(name).toArray();
    const before = { last: this.ends(), names: this.names };
    this.rows = column(data.points, "row");
    this.codes = column(data.points, "code");
    this.facts = data.facts.map((fact, index) => ({ ...fact, codes: column(data.points, `fact${index}`) }));
    this.legend = data.legend;
    this.told = data.panels;
    this.item = data.item;
    this.when = data.when;
    this.count = this.rows.length;
    const frames = this.when.length || 1;
    this.places = data.panels.map((_, p) => {
      const x = column(data.frames, `x${p}`), y = column(data.frames, `y${p}`);
      return Array.from({ length: frames }, (_, f) => {
        const flat = new Float32Array(2 * this.count);
        for (let i = 0; i < this.count; i++) {
          flat[2 * i] = x[f * this.count + i];
          flat[2 * i + 1] = y[f * this.count + i];
        }
        return flat;
      });
    });
    this.index = new Map(Array.from(this.rows, (row, i) => [row, i]));
    if (JSON.stringify(data.selected) !== this.heard) {
      this.heard = JSON.stringify(data.selected);
      this.picked = new Set(data.selected);
    }
    this.names = JSON.stringify([data.panels.map((panel) => panel.name), data.kind]);
    if (this.names !== before.names) {
      this.morph = false;
      this.time = data.live ? this.ends() : 0;
      this.build();
    } else if (frames > 1 && this.following && this.ends() > before.last) {
      this.panels.forEach((panel, index) => {
        const whole = panel.zoom === 1 / panel.home.reach;
        panel.home = this.home(index);
        if (whole) this.centre(panel);
      });
      if (!this.playing) this.play(before.last);
    }
    this.time = Math.min(this.time, this.ends());
    this.marks = new Uint8Array(this.count);
    delete this.part("tip").dataset.row; // the same number may be another item now
    this.part("morphing").hidden = frames > 1 || data.panels.length < 2;
    this.words();
    this.painter.load(this);
    this.remark();
  }
  home(index) {
    // The middle and reach of nearly all points of a map in the end: a few far ones must not make all others small.
    const maps = (this.morph ? this.places : [this.places[index]]).map((frames) => frames[frames.length - 1]);
    const [x, y] = [0, 1].map((k) => {
      const values = maps.flatMap((flat) => Array.from(flat).filter((_, i) => i % 2 === k)).sort((a, b) => a - b);
      const at = (share) => values[Math.round(share * (values.length - 1))] || 0;
      return [(at(0.003) + at(0.997)) / 2, (at(0.997) - at(0.003)) / 2];
    });
    return { x: x[0], y: y[0], reach: 1.25 * Math.max(x[1], y[1]) || 1 };
  }
  ends() {
    return this.morph ? this.told.length - 1 : Math.max((this.when || []).length - 1, 0);
  }
  build() {
    const shown = this.morph ? [{ name: "morph", title: "", note: "", colour: "transparent" }] : this.told;
    const holder = this.part("panels");
    holder.replaceChildren();
    holder.style.setProperty("--wide", shown.length);
    holder.style.setProperty("--high", this.morph ? "480px" : "380px");
    this.panels = shown.map((told, index) => {
      const box = document.createElement("div");
      box.className = "panel";
      box.tabIndex = 0;
      box.dataset.panel = told.name;
      box.setAttribute("role", "group");
      const [head, title, note] = ["div", "b", "div"].map((tag) => document.createElement(tag));
      head.className = "head";
      note.className = "note";
      head.append(title);
      box.append(head, note);
      holder.append(box);
      const panel = { box: {}, element: box, title, note, home: this.home(index) };
      this.centre(panel);
      this.listen(panel, index);
      return panel;
    });
    this.fit();
  }
  words() {
    this.panels.forEach((panel, index) => {
      const from = this.told[Math.floor(this.time)], to = this.told[Math.ceil(this.time)];
      const moving = { title: `${from?.title} → ${to?.title}`, note: "", colour: to?.colour };
      const told = !this.morph ? this.told[index] : from === to ? from : moving;
      panel.title.textContent = told.title;
      panel.note.textContent = told.note;
      panel.title.style.setProperty("--role", told.colour);
      panel.element.dataset.mode = this.mode;
      panel.element.setAttribute("aria-label", `Map: ${told.title}. ${this.count} rows. ${told.note}`);
    });
    const moving = this.morph || this.when.length > 1;
    this.part("time").hidden = !moving;
    Object.assign(this.part("slider"), { max: this.ends(), value: this.time });
    this.part("when").textContent = this.morph ? this.told[Math.round(this.time)].title : this.when[Math.round(this.time)] || "";
    this.root.querySelector("[data-do=play]").textContent = this.playing ? "Pause" : "Play";
    this.root.querySelector("[data-do=morph]").setAttribute("aria-pressed", this.morph);
    for (const button of this.part("modes").children) button.setAttribute("aria-pressed", button.dataset.mode === this.mode);
    const legend = this.part("legend");
    if (legend.dataset.of === JSON.stringify(this.legend)) return;
    legend.dataset.of = JSON.stringify(this.legend);
    legend.replaceChildren(
      ...this.legend.map(({ name, colour, shape }, code) => {
        const [button, mark, word] = ["button", "i", "span"].map((tag) => document.createElement(tag));
        button.type = "button";
        button.title = "Select these rows";
        button.dataset.code = code;
        mark.style.background = colour;
        mark.style.clipPath = SHAPES[shape];
        word.textContent = name;
        button.append(mark, word);
        return button;
      }),
    );
  }

  // Where things are: `between` names the two frames that panel lies between, `screen` the CSS pixels of a point on the stage.
  between(index) {
    const low = Math.floor(this.time), high = Math.ceil(this.time), share = this.time - low;
    const eased = share * share * (3 - 2 * share);
    return this.morph ? [[low, 0], [high, 0], eased] : [[index, low], [index, high], share];
  }
  place(index, i) {
    const [a, b, mixed] = this.between(index);
    const from = this.places[a[0]][a[1]], to = this.places[b[0]][b[1]];
    return [0, 1].map((k) => from[2 * i + k] * (1 - mixed) + to[2 * i + k] * mixed);
  }
  screen(index, i) {
    const panel = this.panels[index], { left, top, wide, high } = panel.box;
    const [x, y] = this.place(index, i), half = (panel.zoom * Math.min(wide, high)) / 2;
    return [left + wide / 2 + (x - panel.x) * half, top + high / 2 - (y - panel.y) * half];
  }
  size(panel) {
    const base = this.count > 8000 ? 3 : this.count > 1500 ? 5 : 8;
    return Math.min(16, base * Math.max(1, Math.sqrt(panel.zoom * panel.home.reach)));
  }
  nearest(index, x, y, within = NEAR) {
    let best = -1, least = within * within;
    for (let i = 0; i < this.count; i++) {
      const [px, py] = this.screen(index, i), far = (px - x) ** 2 + (py - y) ** 2;
      if (far < least) [best, least] = [i, far];
    }
    return best;
  }

  fit() {
    const stage = this.part("stage"), all = stage.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    for (const canvas of [this.part("points"), this.part("over")]) {
      canvas.width = Math.round(all.width * ratio);
      canvas.height = Math.round(all.height * ratio);
    }
    for (const panel of this.panels) {
      const box = panel.element.getBoundingClientRect();
      panel.box = { left: box.left - all.left, top: box.top - all.top, wide: box.width, high: box.height };
    }
    this.show();
  }
  show(points = true) {
    this.stale ||= points; // a pointer that moves changes what lies over the points only
    if (this.asked) return;
    this.asked = requestAnimationFrame((now) => {
      this.asked = 0;
      if (this.over || !this.places || !this.panels.length) return;
      if (this.playing) this.advance(now);
      const style = getComputedStyle(this.root), ratio = devicePixelRatio || 1;
      const rim = (style.color.match(/[\d.]+/g) || [0, 0, 0]).slice(0, 3).map((part) => part / 255);
      if (this.stale) {
        this.painter.draw(this, ratio, rim);
        this.words();
      }
      this.stale = false;
      this.overlay(ratio, style);
      if (this.playing) this.show();
    });
  }
  overlay(ratio, style) {
    const c = this.part("over").getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, c.canvas.width, c.canvas.height);
    c.strokeStyle = style.color;
    this.panels.forEach((panel, index) => {
      const { left, top, wide, high } = panel.box;
      c.save();
      c.beginPath();
      c.rect(left, top, wide, high);
      c.clip();
      if (this.hover >= 0) {
        const [x, y] = this.screen(index, this.hover);
        c.lineWidth = 2;
        c.beginPath();
        c.arc(x, y, this.size(panel) / 2 + 5, 0, 7);
        c.stroke();
      }
      if (panel.element.matches(":focus-visible")) {
        c.lineWidth = 1;
        c.beginPath();
        c.moveTo(left + wide / 2 - 8, top + high / 2);
        c.lineTo(left + wide / 2 + 8, top + high / 2);
        c.moveTo(left + wide / 2, top + high / 2 - 8);
        c.lineTo(left + wide / 2, top + high / 2 + 8);
        c.stroke();
      }
      c.restore();
    });
    if (this.path?.length > 1) {
      c.setLineDash([5, 4]);
      c.lineWidth = 1.5;
      c.beginPath();
      this.corners().forEach(([x, y], i) => (i ? c.lineTo(x, y) : c.moveTo(x, y)));
      c.closePath();
      c.stroke();
    }
  }
  corners() {
    if (this.mode !== "box") return this.path;
    const [[a, b], [x, y]] = [this.path[0], this.path[this.path.length - 1]];
    return [[a, b], [x, b], [x, y], [a, y]];
  }

  // Selections, as row numbers of the dataset.
  select(points, add) {
    const rows = points.map((i) => this.rows[i]);
    this.picked = new Set(add ? [...this.picked, ...rows] : rows);
    this.heard = JSON.stringify([...this.picked]);
    this.remark();
    this.send([...this.picked]);
  }
  remark() {
    this.marks = new Uint8Array(this.count);
    for (const row of this.picked) if (this.index.has(row)) this.marks[this.index.get(row)] = 1;
    const here = this.marks.reduce((sum, mark) => sum + mark, 0);
    this.some = here > 0;
    this.part("status").textContent = here ? `${here} of ${this.count} rows selected` : `${this.count} rows`;
    this.painter.mark(this);
    this.show();
  }
  highlighted() {
    return Array.from(this.rows).filter((_, i) => this.marks[i]);
  }
  inside(index) {
    const corners = this.corners(), found = [];
    for (let i = 0; i < this.count; i++) {
      const [x, y] = this.screen(index, i);
      let within = false;
      for (let j = 0, k = corners.length - 1; j < corners.length; k = j++) {
        const [ax, ay] = corners[j], [bx, by] = corners[k];
        if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
      }
      if (within) found.push(i);
    }
    return found;
  }
  play(from) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches && !this.morph) from = this.ends();
    this.time = from;
    this.following = true;
    this.last = 0;
    this.playing = this.time < this.ends();
    this.show();
  }
  advance(now) {
    this.time = Math.min(this.ends(), this.time + (this.last ? (now - this.last) / (this.morph ? LEG : STEP) : 0));
    this.last = now;
    this.playing = this.time < this.ends();
  }
}
