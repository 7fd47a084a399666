"use strict";
// Elements, texts and codes in words. Whatever comes from a tenant reaches the page as text, never as markup.

const run = JSON.parse(document.getElementById("run").textContent);
const numbers = new Intl.NumberFormat(run.lang);
const narrow = matchMedia("screen and (max-width: 760px)");
const paper = matchMedia("print");

/** An element; properties that start with "on" listen, `class` and `dataset` do as they say, others are attributes. */
function h(name, properties, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "dataset") Object.assign(element.dataset, value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** One of the report's own texts, numbers written as the language writes them; "{count:VM|VMs}" is the word for so many. */
function text(place, values) {
  const template = run.texts[place] ?? place;
  if (!values) return template;
  return template.replace(/\{(\w+)(?::([^|}]*)\|([^}]*))?\}/g, (_, name, one, more) => {
    const value = values[name];
    if (more !== undefined) return value === 1 ? one : more;
    return typeof value === "number" ? numbers.format(value) : value;
  });
}

/** A code in a few words; the code itself where there are none. */
function titleOf(column, code) {
  return run.codes[column]?.[code]?.[0] ?? code;
}

function sentenceOf(column, code) {
  return run.codes[column]?.[code]?.[1] ?? "";
}

/** Text that brings its own direction of writing and cannot turn its neighbours'. */
function bdi(value) {
  return h("bdi", null, value);
}

const SHAPES = {
  pass: "M4.5 8.4l2.4 2.4 4.6-5",
  stop: "M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6",
  part: "M4.5 8h7",
  doubt: "M6.1 6.2a2 2 0 1 1 2.7 1.9c-.6.3-.8.6-.8 1.3M8 11.6v.1",
  plain: "M4.5 5.5h7v4h-7zM8 9.5v2.5",
  open: "M6.5 3.5H3.5v9h9v-3M9 3.5h3.5V7M12.2 3.8L7.5 8.5",
  close: "M4 4l8 8M12 4l-8 8",
  up: "M4 10l4-4 4 4",
  down: "M4 6l4 4 4-4",
  copy: "M5.5 5.5v-2h7v7h-2M3.5 5.5h7v7h-7z",
  link: "M6.8 9.2a2.5 2.5 0 0 0 3.5 0l2-2a2.5 2.5 0 0 0-3.5-3.5l-.8.8M9.2 6.8a2.5 2.5 0 0 0-3.5 0l-2 2a2.5 2.5 0 0 0 3.5 3.5l.8-.8",
  print: "M4.5 6.5v-4h7v4M4.5 11.5h-2v-5h11v5h-2M4.5 9.5h7v4h-7z",
  theme: "M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11",
  search: "M7 3a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM10 10l3.5 3.5",
};

function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const image = document.createElementNS(space, "svg");
  image.setAttribute("viewBox", "0 0 16 16");
  image.setAttribute("class", "icon");
  image.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(space, "path");
  shape.setAttribute("d", SHAPES[name]);
  image.append(shape);
  return image;
}

function iconButton(name, label, act) {
  return h("button", { type: "button", class: "icon-button", title: label, "aria-label": label, onclick: act, dataset: { does: name } }, icon(name));
}

/** A link out of the page, which only https may be. */
function outward(address, ...children) {
  return h("a", { class: "out", href: address, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

/** Where the portal shows a resource; a rule, route or subnet is shown by what holds it. "" where there is no portal. */
function portalOf(id) {
  const parts = id.split("/");
  if (!run.portal || parts[1]?.toLowerCase() !== "subscriptions") return "";
  return run.portal + parts.slice(0, 9).map(encodeURIComponent).join("/");
}

/** The last name in an id. */
function nameOf(id) {
  return id.slice(id.lastIndexOf("/") + 1);
}

const TONES = {
  risk: { high: "high", medium: "medium", low: "low", none: "none" },
  smtp: { open: "open", restricted: "open", conditional: "medium", blocked: "none", unknown: "doubt" },
  status: { failed: "high", refused: "high", partly: "medium", "not-available": "none", read: "none" },
  suppression: { expired: "high", "in-force": "none", idle: "medium" },
};

/** A code as a badge in its colour. */
function badge(column, code) {
  const tone = TONES[column]?.[code] ?? "none";
  return h("span", { class: `badge ${column === "risk" ? "solid" : "dot"} ${tone}`, title: sentenceOf(column, code) },
    titleOf(column, code));
}

/** Say something to those who listen instead of looking. */
function announce(sentence) {
  document.getElementById("live").textContent = sentence;
}

/** Put a text on the clipboard, also where a page from a file share may not do so directly. */
async function copy(value, button) {
  try {
    await navigator.clipboard.writeText(value);
  } catch {
    const field = h("textarea", { class: "unseen" });
    field.value = value;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    button.focus();
  }
  button.classList.add("done");
  button.addEventListener("pointerleave", () => button.classList.remove("done"), { once: true });
  announce(text("page_copied"));
}

/** The browser keeps the choice of a theme where it lets pages keep anything. */
const kept = {
  get(key) {
    try {
      return localStorage.getItem(`auditor.${key}`);
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(`auditor.${key}`, value);
    } catch {
      // A page that may keep nothing still works.
    }
  },
};
