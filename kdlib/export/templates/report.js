"use strict";
// Draws the figures, in the colours of the page; on paper in black on white and as wide as the paper.
(() => {
  const PAPER = 680; // pixels between the margins of a sheet of A4
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const places = [...document.querySelectorAll("[data-figure]")];
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"] };
  const heights = new Map();
  const ink = () => getComputedStyle(document.body).color;

  for (const place of places) {
    const { data, layout } = figures[Number(place.dataset.figure)];
    layout.font = { ...layout.font, family: getComputedStyle(document.body).fontFamily, color: ink() };
    heights.set(place, layout.height);
    Plotly.newPlot(place, data, layout, config);
  }
  const redraw = (changes) => places.forEach((place) => Plotly.relayout(place, changes(place)));
  const fit = () => redraw((place) => ({ width: null, height: heights.get(place), autosize: true, "font.color": ink() }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", fit);
  addEventListener("beforeprint", () =>
    redraw((place) => {
      const beside = place.closest(".row").children.length;
      const width = Math.floor((PAPER - 12 * (beside - 1)) / beside) - (beside > 1 ? 16 : 0);
      const height = beside > 1 ? width : Math.min(heights.get(place), 320);
      return { width, height, "font.color": "#1c2430" };
    }),
  );
  addEventListener("afterprint", fit);
})();
