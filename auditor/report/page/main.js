"use strict";
// The page as a whole: head, tabs, panel, and the address that says which of them are seen.

const THEMES = ["light dark", "light", "dark"];

class App {
  constructor() {
    document.title = `${text("title")} · auditor`;
    this.theme = THEMES.includes(kept.get("theme")) ? kept.get("theme") : THEMES[0];
    this.tabs = new Map();
    this.state = fresh("overview");
    this.navigation = h("nav", { "aria-label": text("page_tabs") });
    this.main = h("main", { tabindex: -1 });
    this.paper = h("div", { class: "paper" });
    const skip = h("a", { class: "skip", href: "#", onclick: (event) => { event.preventDefault(); this.main.focus(); } }, text("page_skip"));
    document.getElementById("app").append(skip, this.head(), this.navigation, this.main, this.paper);
    this.overview = new OverviewTab();
    this.add("overview", text("page_tab_overview"), this.overview);
    this.paint();
    this.reveal("overview");
  }

  head() {
    const state = [run.missing
      ? h("a", { class: "warning", href: "#tab=coverage" }, text("page_incomplete", { count: run.missing }))
      : h("span", null, run.read)];
    if (run.suppressed) state.push(" ", h("a", { href: "#tab=suppressed" }, text("page_suppressed", { count: run.suppressed })));
    return h("header", { class: "head" },
      h("div", null,
        h("h1", null, text("title")),
        h("p", { class: "faint facts-line" }, run.facts.flatMap((fact, place) => [place ? " · " : "", bdi(fact)])),
        h("p", { class: "scope" }, state)),
      h("div", { class: "head-tools" },
        iconButton("theme", text("page_theme"), () => this.turn()),
        iconButton("print", text("page_print"), () => print())));
  }

  add(name, label, tab, count) {
    const link = h("a", { href: name === "overview" ? "#" : `#tab=${name}` }, label,
      count !== undefined && h("span", { class: "badge-count" }, numbers.format(count)));
    tab.element.hidden = true;
    this.tabs.set(name, { tab, link });
    this.navigation.append(link);
    this.main.append(tab.element);
  }

  /** The tables have come. */
  fill(data) {
    this.data = data;
    this.panel = new VmPanel(data, {
      close: () => this.leave(),
      step: (by) => this.step(by),
    });
    document.getElementById("app").append(this.panel.element);
    for (const [name, table] of data.tables) {
      this.add(name, table.title, name === "actions" ? new ActionsTab(table, this) : new TableTab(table, this), table.rows);
    }
    this.add("legend", text("legend"), new LegendTab(data.tables.get("vms")));
    this.overview.fill(data);
    this.listen();
    this.show(readAddress());
  }

  listen() {
    const follow = () => location.hash !== this.hash && this.show(readAddress());
    addEventListener("hashchange", follow);
    addEventListener("popstate", follow);
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !this.panel.element.hidden) this.leave();
      if (event.key === "/" && !event.target.closest("input, select, textarea")) {
        const field = this.current.element.querySelector("input.search");
        if (field) event.preventDefault();
        field?.focus();
      }
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.overview.draw());
    addEventListener("beforeprint", () => this.print(true));
    addEventListener("afterprint", () => this.print(false));
  }

  get current() {
    return this.tabs.get(this.state.tab).tab;
  }

  /** Go where a reader wants to be and let the address say so. */
  go(state, { replace = false, focus = false } = {}) {
    history[replace ? "replaceState" : "pushState"](null, "", writeAddress(state));
    this.show(state, focus);
  }

  show(state, focus = false) {
    this.hash = location.hash;
    const asked = state.filters.size || state.q || state.vm;
    this.state = this.tabs.has(state.tab) ? state : { ...state, tab: asked ? "vms" : "overview" };
    this.reveal(this.state.tab);
    this.current.show(this.state);
    this.open(focus);
  }

  reveal(name) {
    for (const [other, { tab, link }] of this.tabs) {
      tab.element.hidden = other !== name;
      if (other === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.body.dataset.tab = name;
  }

  /** The panel of the VM that the state names. */
  open(focus) {
    const { panel, state } = this;
    const row = state.vm ? panel.find(state.vm) : -1;
    if (state.vm && row < 0) announce(text("page_no_such_vm", { vm: state.vm }));
    this.main.querySelector(".missing-vm")?.remove();
    if (state.vm && row < 0) {
      const alike = writeAddress({ ...fresh("vms"), q: nameOf(state.vm) });
      this.main.prepend(h("p", { class: "note missing-vm" },
        bdi(text("page_no_such_vm", { vm: state.vm })), " ", h("a", { href: alike }, text("page_search"))));
    }
    document.body.classList.toggle("with-panel", row >= 0);
    if (row < 0) {
      panel.element.hidden = true;
      panel.row = -1;
    } else if (row !== panel.row || panel.element.hidden) {
      panel.show(row);
      if (focus) panel.heading.focus();
      else announce(`${panel.vms.cell("vm", row)}: ${titleOf("risk", panel.vms.cell("risk", row))}, ${titleOf("smtp", panel.vms.cell("smtp", row))}`);
    }
    this.main.inert = this.navigation.inert = row >= 0 && narrow.matches;
    const { current } = this;
    if (current instanceof TableTab) current.grid.point(current.rowOf(row < 0 ? "" : panel.vms.cell("vm_id", row)));
  }

  leave() {
    this.go({ ...this.state, vm: "" });
    const { current } = this;
    if (current instanceof TableTab) current.grid.slick.getActiveCellNode()?.focus();
  }

  step(by) {
    const tab = this.current instanceof TableTab ? this.current : this.tabs.get("vms").tab;
    const id = tab.neighbour(this.panel.vms.cell("vm_id", this.panel.row), by);
    if (id) this.go({ ...this.state, vm: id }, { replace: true });
  }

  // ---- looks

  turn() {
    this.theme = THEMES[(THEMES.indexOf(this.theme) + 1) % THEMES.length];
    kept.set("theme", this.theme);
    this.paint();
    this.overview.draw();
    announce(text(`page_theme_${this.theme.replace(" ", "_")}`));
  }

  paint(theme = this.theme) {
    document.documentElement.style.colorScheme = theme;
  }

  /** Paper is white, and holds rows that a screen draws only when they come in sight. */
  print(begin) {
    this.paint(begin ? "light" : this.theme);
    this.overview.draw();
    const { current } = this;
    const rows = begin && current instanceof TableTab && this.panel.element.hidden;
    this.paper.replaceChildren(...(rows ? [h("h2", null, current.table.title), current.count.cloneNode(true), current.printed()] : []));
  }
}

const app = new App();

async function begin() {
  if (!("DecompressionStream" in window)) {
    app.overview.rest.replaceChildren(h("p", { class: "note" }, text("page_old_browser")));
    return;
  }
  const block = document.getElementById("tables");
  const data = await unpack(block.textContent);
  block.remove();
  app.fill(data);
  document.body.dataset.ready = "yes";
  performance.mark("ready");
}

if (document.readyState === "loading") addEventListener("DOMContentLoaded", begin);
else begin();
