"use strict";
// What is to be seen, in the part of the address after "#", so that a link shows another reader the same.

const RESERVED = ["tab", "vm", "q", "sort", "show"];

/** The state that an address asks for. A filter without a tab is about VMs, a single word is a tab, nothing the overview. */
function readAddress() {
  const said = location.hash.slice(1);
  const given = new URLSearchParams(/^[\w-]+$/.test(said) ? `tab=${said}` : said);
  const filters = new Map();
  for (const [key, value] of given) {
    if (!RESERVED.includes(key)) filters.set(key, [...(filters.get(key) ?? []), value]);
  }
  const asked = filters.size || ["vm", "q", "sort", "show"].some((key) => given.has(key));
  return {
    tab: given.get("tab") || (asked ? "vms" : "overview"),
    vm: given.get("vm") ?? "",
    q: given.get("q") ?? "",
    sort: given.get("sort") ?? "",
    show: given.get("show") ?? "",
    filters,
  };
}

function writeAddress(state) {
  const said = new URLSearchParams();
  if (state.tab !== "overview" || state.filters.size) said.set("tab", state.tab);
  for (const [key, values] of state.filters) for (const value of values) said.append(key, value);
  for (const key of ["q", "sort", "show", "vm"]) if (state[key]) said.set(key, state[key]);
  return `#${said.toString().replaceAll("%2F", "/")}`;
}

/** The state of a tab as it is first seen. */
function fresh(tab, filters = new Map()) {
  return { tab, vm: "", q: "", sort: "", show: "", filters };
}
