"use strict";
// Bars of VMs stacked by risk, and lines of figures over the runs. Each chart has its figures beside it as a table, in
// that of bars the names filter as the bars do.

const MOST_BARS = 10;
const MOST_LINES = 100; // of a table

/** The colour that a custom property has just now, as the canvas wants it. */
function colour(property) {
  const probe = h("span", { class: "unseen" });
  probe.style.color = `var(${property})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** VMs that miss nothing by some column and by risk, those left out that someone lives with: [{entry, counts, sum}]. */
function byRisk(table, key, misses) {
  const column = table.column(key);
  const risk = table.column("risk");
  const held = table.column("suppressed");
  const free = held.find("");
  const sums = Array.from({ length: column.size }, () => new Uint32Array(risk.size));
  for (let row = 0; row < table.rows; row++) {
    if (held.index[row] === free && !misses[row]) sums[column.index[row]][risk.index[row]]++;
  }
  return sums.map((counts, entry) => ({ entry, counts, sum: counts.reduce((a, b) => a + b, 0) })).filter((line) => line.sum);
}

/** What all charts have in common: a card with title, canvas and table. */
class Plot {
  constructor(title, head, rows) {
    this.canvas = h("canvas", { role: "img", "aria-label": `${title}. ${text("page_chart_table")}` });
    this.box = h("div", { class: "plot" }, this.canvas);
    this.element = h("section", { class: "card chart" },
      h("h2", { class: "small" }, title),
      this.box,
      h("details", null,
        h("summary", null, text("page_as_table")),
        h("div", { class: "figures-box" }, h("table", { class: "figures" },
          h("thead", null, h("tr", null, h("td", null), head.map((name) => h("th", { scope: "col" }, name)))),
          h("tbody", null, rows.map(([name, ...cells]) => h("tr", null,
            h("th", { scope: "row" }, name),
            cells.map((count) => h("td", { class: count ? null : "faint" }, count ? numbers.format(count) : "–")))))))));
  }

  get font() {
    return { family: getComputedStyle(document.body).fontFamily, size: 12 };
  }

  /** Draw anew, in the colours of the hour. */
  paint(height, chart) {
    this.chart?.destroy();
    this.box.style.height = `${height}px`;
    this.chart = new Chart(this.canvas, chart);
  }
}

class Bars extends Plot {
  /** `label(entry)` names a bar, `pick(entry)` is called for the one that a reader chooses. */
  constructor(table, { title, lines, label, pick }) {
    const risks = table.column("risk").values;
    const name = (line) => h("button", { type: "button", class: "plain", onclick: () => pick(line.entry) }, bdi(label(line.entry)));
    super(title, [...risks.map((risk) => titleOf("risk", risk)), text("total")],
      lines.slice(0, MOST_LINES).map((line) => [name(line), ...line.counts, line.sum]));
    Object.assign(this, { lines: lines.slice(0, MOST_BARS), risks, label, pick });
  }

  /** Draw it with room for so many bars. */
  draw(bars) {
    const ink = colour("--muted");
    const short = (name) => (name.length > 24 ? `${name.slice(0, 23)}…` : name);
    const { font } = this;
    this.paint(34 + 27 * Math.max(4, bars), {
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

class Trend extends Plot {
  /** `runs` are times, `lines` are [title, tone, figures], a figure for each run. */
  constructor(title, { runs, lines }) {
    super(title, lines.map(([name]) => name), runs.map((run, place) => [run, ...lines.map(([, , figures]) => figures[place])]).reverse());
    Object.assign(this, { runs, lines });
    this.box.before(h("ul", { class: "key", "aria-hidden": "true" }, lines.map(([name, tone]) => h("li", { class: `line ${tone}` }, name))));
  }

  draw() {
    const ink = colour("--muted");
    const { font } = this;
    const days = this.runs.map((run) => run.slice(0, 10));
    const daily = new Set(days).size === days.length; // else the day alone would stand there twice
    this.paint(daily ? 190 : 205, {
      type: "line",
      data: {
        labels: this.runs,
        datasets: this.lines.map(([label, tone, data]) => ({
          label, data, borderColor: colour(`--line-${tone}`), backgroundColor: colour(`--line-${tone}`),
          borderWidth: 2, pointRadius: 3, pointHoverRadius: 5,
        })),
      },
      options: {
        animation: false,
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        plugins: { tooltip: { bodyFont: font, titleFont: font } },
        scales: {
          x: {
            border: { color: colour("--line") },
            grid: { display: false },
            ticks: { color: ink, font, maxRotation: 0, autoSkipPadding: 16, callback: (_, place) => (daily ? days[place] : this.runs[place].split(" ")) },
          },
          y: { beginAtZero: true, border: { display: false }, grid: { color: colour("--line") }, ticks: { color: ink, font, precision: 0, maxTicksLimit: 5 } },
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
