"use strict";
// The tables as they were packed: every column a sorted dictionary and a number for each row.

/** A column. Its entries are sorted as a reader sorts them, so that comparing numbers is comparing cells. */
class Column {
  constructor(spec, take) {
    Object.assign(this, { key: spec.key, title: spec.title, kind: spec.kind, width: spec.width, front: spec.front });
    this.index = take(spec.index);
    this.values = spec.values;
    this.heads = spec.heads;
    this.head = spec.head && take(spec.head, spec.values.length);
  }

  get size() {
    return this.values.length;
  }

  /** Whether no row has anything here. */
  get empty() {
    return this.size === 1 && this.entry(0) === "";
  }

  /** What an entry of the dictionary says. */
  entry(number) {
    return this.heads ? this.heads[this.head[number]] + this.values[number] : this.values[number];
  }

  /** What the cell of a row says. */
  at(row) {
    return this.entry(this.index[row]);
  }

  /** The entry with this text, in whatever case Azure wrote it; -1 where there is none. */
  find(wanted) {
    const lower = wanted.toLowerCase();
    for (let number = 0; number < this.size; number++) {
      if (String(this.entry(number)).toLowerCase() === lower) return number;
    }
    return -1;
  }

  /** The entries in lower case, each with what it is called in words. */
  get lower() {
    this.lowered ??= this.values.map((value) => {
      const words = run.codes[this.key]?.[value]?.[0];
      return String(words ? `${value} ${words}` : value).toLowerCase();
    });
    return this.lowered;
  }

  /** For each entry whether it holds a term in lower case. Where the term grows, only what held the shorter one may. */
  holding(term) {
    const before = this.held && term.startsWith(this.held.term) ? this.held.entries : null;
    const entries = new Uint8Array(this.size);
    const heads = this.heads?.map((head) => head.toLowerCase());
    const inHead = heads?.map((head) => head.includes(term));
    const across = heads && term.includes("/");
    this.lower.forEach((value, number) => {
      if (before && !before[number]) return;
      const head = heads && this.head[number];
      entries[number] = inHead?.[head] || value.includes(term) || (across && (heads[head] + value).includes(term)) ? 1 : 0;
    });
    this.held = { term, entries };
    return entries;
  }
}

class Table {
  constructor(spec, take) {
    this.file = spec.file;
    this.title = spec.title;
    this.rows = spec.rows;
    this.columns = new Map(spec.columns.map((column) => [column.key, new Column(column, take)]));
    this.sorted = [...this.columns.values()].sort((a, b) => (a.front || 99) - (b.front || 99));
  }

  column(key) {
    return this.columns.get(key);
  }

  /** The columns that are seen at first: those to be read first, as far as any row has something there. */
  get front() {
    return this.sorted.filter((column) => column.front && !column.empty);
  }

  /** The cell of a row, "" where the table has no such column. */
  cell(key, row) {
    return this.columns.get(key)?.at(row) ?? "";
  }
}

/** Which rows of a table are to be seen and in which order. */
class View {
  constructor(table, searched) {
    this.table = table;
    this.searched = searched.map((key) => table.column(key)).filter(Boolean);
    this.filters = new Map();
    this.query = "";
    this.order = { key: "", descending: false };
    this.natural = Uint32Array.from({ length: table.rows }, (_, row) => row);
    this.apply();
  }

  /** Only rows whose cell is one of the texts; none of them lifts the filter. Texts that occur nowhere match nothing. */
  filter(key, texts) {
    if (texts.length && this.table.column(key)) this.filters.set(key, texts);
    else this.filters.delete(key);
  }

  clear() {
    this.filters.clear();
    this.query = "";
  }

  /** Do beforehand what the first search needs. */
  prepare() {
    for (const column of this.searched) void column.lower;
  }

  apply() {
    const { rows } = this.table;
    const misses = new Uint8Array(rows); // how many conditions a row fails
    this.passes = new Map();
    for (const [key, texts] of this.filters) {
      const column = this.table.column(key);
      const wanted = new Uint8Array(column.size);
      for (const value of texts) {
        const entry = column.find(value);
        if (entry >= 0) wanted[entry] = 1;
      }
      this.passes.set(key, wanted);
      const { index } = column;
      for (let row = 0; row < rows; row++) misses[row] += 1 - wanted[index[row]];
    }
    for (const term of this.query.toLowerCase().split(/\s+/).filter(Boolean).slice(0, 20)) this.search(term, misses);
    this.misses = misses;
    const order = this.sorted();
    const seen = new Uint32Array(rows);
    let count = 0;
    for (let place = 0; place < rows; place++) if (!misses[order[place]]) seen[count++] = order[place];
    this.seen = seen.subarray(0, count);
  }

  /** A term has to stand in some cell of the row. Two misses, for no count of a filter may look past them. */
  search(term, misses) {
    const found = new Uint8Array(this.table.rows);
    for (const column of this.searched) {
      const held = column.holding(term);
      if (!held.includes(1)) continue;
      const { index } = column;
      for (let row = 0; row < found.length; row++) found[row] |= held[index[row]];
    }
    for (let row = 0; row < found.length; row++) if (!found[row]) misses[row] += 2;
  }

  /** All rows in order: a counting sort, stable, in the time of one look at each row; empty cells come last either way. */
  sorted() {
    const column = this.table.column(this.order.key);
    if (!column) return this.natural;
    const { key, descending } = this.order;
    if (this.known?.key === key && this.known.descending === descending) return this.known.rows;
    const { index, size } = column;
    const places = new Uint32Array(size + 1);
    const last = column.entry(size - 1) === "" ? size - 1 : size;
    const rank = (entry) => (descending && entry < last ? last - 1 - entry : entry);
    for (let row = 0; row < index.length; row++) places[rank(index[row]) + 1]++;
    for (let entry = 0; entry < size; entry++) places[entry + 1] += places[entry];
    const rows = new Uint32Array(index.length);
    for (let row = 0; row < index.length; row++) rows[places[rank(index[row])]++] = row;
    this.known = { key, descending, rows };
    return rows;
  }

  /** How many rows each entry of a column would show if its own filter were lifted and all others kept. */
  counts(key) {
    const { index, size } = this.table.column(key);
    const own = this.passes.get(key);
    const counts = new Uint32Array(size);
    for (let row = 0; row < index.length; row++) {
      const misses = this.misses[row];
      if (misses === 0 || (misses === 1 && own && !own[index[row]])) counts[index[row]]++;
    }
    return counts;
  }
}

/** The packed block as tables. */
async function unpack(encoded) {
  const binary = atob(encoded);
  const bytes = new Uint8Array(binary.length);
  for (let place = 0; place < bytes.length; place++) bytes[place] = binary.charCodeAt(place);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const reader = (count) => ([at, width], many = count) => {
    const start = 4 + length + at;
    if (width === 1) return new Uint8Array(buffer, start, many);
    return width === 2 ? new Uint16Array(buffer, start, many) : new Uint32Array(buffer, start, many);
  };
  const make = (spec) => new Table(spec, reader(spec.rows));
  const tables = new Map(head.tables.map((spec) => [spec.file, make(spec)]));
  return { tables, steps: make(head.steps), starts: reader(tables.get("vms").rows + 1)(head.starts) };
}
