// How the maps are painted: by WebGL2, or flat where there is none. Joined in front of embeddings.js, which says what to paint.

const VERTEX = `#version 300 es
in vec2 a; in vec2 b; in float code; in float mark;
uniform float mixed, size, pass, dim; uniform vec4 view; uniform sampler2D palette;
out vec4 colour; flat out float shape; flat out float strong;
void main() {
  vec4 entry = texelFetch(palette, ivec2(int(code), 0), 0);
  vec2 place = (mix(a, b, mixed) - view.xy) * view.zw;
  strong = mark;
  gl_Position = (mark > 0.5) == (pass > 0.5) ? vec4(place, 0.0, 1.0) : vec4(9.0, 9.0, 0.0, 1.0);
  gl_PointSize = size * (mark > 0.5 ? 1.5 : 1.0);
  colour = vec4(entry.rgb, mark > 0.5 ? 1.0 : dim);
  shape = floor(entry.a * 255.0 + 0.5);
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 colour; flat in float shape; flat in float strong; uniform vec3 rim; out vec4 paint;
void main() {
  vec2 at = gl_PointCoord * 2.0 - 1.0;
  float far = shape < 0.5 ? length(at) : shape < 1.5 ? max(abs(at.x), abs(at.y)) * 1.15
    : shape < 2.5 ? max(at.y * 1.1, abs(at.x) * 1.1 + (-at.y) * 0.55 + 0.1) : abs(at.x) + abs(at.y);
  if (far > 1.0) discard;
  bool edge = strong > 0.5 && far > 0.68;
  paint = edge ? vec4(rim, 1.0) : colour;
  paint.rgb *= paint.a;
}`;

class WebGL {
  constructor(canvas) {
    const gl = canvas.getContext("webgl2", { antialias: true, premultipliedAlpha: true });
    if (!gl) throw new Error("no WebGL2");
    this.gl = gl;
    this.buffers = [];
    this.program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(this.program, shader);
    }
    ["a", "b", "code", "mark"].forEach((name, index) => gl.bindAttribLocation(this.program, index, name));
    gl.linkProgram(this.program);
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(this.program) || "no program");
    gl.useProgram(this.program);
    this.at = (name) => gl.getUniformLocation(this.program, name);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }
  fill(values) {
    const buffer = this.gl.createBuffer();
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, buffer);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, values, this.gl.STATIC_DRAW);
    this.buffers.push(buffer);
    return buffer;
  }
  load(view) {
    const gl = this.gl;
    this.buffers.forEach((buffer) => gl.deleteBuffer(buffer));
    this.buffers = [];
    this.places = view.places.map((frames) => frames.map((values) => this.fill(values)));
    this.codes = this.fill(Float32Array.from(view.codes));
    const entries = new Uint8Array(1024);
    view.legend.forEach(({ colour, shape }, index) => {
      const value = parseInt(colour.slice(1), 16);
      entries.set([value >> 16, (value >> 8) & 255, value & 255, shape], 4 * (index % 256));
    });
    gl.bindTexture(gl.TEXTURE_2D, this.palette || (this.palette = gl.createTexture()));
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, entries);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    this.mark(view);
  }
  mark(view) {
    if (this.marks) this.gl.deleteBuffer(this.marks);
    this.marks = this.gl.createBuffer();
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.marks);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, Float32Array.from(view.marks), this.gl.DYNAMIC_DRAW);
  }
  draw(view, ratio, rim) {
    const gl = this.gl;
    gl.disable(gl.SCISSOR_TEST);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.SCISSOR_TEST);
    gl.uniform3fv(this.at("rim"), rim);
    gl.uniform1f(this.at("dim"), view.some ? 0.16 : 0.8);
    view.panels.forEach((panel, index) => {
      const { left, top, wide, high } = panel.box;
      const corner = [left * ratio, gl.canvas.height - (top + high) * ratio, wide * ratio, high * ratio].map(Math.round);
      gl.viewport(...corner);
      gl.scissor(...corner);
      const [from, to, mixed] = view.between(index);
      [[0, this.places[from[0]][from[1]], 2], [1, this.places[to[0]][to[1]], 2], [2, this.codes, 1], [3, this.marks, 1]].forEach(
        ([where, buffer, count]) => {
          gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
          gl.enableVertexAttribArray(where);
          gl.vertexAttribPointer(where, count, gl.FLOAT, false, 0, 0);
        },
      );
      const half = panel.zoom * Math.min(wide, high) / 2;
      gl.uniform4f(this.at("view"), panel.x, panel.y, (2 * half) / wide, (2 * half) / high);
      gl.uniform1f(this.at("mixed"), mixed);
      gl.uniform1f(this.at("size"), view.size(panel) * ratio);
      for (const pass of [0, 1]) {
        gl.uniform1f(this.at("pass"), pass);
        gl.drawArrays(gl.POINTS, 0, view.count);
      }
    });
  }
  end() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

class Flat {
  // The same picture where there is no WebGL2.
  constructor(canvas) {
    this.context = canvas.getContext("2d");
  }
  load() {}
  mark() {}
  draw(view, ratio, rim) {
    const c = this.context;
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, c.canvas.width, c.canvas.height);
    view.panels.forEach((panel, index) => {
      const { left, top, wide, high } = panel.box;
      c.save();
      c.beginPath();
      c.rect(left, top, wide, high);
      c.clip();
      for (const pass of [0, 1]) {
        const half = (view.size(panel) / 2) * (pass ? 1.5 : 1);
        c.globalAlpha = pass ? 1 : view.some ? 0.16 : 0.8;
        for (let i = 0; i < view.count; i++) {
          if ((view.marks[i] > 0) !== (pass > 0)) continue;
          const [x, y] = view.screen(index, i);
          c.fillStyle = view.legend[view.codes[i]]?.colour || "#888888";
          c.beginPath();
          c.arc(x, y, half, 0, 7);
          c.fill();
          if (pass) {
            c.strokeStyle = `rgb(${rim.map((part) => 255 * part)})`;
            c.stroke();
          }
        }
      }
      c.restore();
    });
  }
  end() {}
}

