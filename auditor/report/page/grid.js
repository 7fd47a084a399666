"use strict";
// A table on the screen: SlickGrid draws the rows in sight, a view says which these are.

const LETTER = 7; // pixels
const ROW = 38;
const CARD = 78;

/** Columns whose cell opens in the portal the resource that another column of the row names. */
const OPENS = { nic: "nic_id", firewall: "firewall_id", target_name: "target" };

/** The contents of a cell. */
function cellOf(table, column, row) {
  const value = column.at(row);
  if (value === "") return "";
  if (column.kind === "number") return numbers.format(value);
  if (table.file === "subscriptions" && column.key === "subscription") {
    const filters = new Map([["subscription_id", [table.cell("subscription_id", row)]]]);
    return h("a", { href: writeAddress(fresh("vms", filters)), tabindex: -1 }, bdi(value));
  }
  if (table.file === "changes" && column.key in CHANGED) return CHANGED[column.key](table, row);
  if (column.key in TONES) return badge(column.key, value);
  if (column.key === "vm" && table.column("vm_id")) {
    return h("a", { href: writeAddress({ ...fresh(table.file), vm: table.cell("vm_id", row) }), class: "opens", tabindex: -1 }, bdi(value));
  }
  if (column.kind === "code") return h("span", { title: sentenceOf(column.key, value) }, titleOf(column.key, value));
  if (column.kind === "codes") return value.split(";").map((code) => titleOf(column.key, code)).join("; ");
  const opens = OPENS[column.key] && portalOf(table.cell(OPENS[column.key], row));
  if (opens) return h("a", { href: opens, target: "_blank", rel: "noopener noreferrer", tabindex: -1 }, bdi(value), icon("open"));
  if (value.startsWith("https://") && column.key === "doc_url") {
    return h("a", { href: value, target: "_blank", rel: "noopener noreferrer", tabindex: -1 }, value);
  }
  return h("bdi", { title: value, class: column.kind === "id" ? "mono" : null }, value);
}

/** What changed, in words: columns by their titles, values that begin with a code by what it is called. */
const CHANGED = {
  what: (table, row) => bdi(listOf(table, row).map((key) => run.columns[key] ?? key).join(", ")),
  old: (table, row) => bdi(changedTo(table, row, table.cell("old", row))),
  new: (table, row) => bdi(changedTo(table, row, table.cell("new", row))),
};

/** What stands instead of a verdict where a run had no such VM, or could not see whether it had one. */
const MISSING = { "not-there": "page_not_there", "not-seen": "page_not_seen" };

function listOf(table, row) {
  return table.cell("what", row).split(", ");
}

function changedTo(table, row, value) {
  const keys = listOf(table, row);
  const values = keys.length > 1 ? value.split("; ") : [value];
  if (values.length !== keys.length) return value; // a name that looks like a list
  return values.map((one, place) => {
    if (keys[place] === "smtp" && one in MISSING) return text(MISSING[one]);
    const [, code, rest] = /^([a-z-]*)(.*)$/s.exec(one);
    const words = rest.replace(/^ \(([a-z-]+)\)$/, (_, why) => ` (${titleOf("platform", why)})`);
    return titleOf(keys[place], code) + words;
  }).join("; ");
}

const MEASURED = 300; // entries of a column that say how wide it is to be
const ruler = document.createElement("canvas").getContext("2d");

/** How wide texts are in pixels, of those that are not overlong. */
function widest(texts, font) {
  ruler.font = font;
  return Math.max(0, ...texts.map((value) => ruler.measureText(value.slice(0, 60)).width));
}

/** Pixels for a column: what its contents take, texts no more than was declared, and its title in any case. */
function widthOf(table, column) {
  const { fontFamily } = getComputedStyle(document.body);
  const codes = column.kind === "code" || column.key in TONES;
  const words = column.values.slice(0, MEASURED).map((value, entry) => {
    if (codes) return titleOf(column.key, value);
    return table.file === "changes" && column.key === "what" ? run.columns[value] ?? value : String(column.entry(entry));
  });
  const linked = column.key === "vm" || column.key in OPENS || (table.file === "subscriptions" && column.key === "subscription");
  const font = column.kind === "id" ? "13px monospace" : `${linked ? 600 : 400} 14px ${fontFamily}`;
  const content = widest(words, font) + (column.key === "risk" ? 46 : column.key in TONES || column.key in OPENS ? 42 : 26);
  const title = widest([column.title], `600 13px ${fontFamily}`) + 42;
  return Math.ceil(Math.max(64, title, codes ? content : Math.min(content, column.width * LETTER, column.key === "action" ? 540 : 420)));
}

/** A row on a narrow screen: name first, then what matters, then where. */
function cardOf(table, row) {
  const [first, ...rest] = table.sorted.filter((column) => column.front && column.at(row) !== "");
  if (!first) return "";
  const badges = rest.filter((column) => column.key in TONES);
  const others = rest.filter((column) => !(column.key in TONES) && column.key !== "action").slice(0, 3);
  return h("div", { class: "row-card" },
    h("div", { class: "row-card-head" }, h("strong", null, cellOf(table, first, row))),
    h("div", null, badges.map((column) => badge(column.key, column.at(row)))),
    h("div", { class: "faint" }, others.flatMap((column, place) => [place ? " · " : "", cellOf(table, column, row)])));
}

class Grid {
  /** `open(row)` is called for the row a reader chooses, `sort(key)` when the table shall be in another order. */
  constructor(host, view, { open, move, sort }) {
    Object.assign(this, { host, view, open, move, sort });
    this.shown = [];
    this.pointed = -1;
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(host);
    // Paper is no screen, narrow or not; a table built anew while pages are made would make them anew without end.
    narrow.addEventListener("change", () => paper.matches || this.cards === narrow.matches || this.build());
  }

  /** Columns in the order to show them; none of that kind of thing on a narrow screen. */
  show(columns) {
    if (columns.length === this.shown.length && columns.every((column, place) => column === this.shown[place])) return;
    this.shown = columns;
    this.build();
  }

  build() {
    this.slick?.destroy();
    this.host.replaceChildren();
    this.cards = narrow.matches;
    this.host.classList.toggle("cards", this.cards);
    const { view } = this;
    const { table } = view;
    const rows = { getLength: () => view.seen.length, getItem: (place) => ({ row: view.seen[place] }) };
    const columns = narrow.matches
      ? [{ id: "card", field: "card", name: "", formatter: (_, __, ___, ____, item) => cardOf(table, item.row) }]
      : this.shown.map((column) => this.column(column));
    this.slick = new SlickGrid(this.host, rows, columns, {
      rowHeight: narrow.matches ? CARD : ROW,
      enableColumnReorder: false,
      enableCellNavigation: true,
      enableMouseWheelScrollHandler: false,
      enableHtmlRendering: false,
      dataItemColumnValueExtractor: () => "",
      scrollRenderThrottling: 0,
      minRowBuffer: 12,
    });
    this.listen();
    this.mark();
    this.fit();
  }

  column(column) {
    const { table } = this.view;
    return {
      id: column.key,
      field: column.key,
      name: column.title,
      toolTip: run.notes[column.key] ?? "",
      width: widthOf(table, column),
      minWidth: 60,
      sortable: true,
      cssClass: column.kind === "number" ? "number" : "",
      headerCssClass: column.kind === "number" ? "number" : "",
      formatter: (_, __, ___, ____, item) => cellOf(table, column, item.row),
    };
  }

  listen() {
    const { slick } = this;
    slick.onSort.subscribe((_, { sortAsc, sortCol }) => this.sort(sortAsc ? sortCol.id : `-${sortCol.id}`));
    slick.onClick.subscribe((event, { row }) => {
      const link = event.target.closest("a");
      const own = link?.classList.contains("opens");
      if (link && (!own || event.ctrlKey || event.metaKey || event.shiftKey)) return;
      if (own) event.preventDefault();
      this.open(this.view.seen[row]);
    });
    slick.onActiveCellChanged.subscribe((_, { row }) => {
      this.reach();
      slick.getActiveCellNode()?.focus({ preventScroll: true });
      this.uncover();
      if (row !== undefined) this.move(this.view.seen[row]);
    });
    slick.onColumnsResized.subscribe(() => this.hold());
    slick.onRendered.subscribe(() => {
      for (const element of this.host.querySelectorAll(".slick-row")) {
        element.setAttribute("aria-rowindex", Number(element.dataset.row) + 2);
      }
      this.reach();
    });
    // Tab leaves the table and Enter opens the row; of the keys that move within it the grid takes care.
    this.keys ??= (event) => {
      if (event.key === "Tab") event.stopPropagation();
      if (event.key !== "Enter" && event.key !== " ") return;
      event.stopPropagation();
      if (event.target.closest(".slick-header-column")) {
        event.preventDefault();
        event.target.click();
      } else if (this.slick.getActiveCell()) {
        event.preventDefault();
        this.open(this.view.seen[this.slick.getActiveCell().row], true);
      }
    };
    this.host.addEventListener("keydown", this.keys, true);
  }

  /** The first column stays where it is, as wide as it was made. */
  hold() {
    this.host.style.setProperty("--first", `${this.slick.getColumns()[0]?.width ?? 0}px`);
  }

  /** Scroll the active cell out from under the first column, which stays where it is. */
  uncover() {
    const cell = this.slick.getActiveCellNode();
    const first = cell?.parentElement.firstElementChild;
    if (!first || cell === first || this.cards) return;
    const covered = first.getBoundingClientRect().right - cell.getBoundingClientRect().left;
    if (covered > 0) this.slick.getViewportNode().scrollLeft -= covered;
  }

  /** What the grid does not say by itself to those who listen. */
  mark() {
    this.host.setAttribute("aria-label", this.view.table.title);
    this.host.setAttribute("aria-colcount", narrow.matches ? 1 : this.shown.length);
    for (const element of this.host.querySelectorAll("[tabindex]:not(.slick-cell)")) element.removeAttribute("tabindex");
    for (const header of this.host.querySelectorAll(".slick-header-column")) header.tabIndex = 0;
  }

  /** One cell is what Tab reaches: the active one, else the first in sight. */
  reach() {
    for (const cell of this.host.querySelectorAll(".slick-cell[tabindex='0']")) cell.tabIndex = -1;
    const cell = this.slick.getActiveCellNode() ?? this.host.querySelector(`.slick-row .slick-cell`);
    if (!cell) return;
    cell.tabIndex = 0;
    cell.onfocus ??= () => {
      if (this.slick.getActiveCell()) return;
      this.slick.setActiveCell(Number(cell.closest(".slick-row").dataset.row), 0);
    };
  }

  /** What to do, else the last column, takes the room that is left. */
  fit() {
    const { slick, host } = this;
    if (!slick || !host.clientWidth) return;
    const columns = slick.getColumns();
    const wide = columns.find((column) => column.id === "action") ?? columns.at(-1);
    if (wide) {
      wide.full ??= wide.width;
      const others = columns.reduce((sum, column) => sum + column.width, -wide.width);
      const width = Math.max(narrow.matches ? 200 : wide.full, host.clientWidth - others - 14);
      if (width !== wide.width) {
        wide.width = width;
        const focused = host.contains(document.activeElement);
        slick.setColumns(columns); // draws all cells anew
        if (focused) slick.getActiveCellNode()?.focus({ preventScroll: true });
      }
    }
    this.hold();
    slick.resizeCanvas();
    if (this.pointed >= 0) slick.scrollRowIntoView(this.pointed, false);
    this.mark();
    this.arrow();
  }

  /** Show what the view now holds, from the top unless the reader has not left. */
  refresh({ stay = false } = {}) {
    const { slick, view } = this;
    if (!slick) return;
    if (!stay) slick.resetActiveCell();
    slick.invalidate();
    if (!stay) slick.scrollRowToTop(0);
    this.host.setAttribute("aria-rowcount", view.seen.length + 1);
    this.arrow();
  }

  /** The arrow in the header of the column that gives the order. */
  arrow() {
    const { key, descending } = this.view.order;
    if (narrow.matches) return;
    this.slick.setSortColumns(this.shown.some((column) => column.key === key) ? [{ columnId: key, sortAsc: !descending }] : []);
    for (const header of this.host.querySelectorAll(".slick-header-column")) {
      if (header.dataset.id === key) header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    }
  }

  /** Mark a row as the one that is open elsewhere on the page. */
  point(row) {
    const place = row < 0 ? -1 : this.view.seen.indexOf(row);
    const cells = Object.fromEntries(this.slick.getColumns().map((column) => [column.id, "is-open"]));
    this.slick.setCellCssStyles("open", place < 0 ? {} : { [place]: cells });
    this.pointed = place;
    if (place >= 0) this.slick.scrollRowIntoView(place, false);
  }
}
