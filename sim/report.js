// Draws the charts of the report from the specs in the page, in the colours of the reader's theme,
// and again when that theme changes. `vegaEmbed` comes from the bundle that this text is part of.
const specs = JSON.parse(document.getElementById("chart-specs").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const ink = dark.matches ? "#d7dce3" : "#2a2f36";
  const line = dark.matches ? "#3a4049" : "#dfe3e8";
  return {
    background: "transparent",
    font: "system-ui, sans-serif",
    title: { color: ink, anchor: "start", fontSize: 14, fontWeight: 600, offset: 10 },
    axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line },
    header: { labelColor: ink, titleColor: ink },
    legend: { labelColor: ink, titleColor: ink },
    view: { stroke: line },
  };
}

async function draw() {
  for (const [name, spec] of Object.entries(specs)) {
    const place = document.getElementById("chart-" + name);
    const options = {
      config: theme(),
      actions: false,
      mode: "vega-lite",
      renderer: "canvas",
      tooltip: { theme: dark.matches ? "dark" : "light" },
    };
    try {
      await vegaEmbed(place, spec, options);
    } catch (problem) {
      place.textContent = "this chart could not be drawn: " + problem;
    }
  }
}

dark.addEventListener("change", draw);
draw();
