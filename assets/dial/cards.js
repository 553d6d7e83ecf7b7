// A card for each number: its values at the dial's place, and its curve over the widths. Text goes in as text.

import { along, curve, format, ticks, top } from "./numbers.js";

/** @import { Series } from "./types.js" */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Return an element with a class and text.
 * @param {string} tag
 * @param {string} className
 * @param {string} text
 */
function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/**
 * Return a line over the box of a plot.
 * @param {string} className
 * @param {string} path
 */
function line(className, path) {
  const element = document.createElementNS(SVG, "path");
  element.setAttribute("class", className);
  element.setAttribute("d", path);
  return element;
}

/**
 * @param {number | null} value
 * @param {number} highest
 */
function level(value, highest) {
  return value === null ? "" : `M0 ${100 * (1 - value / highest)}H100`;
}

export class Card {
  /**
   * @param {Series} series
   * @param {readonly number[]} widths
   */
  constructor(series, widths) {
    this.series = series;
    this.widths = widths;
    this.highest = top(series);
    this.element = make("section", "card");
    this.element.title = series.help;
    const head = make("div", "card-head");
    this.trained = make("b", "trained");
    this.pca = make("span", "pca");
    head.append(make("span", "card-name", series.name), this.trained, this.pca);
    this.plot = make("div", "plot");
    this.plot.setAttribute("aria-hidden", "true"); // the slider and the numbers say it in words
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 100 100");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.append(
      line("chance", level(series.chance, this.highest)), line("raw", level(series.raw, this.highest)),
      line("pca", curve(series.pca, widths, this.highest)), line("trained", curve(series.trained, widths, this.highest)),
    );
    this.place = make("i", "place");
    this.dots = { pca: make("i", "dot pca"), trained: make("i", "dot trained") };
    const high = make("span", "high", format(series.kind, this.highest)), axis = make("div", "axis");
    axis.setAttribute("aria-hidden", "true");
    for (const width of ticks(widths)) {
      const tick = make("span", "tick", String(width));
      tick.style.left = `${100 * along(width, widths[widths.length - 1])}%`;
      axis.append(tick);
    }
    this.plot.append(svg, high, this.place, this.dots.pca, this.dots.trained);
    this.element.append(head, this.plot, axis);
  }
  /**
   * Show a width.
   * @param {number} index
   * @param {number} share where the dial is on the axis, 0 to 1
   */
  show(index, share) {
    const { series } = this;
    this.trained.textContent = format(series.kind, series.trained[index]);
    this.pca.textContent = `PCA\u00a0${format(series.kind, series.pca[index])}`;
    this.place.style.left = `${100 * share}%`;
    for (const name of /** @type {const} */ (["trained", "pca"])) {
      const value = series[name][index], dot = this.dots[name];
      dot.hidden = value === null;
      dot.style.left = `${100 * along(this.widths[index], this.widths[this.widths.length - 1])}%`;
      dot.style.top = `${100 * (1 - (value ?? 0) / this.highest)}%`;
    }
  }
}
