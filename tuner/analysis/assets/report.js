"use strict";
// Draws the figures of the page in its colours, and again when these change (dark mode, print).
(function () {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const config = {
    displaylogo: false,
    showSendToCloud: false,
    plotlyServerURL: "",
    responsive: true,
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "sendDataToCloud", "sendChartToCloud"],
    toImageButtonOptions: { format: "svg", filename: "chart" },
  };

  function colors(forPrint) {
    const root = document.documentElement;
    root.classList.toggle("printing", forPrint);
    const style = getComputedStyle(root);
    const read = (name) => style.getPropertyValue(name).trim();
    return {
      "@ink": read("--ink"), "@muted": read("--muted"), grid: read("--grid"), paper: read("--card"),
      "#0072B2": read("--blue"), "#D55E00": read("--vermilion"), "#009E73": read("--green"), "#9A8F1C": read("--olive"),
    };
  }

  // Only keys named "color" are filled in, so that no user text is ever replaced.
  function fill(value, palette) {
    if (Array.isArray(value)) return value.map((item) => fill(item, palette));
    return typeof value === "string" && value in palette ? palette[value] : value;
  }

  function paint(node, palette) {
    if (Array.isArray(node)) return node.map((item) => paint(item, palette));
    if (node === null || typeof node !== "object") return node;
    const copy = {};
    for (const [key, value] of Object.entries(node)) {
      copy[key] = key === "color" ? fill(value, palette) : paint(value, palette);
    }
    return copy;
  }

  function themed(layout, palette) {
    const copy = paint(layout, palette);
    copy.autosize = true;
    copy.paper_bgcolor = "rgba(0,0,0,0)";
    copy.plot_bgcolor = "rgba(0,0,0,0)";
    copy.font = { family: "system-ui, sans-serif", size: 12.5, color: palette["@ink"] };
    copy.hoverlabel = { bgcolor: palette.paper, bordercolor: palette["@muted"], font: { color: palette["@ink"] } };
    copy.modebar = { bgcolor: "rgba(0,0,0,0)", color: palette["@muted"], activecolor: palette["@ink"] };
    for (const key of Object.keys(copy)) {
      if (/^[xy]axis\d*$/.test(key)) {
        Object.assign(copy[key], {
          gridcolor: palette.grid, linecolor: palette["@muted"], zerolinecolor: palette.grid,
          showline: true, ticks: "outside", ticklen: 4, tickcolor: palette["@muted"],
        });
      }
    }
    return copy;
  }

  function draw(forPrint) {
    const palette = colors(forPrint);
    for (const place of document.querySelectorAll("[data-figure]")) {
      const figure = figures[place.dataset.figure];
      if (figure) Plotly.react(place, paint(figure.data, palette), themed(figure.layout, palette), config);
    }
  }

  draw(false);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(false));
  addEventListener("beforeprint", () => draw(true));
  addEventListener("afterprint", () => draw(false));
})();
