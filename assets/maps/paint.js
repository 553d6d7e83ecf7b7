// How points are painted: by WebGL2, or flat where there is none; and what lies over them: hover, focus, lasso.

import { PALETTE_WIDTH, packPalette } from "./colours.js";
import { middle, pointSize, toScreen } from "./geometry.js";

/** @import { Scene } from "./scene.js" */
/** @import { Box, Overlay, Painter, Point, RGB, Viewport } from "./types.js" */

const FAINT = 0.16; // opacity of points beside selected ones
const OPAQUE = 0.8; // opacity of points while none is selected
const LARGER = 1.5; // size of a selected point
const UNKNOWN = "#888888";

const VERTEX = `#version 300 es
in vec2 a; in vec2 b; in float code; in float mark;
uniform float share, size, pass, opacity; uniform vec4 view; uniform sampler2D palette;
out vec4 colour; flat out float shape; flat out float selected;
void main() {
  int entry = int(code);
  vec4 texel = texelFetch(palette, ivec2(entry % ${PALETTE_WIDTH}, entry / ${PALETTE_WIDTH}), 0);
  vec2 place = (mix(a, b, share) - view.xy) * view.zw;
  selected = mark;
  gl_Position = (mark > 0.5) == (pass > 0.5) ? vec4(place, 0.0, 1.0) : vec4(9.0, 9.0, 0.0, 1.0);
  gl_PointSize = size * (mark > 0.5 ? ${LARGER.toFixed(1)} : 1.0);
  colour = vec4(texel.rgb, mark > 0.5 ? 1.0 : opacity);
  shape = floor(texel.a * 255.0 + 0.5);
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 colour; flat in float shape; flat in float selected; uniform vec3 rim; out vec4 paint;
void main() {
  vec2 at = gl_PointCoord * 2.0 - 1.0;
  float far = shape < 0.5 ? length(at) : shape < 1.5 ? max(abs(at.x), abs(at.y)) * 1.15
    : shape < 2.5 ? max(at.y * 1.1, abs(at.x) * 1.1 + (-at.y) * 0.55 + 0.1) : abs(at.x) + abs(at.y);
  if (far > 1.0) discard;
  bool edge = selected > 0.5 && far > 0.68;
  paint = edge ? vec4(rim, 1.0) : colour;
  paint.rgb *= paint.a;
}`;

/**
 * Return a program of both shaders.
 * @param {WebGL2RenderingContext} gl
 * @param {readonly string[]} attributes their names, in the order of their numbers
 */
function link(gl, attributes) {
  const program = gl.createProgram();
  const shaders = /** @type {const} */ ([[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]);
  for (const [kind, source] of shaders) {
    const shader = gl.createShader(kind);
    if (!shader) throw new Error("WebGL2 is lost");
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  attributes.forEach((name, index) => gl.bindAttribLocation(program, index, name));
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) || "no program");
  return program;
}

/** @implements {Painter} */
export class WebGLPainter {
  #gl;
  #program;
  #palette;
  #codes;
  #marks;
  /** @type {Map<Float32Array, WebGLBuffer>} */
  #frames = new Map();

  /**
   * @param {HTMLCanvasElement} canvas
   * @throws where there is no WebGL2
   */
  constructor(canvas) {
    const gl = canvas.getContext("webgl2", { antialias: true, premultipliedAlpha: true });
    if (!gl) throw new Error("no WebGL2");
    this.#gl = gl;
    this.#program = link(gl, ["a", "b", "code", "mark"]);
    this.#palette = gl.createTexture();
    this.#codes = gl.createBuffer();
    this.#marks = gl.createBuffer();
    gl.useProgram(this.#program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }
  /** @param {string} name */
  #uniform(name) {
    return this.#gl.getUniformLocation(this.#program, name);
  }
  /**
   * @param {WebGLBuffer} buffer
   * @param {Float32Array} values
   */
  #fill(buffer, values) {
    const gl = this.#gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
  }
  /** @param {Scene} scene */
  load(scene) {
    const gl = this.#gl;
    this.#frames.forEach((buffer) => gl.deleteBuffer(buffer));
    this.#frames.clear();
    for (const frame of scene.frames.flat()) {
      const buffer = gl.createBuffer();
      this.#fill(buffer, frame);
      this.#frames.set(frame, buffer);
    }
    this.#fill(this.#codes, Float32Array.from(scene.codes));
    const texels = packPalette(scene.legend), height = texels.length / 4 / PALETTE_WIDTH;
    gl.bindTexture(gl.TEXTURE_2D, this.#palette);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, PALETTE_WIDTH, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, texels);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    this.mark(scene.marks);
  }
  /** @param {Uint8Array} marks */
  mark(marks) {
    this.#fill(this.#marks, Float32Array.from(marks));
  }
  /**
   * @param {Scene} scene
   * @param {readonly Viewport[]} viewports
   * @param {number} ratio device pixels per CSS pixel
   * @param {RGB} rim colour around selected points
   */
  draw(scene, viewports, ratio, rim) {
    const gl = this.#gl;
    gl.disable(gl.SCISSOR_TEST);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.SCISSOR_TEST);
    gl.uniform3fv(this.#uniform("rim"), rim);
    gl.uniform1f(this.#uniform("opacity"), scene.marked ? FAINT : OPAQUE);
    viewports.forEach((viewport, index) => {
      const { box, camera } = viewport, bottom = gl.canvas.height - (box.top + box.height) * ratio;
      const [x, y, width, height] = [box.left * ratio, bottom, box.width * ratio, box.height * ratio].map(Math.round);
      gl.viewport(x, y, width, height);
      gl.scissor(x, y, width, height);
      const { from, to, share } = scene.between(index);
      this.#attribute(0, this.#frames.get(from), 2);
      this.#attribute(1, this.#frames.get(to), 2);
      this.#attribute(2, this.#codes, 1);
      this.#attribute(3, this.#marks, 1);
      const scale = camera.zoom * Math.min(box.width, box.height);
      gl.uniform4f(this.#uniform("view"), camera.x, camera.y, scale / box.width, scale / box.height);
      gl.uniform1f(this.#uniform("share"), share);
      gl.uniform1f(this.#uniform("size"), pointSize(scene.count, viewport) * ratio);
      for (const pass of [0, 1]) {
        gl.uniform1f(this.#uniform("pass"), pass);
        gl.drawArrays(gl.POINTS, 0, scene.count);
      }
    });
  }
  /**
   * @param {number} index
   * @param {WebGLBuffer | undefined} buffer
   * @param {number} size numbers of a point
   */
  #attribute(index, buffer, size) {
    const gl = this.#gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer ?? null);
    gl.enableVertexAttribArray(index);
    gl.vertexAttribPointer(index, size, gl.FLOAT, false, 0, 0);
  }
  end() {
    this.#gl.getExtension("WEBGL_lose_context")?.loseContext(); // a browser lets a page have about 16 of them
  }
}

/**
 * Paint inside a panel only.
 * @param {CanvasRenderingContext2D} context
 * @param {Box} box
 * @param {() => void} paint
 */
function clipped(context, { left, top, width, height }, paint) {
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  paint();
  context.restore();
}

/**
 * Return the canvas' context, cleared and in CSS pixels.
 * @param {HTMLCanvasElement} canvas
 * @param {number} ratio device pixels per CSS pixel
 */
function cleared(canvas, ratio) {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("the browser has no canvas left");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  return context;
}

/** @implements {Painter} */
export class FlatPainter {
  #canvas;
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
  }
  load() {}
  mark() {}
  /**
   * @param {Scene} scene
   * @param {readonly Viewport[]} viewports
   * @param {number} ratio device pixels per CSS pixel
   * @param {RGB} rim colour around selected points
   */
  draw(scene, viewports, ratio, rim) {
    const context = cleared(this.#canvas, ratio);
    context.strokeStyle = `rgb(${rim.map((part) => 255 * part)})`;
    viewports.forEach((viewport, index) => {
      const frame = scene.positions(index), radius = pointSize(scene.count, viewport) / 2;
      clipped(context, viewport.box, () => {
        for (const pass of [0, 1]) {
          context.globalAlpha = pass ? 1 : scene.marked ? FAINT : OPAQUE;
          for (let i = 0; i < scene.count; i++) {
            if (scene.marks[i] !== pass) continue;
            const [x, y] = toScreen(viewport.box, viewport.camera, [frame[2 * i], frame[2 * i + 1]]);
            context.fillStyle = scene.legend[scene.codes[i]]?.colour || UNKNOWN;
            context.beginPath();
            context.arc(x, y, radius * (pass ? LARGER : 1), 0, 7);
            context.fill();
            if (pass) context.stroke();
          }
        }
      });
    });
  }
  end() {}
}

/**
 * Paint what lies over the points.
 * @param {HTMLCanvasElement} canvas
 * @param {number} ratio device pixels per CSS pixel
 * @param {string} colour
 * @param {readonly Overlay[]} panels
 * @param {readonly Point[]} lasso
 */
export function paintOverlay(canvas, ratio, colour, panels, lasso) {
  const context = cleared(canvas, ratio);
  context.strokeStyle = colour;
  for (const { box, ring, cross } of panels) {
    clipped(context, box, () => {
      if (ring) {
        context.lineWidth = 2;
        context.beginPath();
        context.arc(...ring.centre, ring.radius, 0, 7);
        context.stroke();
      }
      if (cross) {
        const [x, y] = middle(box);
        context.lineWidth = 1;
        context.beginPath();
        context.moveTo(x - 8, y);
        context.lineTo(x + 8, y);
        context.moveTo(x, y - 8);
        context.lineTo(x, y + 8);
        context.stroke();
      }
    });
  }
  if (lasso.length > 1) {
    context.save();
    context.setLineDash([5, 4]);
    context.lineWidth = 1.5;
    context.beginPath();
    lasso.forEach(([x, y]) => context.lineTo(x, y)); // the first one only moves there
    context.closePath();
    context.stroke();
    context.restore();
  }
}
