"use strict";
// Bars of VMs stacked by risk. Each chart has its figures beside it as a table, whose names filter as the bars do.

const MOST_BARS = 10;

/** The colour that a custom property has just now, as the canvas wants it. */
function colour(property) {
  const probe = h("span", { class: "unseen" });
  probe.style.color = `var(${property})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** VMs by some column and by risk, those left out that someone decided to live with: [{entry, counts, sum}]. */
function byRisk(table, key) {
  const column = table.column(key);
  const risk = table.column("risk");
  const held = table.column("suppressed");
  const free = held.find("");
  const sums = Array.from({ length: column.size }, () => new Uint32Array(risk.size));
  for (let row = 0; row < table.rows; row++) {
    if (held.index[row] === free) sums[column.index[row]][risk.index[row]]++;
  }
  return sums.map((counts, entry) => ({ entry, counts, sum: counts.reduce((a, b) => a + b, 0) })).filter((line) => line.sum);
}

class Chart25 {
  /** `label(entry)` names a bar, `pick(entry)` is called for the one that a reader chooses. */
  constructor(table, { title, lines, label, pick }) {
    const risk = table.column("risk");
    Object.assign(this, { lines: lines.slice(0, MOST_BARS), risks: risk.values, label, pick });
    this.canvas = h("canvas", { role: "img", "aria-label": `${title}. ${text("page_chart_table")}` });
    this.box = h("div", { class: "plot" }, this.canvas);
    this.element = h("section", { class: "card chart" },
      h("h2", { class: "small" }, title),
      this.box,
      h("details", null,
        h("summary", null, text("page_as_table")),
        this.figures(lines)));
  }

  figures(lines) {
    return h("table", { class: "figures" },
      h("thead", null, h("tr", null,
        h("td", null),
        this.risks.map((risk) => h("th", { scope: "col" }, titleOf("risk", risk))),
        h("th", { scope: "col" }, text("total")))),
      h("tbody", null, lines.slice(0, 100).map((line) => h("tr", null,
        h("th", { scope: "row" },
          h("button", { type: "button", class: "plain", onclick: () => this.pick(line.entry) }, bdi(this.label(line.entry)))),
        [...line.counts].map((count) => h("td", { class: count ? null : "faint" }, count ? numbers.format(count) : "–")),
        h("td", null, h("strong", null, numbers.format(line.sum)))))));
  }

  /** Draw it with room for so many bars. */
  draw(bars) {
    this.chart?.destroy();
    this.box.style.height = `${34 + 27 * Math.max(4, bars)}px`;
    const ink = colour("--muted");
    const short = (name) => (name.length > 24 ? `${name.slice(0, 23)}…` : name);
    const font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
    this.chart = new Chart(this.canvas, {
      type: "bar",
      data: {
        labels: this.lines.map((line) => this.label(line.entry)),
        datasets: this.risks.map((risk, number) => ({
          label: titleOf("risk", risk),
          data: this.lines.map((line) => line.counts[number]),
          backgroundColor: colour(`--risk-${risk in TONES.risk ? risk : "none"}`),
          maxBarThickness: 18,
          borderRadius: 2,
        })),
      },
      options: {
        indexAxis: "y",
        animation: false,
        maintainAspectRatio: false,
        onClick: (_, found) => found.length && this.pick(this.lines[found[0].index].entry),
        onHover: (event, found) => { event.native.target.style.cursor = found.length ? "pointer" : ""; },
        interaction: { mode: "nearest", axis: "y", intersect: false },
        plugins: { tooltip: { bodyFont: font, titleFont: font, mode: "index", filter: (item) => item.raw > 0 } },
        scales: {
          x: { stacked: true, border: { display: false }, grid: { color: colour("--line") }, ticks: { color: ink, font, precision: 0, maxTicksLimit: 5 } },
          y: {
            stacked: true,
            border: { color: colour("--line") },
            grid: { display: false },
            ticks: { color: colour("--ink"), font, autoSkip: false, callback: (_, place) => short(this.label(this.lines[place].entry)) },
          },
        },
      },
    });
  }
}

/** Which colour is which risk, once for all charts. */
function riskKey(table) {
  return h("ul", { class: "key", "aria-hidden": "true" },
    table.column("risk").values.map((risk) => h("li", { class: risk }, titleOf("risk", risk))));
}
