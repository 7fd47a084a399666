"use strict";
// What stands under each tab.

const FACETS = {
  actions: ["subscription", "owners", "risk", "action_code"],
  vms: ["subscription_id", "owner", "risk", "smtp", "path", "decided_by", "intent"],
  "azure-firewall": ["firewall", "smtp", "risk"],
  nics: ["subscription_id", "smtp", "path"],
  suppressed: ["suppression", "subscription", "risk"],
  subscriptions: ["offer_class", "registered", "exemption"],
  changes: ["change", "subscription", "risk", "owner"],
  coverage: ["subscription", "status", "kind"],
};
const FIRST_ORDER = { vms: "risk" };
const UNSEARCHED = ["command", "action", "vnet_id", "doc_url", "scanned_at"]; // of VMs: another column or tab tells the same
const MENU_LENGTH = 200;
const FIRST_ACTIONS = 10;
const CARDS_AT_ONCE = 40;
const PRINTED_ROWS = 1000;

/** How the entries of a column are called in a menu: subscriptions by name, codes in words. */
function labelsOf(table, key) {
  const column = table.column(key);
  const beside = key === "subscription_id" ? table.column("subscription") : null;
  if (!beside) {
    return (entry) => (column.values[entry] === "" ? text("page_empty") : titleOf(key, column.entry(entry)));
  }
  const names = [];
  for (let row = 0; row < table.rows; row++) names[column.index[row]] ??= beside.at(row) || column.at(row);
  const several = new Set(names.filter((name, place) => names.indexOf(name) !== place));
  return (entry) => (several.has(names[entry]) ? `${names[entry]} (${column.entry(entry).slice(0, 8)})` : names[entry]);
}

/** A menu that opens under its button and closes when the reader turns away. */
function menu(name, label, ...contents) {
  const summary = h("summary", null, label, icon("down"));
  const box = h("details", { class: `menu ${name}` }, summary, h("div", { class: "menu-box" }, contents));
  box.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !box.contains(event.relatedTarget)) box.open = false;
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !box.open) return;
    event.stopPropagation();
    box.open = false;
    summary.focus();
  });
  document.addEventListener("pointerdown", (event) => {
    if (!box.contains(event.target)) box.open = false;
  });
  return box;
}

/** Choices of one column, with how many rows each would show. */
class Facet {
  constructor(view, key, change) {
    Object.assign(this, { view, key, change });
    this.column = view.table.column(key);
    this.label = labelsOf(view.table, key);
    this.list = h("div", { role: "group", "aria-label": this.column.title });
    this.count = h("span", { class: "badge-count" });
    this.search = h("input", { type: "search", placeholder: text("page_search"), "aria-label": text("page_search"), oninput: () => this.fill() });
    this.element = menu(`facet of-${key}`, [titleOfColumn(this.column), this.count], this.column.size > 12 && this.search, this.list);
    this.element.addEventListener("toggle", () => this.element.open && this.fill());
  }

  refresh() {
    const chosen = this.view.filters.get(this.key)?.length ?? 0;
    this.count.textContent = chosen || "";
    this.element.classList.toggle("chosen", chosen > 0);
    if (this.element.open) this.fill();
  }

  fill() {
    const counts = this.view.counts(this.key);
    const chosen = new Set((this.view.filters.get(this.key) ?? []).map((value) => this.column.find(value)));
    const wanted = this.search.value.toLowerCase();
    const entries = Array.from({ length: this.column.size }, (_, entry) => entry)
      .filter((entry) => counts[entry] || chosen.has(entry))
      .filter((entry) => this.label(entry).toLowerCase().includes(wanted));
    if (this.key === "subscription_id") entries.sort((a, b) => this.label(a).localeCompare(this.label(b), run.lang));
    const focused = this.list.contains(document.activeElement) ? document.activeElement.value : null;
    this.list.replaceChildren(...entries.slice(0, MENU_LENGTH).map((entry) => this.choice(entry, counts[entry], chosen)));
    if (entries.length > MENU_LENGTH) this.list.append(h("p", { class: "faint" }, text("page_more", { count: entries.length - MENU_LENGTH })));
    if (focused !== null) this.list.querySelector(`input[value="${focused}"]`)?.focus();
  }

  choice(entry, count, chosen) {
    const box = h("input", {
      type: "checkbox", value: entry, checked: chosen.has(entry),
      onchange: () => {
        if (box.checked) chosen.add(entry);
        else chosen.delete(entry);
        this.change(this.key, [...chosen].filter((one) => one >= 0).map((one) => String(this.column.entry(one))));
      },
    });
    return h("label", { class: "choice" }, box, h("span", null, bdi(this.label(entry))), h("span", { class: "faint" }, numbers.format(count)));
  }
}

function titleOfColumn(column) {
  return column.key === "subscription_id" ? run.columns.subscription : column.title;
}

/** Rows under a search and menus; how they are drawn is for `draw` to say. */
class RowsTab {
  constructor(table, app) {
    Object.assign(this, { table, app });
    const searched = [...table.columns.keys()].filter((key) => table.file === "actions" || !UNSEARCHED.includes(key));
    this.view = new View(table, searched);
    const facets = (FACETS[table.file] ?? []).filter((key) => table.column(key)?.size > 1);
    this.facets = facets.map((key) => new Facet(this.view, key, (...changed) => this.filter(...changed)));
    const hint = text(table.file === "actions" ? "page_search_actions" : "page_search_rows");
    this.input = h("input", {
      type: "search", class: "search", placeholder: hint, "aria-label": hint, spellcheck: "false",
      onfocus: () => this.view.prepare(),
      oninput: () => this.change({ q: this.input.value }),
    });
    this.chips = h("div", { class: "chips" });
    this.count = h("p", { class: "count", role: "status" });
    this.tools = h("div", { class: "tools" }, this.input, this.facets.map((facet) => facet.element));
    this.element = h("section", null, this.tools, h("div", { class: "status" }, this.count, this.chips));
  }

  change(what) {
    this.app.go({ ...this.app.state, ...what }, { replace: true });
  }

  filter(key, values) {
    const filters = new Map(this.app.state.filters);
    if (values.length) filters.set(key, values);
    else filters.delete(key);
    this.change({ filters });
  }

  /** Show what a state asks for; nothing is done again that is on the screen already. */
  show(state) {
    const { view } = this;
    const order = state.sort || FIRST_ORDER[this.table.file] || "";
    const sought = JSON.stringify([[...state.filters], state.q, order]);
    if (sought === this.sought) return;
    this.sought = sought;
    view.clear();
    for (const [key, values] of state.filters) view.filter(key, values);
    view.query = state.q;
    view.order = { key: order.replace(/^-/, ""), descending: order.startsWith("-") };
    view.apply();
    if (this.input !== document.activeElement) this.input.value = state.q;
    this.draw();
    for (const facet of this.facets) facet.refresh();
    this.count.textContent = text("page_count", { shown: view.seen.length, count: this.table.rows });
    this.chips.replaceChildren(...this.filterChips());
  }

  filterChips() {
    const chips = [...this.view.filters].flatMap(([key, values]) => values.map((value) => {
      const column = this.table.column(key);
      const entry = column.find(value);
      const said = entry < 0 ? value : column.heads && key !== "subscription_id" ? nameOf(value) : labelsOf(this.table, key)(entry);
      const name = `${titleOfColumn(column)}: ${said || text("page_empty")}`;
      return h("button", {
        type: "button", class: "chip", "aria-label": text("page_remove", { name }),
        onclick: () => this.filter(key, values.filter((one) => one !== value)),
      }, bdi(name), icon("close"));
    }));
    if (chips.length || this.view.query) {
      chips.push(h("button", { type: "button", class: "plain", onclick: () => this.clear() }, text("page_clear")));
    }
    return chips;
  }

  clear() {
    this.input.value = "";
    this.change({ filters: new Map(), q: "" });
  }
}

/** A table with its grid. */
class TableTab extends RowsTab {
  constructor(table, app) {
    super(table, app);
    this.order = h("select", { class: "order", "aria-label": text("page_sort"), onchange: () => this.change({ sort: this.order.value }) },
      table.front.flatMap((column) => [
        h("option", { value: column.key }, `${column.title} ↑`), h("option", { value: `-${column.key}` }, `${column.title} ↓`)]));
    this.chooser = menu("chooser", text("page_columns"), this.columnChoices());
    this.tools.append(this.chooser, this.order);
    this.host = h("div", { class: "grid" });
    this.element.append(this.host);
    this.element.classList.add("table-tab");
    this.grid = new Grid(this.host, this.view, {
      open: (row, byKey) => this.open(row, byKey),
      move: (row) => app.panel.row >= 0 && !narrow.matches && this.open(row),
      sort: (sort) => this.change({ sort }),
    });
  }

  open(row, byKey = false) {
    const id = this.table.cell("vm_id", row);
    if (id) this.app.go({ ...this.app.state, vm: id }, { replace: this.app.panel.row >= 0, focus: byKey || narrow.matches });
  }

  columnChoices() {
    return this.table.sorted.map((column) => {
      const box = h("input", { type: "checkbox", value: column.key, onchange: () => this.choose() });
      return h("label", { class: "choice", title: run.notes[column.key] ?? "" }, box, h("span", null, column.title));
    });
  }

  choose() {
    const chosen = [...this.chooser.querySelectorAll("input:checked")].map((box) => box.value);
    const front = this.table.front.map((column) => column.key);
    this.change({ show: chosen.join() === front.join() ? "" : chosen.join() });
  }

  show(state) {
    const shown = state.show.split(",").map((key) => this.table.column(key)).filter(Boolean);
    const columns = shown.length ? shown : this.table.front;
    this.grid.show(columns);
    for (const box of this.chooser.querySelectorAll("input")) box.checked = columns.some((column) => column.key === box.value);
    super.show(state);
  }

  draw() {
    const { key, descending } = this.view.order;
    this.order.value = descending ? `-${key}` : key;
    this.grid.refresh();
  }

  /** The id of the VM that stands so many rows after another one, "" where none does. */
  neighbour(id, by) {
    const own = this.table.column("vm_id");
    const entry = own ? own.find(id) : -1;
    const place = entry < 0 ? -1 : this.view.seen.findIndex((row) => own.index[row] === entry);
    const next = place < 0 ? undefined : this.view.seen[place + by];
    return next === undefined ? "" : own.at(next);
  }

  /** The row that shows a VM, -1 where none does. */
  rowOf(id) {
    const own = this.table.column("vm_id");
    return own && id ? own.index.indexOf(own.find(id)) : -1;
  }

  /** The rows in sight as a table that paper can hold. */
  printed() {
    const rows = this.view.seen.subarray(0, PRINTED_ROWS);
    return h("div", null,
      h("table", { class: "printed" },
        h("thead", null, h("tr", null, this.grid.shown.map((column) => h("th", null, column.title)))),
        h("tbody", null, [...rows].map((row) => h("tr", null, this.grid.shown.map((column) => h("td", null, cellOf(this.table, column, row))))))),
      rows.length < this.view.seen.length && h("p", null, text("page_printed", { shown: rows.length, count: this.view.seen.length })));
  }
}

// ---- actions

/** The VMs that a thing to do is for, as an address. */
function actionAddress(table, row, scope) {
  const filters = new Map([["action_code", [table.cell("action_code", row)]], ["action_target", [table.cell("target", row)]], ...scope]);
  if (run.suppressed) filters.set("suppressed", [""]);
  return writeAddress(fresh("vms", filters));
}

/**
 * `number` is its place among those that are told first; one without is told at length. `vms` are those in `scope`.
 * `command` is "" where one before has told the same.
 */
function actionCard(table, row, { number, vms = table.cell("vms", row), scope = [], command = table.cell("command", row) } = {}) {
  const brief = number !== undefined;
  const cell = (key) => table.cell(key, row);
  const portal = portalOf(cell("target"));
  const where = [cell("subscription"), cell("target_name") !== cell("subscription") && cell("target_name")].filter(Boolean);
  return h("li", { class: `card action ${cell("risk")}` },
    brief && h("span", { class: "rank", "aria-hidden": "true" }, numbers.format(number)),
    h("div", { class: "action-main" },
      h("p", { class: "sentence" }, bdi(cell("action"))),
      h("p", { class: "faint" },
        where.flatMap((name, place) => [place ? " › " : "", bdi(name)]),
        cell("owners") && [" · ", bdi(cell("owners"))],
        portal && [" · ", outward(portal, text("page_portal"), icon("open"))],
        !brief && cell("doc_url").startsWith("https://") && [" · ", outward(cell("doc_url"), run.columns.doc_url, icon("open"))]),
      !brief && cell("vms") > 1 && h("p", { class: "faint" }, `${run.columns.examples}: `, bdi(cell("examples"))),
      command && commandBox(command, brief)),
    h("div", { class: "action-side" },
      h("a", { href: actionAddress(table, row, scope), class: "vms" }, h("strong", null, numbers.format(vms)),
        ` ${text(vms === 1 ? "page_one_vm" : "page_many_vms")}`),
      badge("risk", cell("risk"))));
}

/** Things to do as cards, those first that settle most. */
class ActionsTab extends RowsTab {
  constructor(table, app) {
    super(table, app);
    this.list = h("ol", { class: "actions" });
    this.more = h("button", { type: "button", onclick: () => this.add() }, text("page_show_more"));
    this.element.append(this.list, this.more);
  }

  draw() {
    this.list.replaceChildren();
    this.add();
  }

  add() {
    const from = this.list.childElementCount;
    this.list.append(...Array.from(this.view.seen.subarray(from, from + CARDS_AT_ONCE), (row) => actionCard(this.table, row)));
    this.more.hidden = this.list.childElementCount >= this.view.seen.length;
  }
}

// ---- overview

/** The filters of a figure, each key with its values. */
function filtersOf(address) {
  const said = new URLSearchParams(address);
  said.delete("tab");
  return [...new Set(said.keys())].map((key) => [key, said.getAll(key)]);
}

/** The key figures; of a part of the tenant each stands beside that of the whole. */
function tiles(count = (tile) => tile.value, scope = new Map()) {
  return h("ul", { class: "tiles" }, run.tiles.map((tile) => {
    const value = count(tile);
    const address = writeAddress(fresh("vms", new Map([...filtersOf(tile.address), ...scope])));
    return h("li", null, h("a", { href: address, class: `tile ${value ? tile.tone : ""}` },
      h("span", { class: "tile-title" }, tile.title),
      h("span", { class: `tile-value${value ? "" : " nought"}` }, numbers.format(value)),
      h("span", { class: "tile-note" }, scope.size ? text("page_of", { count: tile.value }) : tile.note)));
  }));
}

/** What is different from the baseline, each kind with its number; null where there was none to compare with. */
function changed(table, scope) {
  if (run.baseline === null) return null;
  const view = table && new View(table, []);
  for (const [key, values] of scope) view?.filter(key, values);
  view?.apply();
  const count = view?.seen.length ?? 0;
  const title = h("h2", { class: "small" }, text("page_changed", { count }), " ", h("span", { class: "faint" }, bdi(run.baseline)));
  if (!count) return h("section", { class: "card changed" }, title, h("p", null, text("no_changes")));
  const kinds = table.column("change");
  const counts = view.counts("change");
  return h("section", { class: "card changed" }, title, h("ul", null, kinds.values.map((kind, entry) => counts[entry] > 0 && h("li", null,
    h("a", { href: writeAddress(fresh("changes", new Map([["change", [kind]], ...scope]))), title: sentenceOf("change", kind) },
      h("strong", null, numbers.format(counts[entry])), " ", titleOf("change", kind))))));
}

/** How many VMs that miss nothing each thing to do is for. */
function settled(vms, actions, misses) {
  const [code, target, held] = ["action_code", "action_target", "suppressed"].map((key) => vms.column(key));
  const free = held.find("");
  const known = new Map(Array.from({ length: actions.rows }, (_, row) =>
    [`${actions.cell("action_code", row)} ${actions.cell("target", row).toLowerCase()}`, row]));
  const counts = new Uint32Array(actions.rows);
  for (let row = 0; row < vms.rows; row++) {
    if (misses[row] || held.index[row] !== free) continue;
    const action = known.get(`${code.at(row)} ${target.at(row).toLowerCase()}`);
    if (action !== undefined) counts[action]++;
  }
  return counts;
}

/** Figures, charts and first things to do, of all subscriptions or of the one that the address names. */
class OverviewTab {
  constructor() {
    this.choice = h("div", { class: "scope-choice" });
    this.figures = h("div", null, tiles());
    this.rest = h("div", null, h("p", { class: "faint", role: "status" }, text("page_loading")));
    this.element = h("section", { class: "overview" }, this.choice, this.figures, this.rest);
  }

  /** The tables have come. */
  fill(data) {
    this.data = data;
    this.vms = data.tables.get("vms");
    const column = this.vms.column("subscription_id");
    if (column.size < 2) return;
    const label = labelsOf(this.vms, "subscription_id");
    const entries = Array.from({ length: column.size }, (_, entry) => entry)
      .sort((a, b) => label(a).localeCompare(label(b), run.lang));
    this.select = h("select", {
      "aria-label": run.columns.subscription,
      onchange: () => { location.hash = writeAddress(fresh("overview", subscriptionFilter(this.select.value))); },
    }, h("option", { value: "" }, text("page_all_subscriptions")), entries.map((entry) => h("option", { value: column.entry(entry) }, label(entry))));
    this.choice.replaceChildren(this.select);
  }

  show({ filters }) {
    const wanted = filters.get("subscription_id")?.[0] ?? "";
    if (wanted === this.subscription) return;
    this.subscription = wanted;
    const entry = wanted && this.vms.column("subscription_id").find(wanted);
    if (this.select) this.select.value = wanted && entry >= 0 ? this.vms.column("subscription_id").entry(entry) : "";
    this.build(subscriptionFilter(wanted));
    this.draw();
  }

  build(scope) {
    const { vms } = this;
    const { tables } = this.data;
    const narrowed = scope.size > 0;
    const view = new View(vms, []);
    const rowsOf = (filters) => {
      view.clear();
      for (const [key, values] of [...filters, ...scope]) view.filter(key, values);
      view.apply();
      return view.seen.length;
    };
    this.figures.replaceChildren(narrowed ? tiles((tile) => rowsOf(filtersOf(tile.address)), scope) : tiles());
    if (!rowsOf([])) {
      this.rest.replaceChildren(h("p", null, text("no_vms")));
      return;
    }
    const { misses } = view;
    this.charts = [
      ["smtp", text("chart_verdict"), (lines) => lines],
      ["path", text("chart_path"), (lines) => lines.sort((a, b) => b.sum - a.sum)],
      ["subscription_id", text("chart_subscription"), (lines) => lines.sort(worst)],
    ].slice(0, narrowed ? 2 : 3).map(([key, title, arrange]) => {
      const column = vms.column(key);
      const filters = (entry) => new Map([[key, [column.entry(entry)]], ...scope, ...(run.suppressed ? [["suppressed", [""]]] : [])]);
      return new Bars(vms, {
        title,
        lines: arrange(byRisk(vms, key, misses)),
        label: labelsOf(vms, key),
        pick: (entry) => { location.hash = writeAddress(fresh("vms", filters(entry))); },
      });
    });
    this.trend = run.trend.runs.length > 1 && !narrowed ? new Trend(text("trend"), run.trend) : null;
    this.rest.replaceChildren(
      changed(tables.get("changes"), scope) ?? "",
      riskKey(vms),
      h("div", { class: "charts" }, this.charts.map((chart) => chart.element), this.trend?.element),
      h("h2", null, text("first_actions")),
      ...this.todo(tables.get("actions"), misses, scope));
  }

  /** The first things to do, those that settle most. */
  todo(actions, misses, scope) {
    const counts = actions ? settled(this.vms, actions, misses) : [];
    const rows = [...counts.keys()].filter((row) => counts[row]);
    if (!rows.length) return [h("p", null, text("nothing_to_do"))];
    const told = new Set();
    const first = rows.slice(0, FIRST_ACTIONS).map((row, place) => {
      const line = actions.cell("command", row);
      const command = told.has(line) ? "" : line; // what names nothing of its own is the same for many
      told.add(line);
      return actionCard(actions, row, { number: place + 1, vms: counts[row], scope, command });
    });
    const more = rows.length > first.length && !scope.size;
    return [h("ol", { class: "actions brief" }, first), more ? h("p", null, h("a", { href: "#tab=actions" }, text("page_all_actions", { count: rows.length }))) : ""];
  }

  draw() {
    const charts = this.charts ?? [];
    const bars = Math.max(...charts.map((chart) => chart.lines.length));
    for (const chart of charts) chart.draw(bars);
    this.trend?.draw();
  }
}

/** Only that subscription's rows; every row where it is "". */
function subscriptionFilter(id) {
  return new Map(id ? [["subscription_id", [id]]] : []);
}

/** Subscriptions by their high risks, then medium, and so on. */
function worst(a, b) {
  for (let risk = 0; risk < a.counts.length; risk++) {
    if (a.counts[risk] !== b.counts[risk]) return b.counts[risk] - a.counts[risk];
  }
  return 0;
}

// ---- legend

class LegendTab {
  constructor(vms) {
    const told = new Set();
    const keys = [...vms.sorted.map((column) => column.key), "status"];
    const cards = keys.filter((key) => run.codes[key]).map((key) => this.codes(key, told));
    const plain = keys.filter((key) => !run.codes[key] && run.notes[key]);
    this.element = h("section", { class: "legend" },
      h("p", { class: "faint" }, text("page_legend_about")),
      cards,
      h("section", { class: "card" },
        h("h2", { class: "small" }, text("page_columns")),
        h("dl", { class: "codes" }, plain.map((key) => this.line(run.columns[key], key, run.notes[key], "")))),
      h("p", { class: "faint" }, text("page_made_with", { slickgrid: run.libraries.slickgrid, chartjs: run.libraries["chart.js"] })));
  }

  /** A column with its codes, which are told once where several columns share them. */
  codes(key, told) {
    const codes = Object.entries(run.codes[key]);
    const same = JSON.stringify(codes);
    const first = !told.has(same);
    told.add(same);
    return h("section", { class: "card" },
      h("h2", { class: "small" }, run.columns[key] ?? key, " ", h("code", { class: "faint" }, key)),
      h("p", null, run.notes[key] ?? text(key)),
      first && h("dl", { class: "codes" }, codes.map(([code, [title, sentence, source]]) => this.line(title, code, sentence, source))));
  }

  line(title, code, sentence, source) {
    return h("div", null,
      h("dt", null, title, " ", h("code", { class: "faint" }, code)),
      h("dd", null, sentence, source && [" ", outward(source, text("legend_source"), icon("open"))]));
  }

  show() {}
}
