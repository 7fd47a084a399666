"use strict";
// One VM: what it can do, what to do about it, and the packet's way drawn gate by gate.

const GATES = ["admin-rule", "nic-nsg", "subnet-nsg", "route", "next-hop", "firewall", "egress", "platform"];
const OPTIONAL = ["next-hop"]; // drawn only where something stands there
const OUTCOMES = { platform: "platform", egress: "path", route: "path", "next-hop": "path", firewall: "firewall_rules" };
const MARKS = {
  allow: "pass", allowed: "pass", deny: "stop", none: "stop", partial: "part", unknown: "doubt",
  conditional: "part", verify: "part", "not-guaranteed": "part", "restart-needed": "part", "unsupported-path": "part",
};

/** How a gate left the packet: pass, stop, part or doubt. */
function markOf(outcome) {
  return MARKS[outcome] ?? (outcome.startsWith("blocked") ? "stop" : "pass");
}

function outcomeWords(gate, outcome) {
  for (const column of [OUTCOMES[gate], "rules"]) {
    if (run.codes[column]?.[outcome]) return titleOf(column, outcome);
  }
  return run.texts[`page_outcome_${outcome}`] ?? outcome;
}

function gateWords(gate) {
  return run.codes.decided_by?.[gate]?.[0] ?? run.texts[`page_gate_${gate}`] ?? gate;
}

/** What keeps from saying that nothing stands at a gate: a column that is unknown, or a reason of something unread. */
const UNKNOWN = { firewall: "via_azure_firewall", egress: "path", platform: "platform" };
const UNREAD = { "admin-rule": "admin-rules-not-asked", "subnet-nsg": "subnet-not-seen" };

/** Why nobody knows what stands at a gate, "" where nothing does. */
function doubtAt(gate, cell) {
  if (cell("reasons").split(";").includes(UNREAD[gate])) return titleOf("reasons", UNREAD[gate]);
  return UNKNOWN[gate] && cell(UNKNOWN[gate]) === "unknown" ? titleOf("smtp", "unknown") : "";
}

/** A list of a name and what it says, lines without anything to say left out. */
function facts(lines) {
  return h("dl", { class: "facts" },
    lines.filter(([, value]) => value).map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
}

class VmPanel {
  /** `close()` and `step(by)` are the reader's wishes to leave or to go to the next row. */
  constructor(data, { close, step }) {
    this.vms = data.tables.get("vms");
    this.data = data;
    this.heading = h("h2", { tabindex: -1 });
    this.body = h("div", { class: "panel-body" });
    this.element = h("aside", { class: "panel", "aria-label": text("page_vm"), hidden: true },
      h("header", null,
        this.heading,
        h("div", { class: "panel-tools" },
          iconButton("up", text("page_previous"), () => step(-1)),
          iconButton("down", text("page_next"), () => step(1)),
          iconButton("link", text("page_copy_link"), (event) => copy(location.href, event.currentTarget)),
          iconButton("close", text("page_close"), close))),
      this.body);
    this.row = -1;
  }

  /** The row of a VM by id or, where only one has it, by name; -1 where there is none. */
  find(wanted) {
    for (const key of ["vm_id", "vm"]) {
      const column = this.vms.column(key);
      const entry = column.find(wanted);
      const first = entry < 0 ? -1 : column.index.indexOf(entry);
      if (first >= 0 && first === column.index.lastIndexOf(entry)) return first;
    }
    return -1;
  }

  show(row) {
    this.row = row;
    this.element.hidden = false;
    const cell = (key) => this.vms.cell(key, row);
    const portal = portalOf(cell("vm_id"));
    this.heading.replaceChildren(bdi(cell("vm")));
    this.body.replaceChildren(...[
      h("p", { class: "where" }, bdi(cell("subscription") || cell("subscription_id")), " › ", bdi(cell("resource_group")),
        portal && [" · ", outward(portal, text("page_portal"), icon("open"))]),
      h("p", { class: "badges" }, badge("risk", cell("risk")), badge("smtp", cell("smtp")),
        h("span", { class: "faint" }, `${run.columns.confidence}: ${titleOf("confidence", cell("confidence"))}`)),
      h("p", { class: "verdict" }, sentenceOf("smtp", cell("smtp")),
        cell("decided_by") && ` ${text("page_decided_by", { gate: gateWords(cell("decided_by")) })}`),
      cell("allowed_to") && h("p", null, `${run.columns.allowed_to}: `, h("span", { class: "mono" }, cell("allowed_to"))),
      cell("suppressed") && h("p", { class: "note" }, `${run.columns.suppressed}: `, bdi(cell("suppressed"))),
      this.todo(cell),
      h("h3", null, text("page_way")),
      this.way(row, cell),
      h("h3", null, text("page_why")),
      h("ul", { class: "reasons" }, cell("reasons").split(";").filter(Boolean).map((code) => this.reason(code))),
      cell("gaps") && [h("h3", null, run.columns.gaps),
        h("ul", { class: "reasons mono" }, cell("gaps").split("; ").map((gap) => h("li", null, bdi(gap))))],
      h("h3", null, text("page_policy")),
      this.policy(cell),
      this.further(cell),
      h("details", null, h("summary", null, text("page_all_columns")),
        facts(this.vms.sorted.map((column) => [column.title, column.at(row) !== "" && bdi(String(column.at(row)))]))),
    ].flat().filter(Boolean));
    this.body.scrollTop = 0;
  }

  todo(cell) {
    if (!cell("action")) return null;
    const command = cell("command");
    return h("section", { class: "todo" },
      h("h3", null, run.columns.action),
      h("p", null, bdi(cell("action"))),
      command && commandBox(command),
      cell("doc_url").startsWith("https://") && h("p", null, outward(cell("doc_url"), run.columns.doc_url, icon("open"))));
  }

  reason(code) {
    const [title, sentence, source] = run.codes.reasons?.[code] ?? [code, "", ""];
    return h("li", null, h("strong", null, title), sentence && ` ${sentence}`, source && [" ", outward(source, text("legend_source"), icon("open"))]);
  }

  policy(cell) {
    const said = (key) => cell(key) && titleOf(key, cell(key));
    const beside = (value, more) => value && (more ? [value, " ", h("span", { class: "faint" }, bdi(more))] : value);
    return facts([
      [run.columns.offer_class, beside(said("offer_class"), cell("quota_id"))],
      [run.columns.registered, beside(said("registered"), cell("registered_evidence"))],
      [run.columns.exemption, said("exemption")],
      [run.columns.intent, said("intent")],
      [run.columns.platform_2018_11, said("platform_2018_11")],
      [run.columns.platform_2025_07, said("platform_2025_07")],
      [run.columns.platform_observed, said("platform_observed")],
      [run.columns.ipv6, said("ipv6")],
    ]);
  }

  /** The NICs beside the primary one. */
  further(cell) {
    const nics = this.data.tables.get("nics");
    const column = nics?.column("vm_id");
    const entry = column ? column.find(cell("vm_id")) : -1;
    if (entry < 0) return null;
    const others = [];
    for (let row = 0; row < nics.rows; row++) {
      if (column.index[row] === entry && nics.cell("primary", row) === "no") others.push(row);
    }
    if (!others.length) return null;
    return [h("h3", null, text("page_nics")), h("ul", { class: "reasons" }, others.map((row) => h("li", null,
      h("strong", null, bdi(nics.cell("nic", row))), ` ${nics.cell("private_ip", row)} `, badge("smtp", nics.cell("smtp", row)),
      " ", titleOf("path", nics.cell("path", row)),
      h("div", { class: "faint mono" }, bdi(nics.cell("trail", row))))))];
  }

  // ---- the drawing

  /** The gates in the packet's order. Only gates that were judged say something; of the others none is claimed. */
  way(row, cell) {
    const { steps, starts } = this.data;
    const taken = [];
    for (let step = starts[row]; step < starts[row + 1]; step++) {
      taken.push(Object.fromEntries(["gate", "outcome", "id", "detail"].map((key) => [key, steps.cell(key, step)])));
    }
    const nic = this.node({
      gate: "nic", mark: "plain", title: text("page_gate_nic"), id: cell("nic_id"),
      detail: [nameOf(cell("nic_id")), cell("private_ip"), nameOf(cell("subnet_id"))].filter(Boolean).join("  "),
    });
    if (!taken.length) return [h("ol", { class: "way" }, nic), h("p", { class: "note" }, text("page_no_way"))];
    const deciding = this.deciding(taken, cell("decided_by"));
    const unseen = cell("decided_by") === "visibility" && !deciding.length; // what decides is none of the gates
    const known = new Set(taken.map((step) => step.gate));
    const nodes = [nic];
    const ends = cell("smtp") === "blocked"; // where only some destinations are denied, others go on
    let past = false;
    for (const gate of GATES) {
      if (!known.has(gate)) {
        if (!OPTIONAL.includes(gate)) nodes.push(this.node({ gate, mark: "absent", title: gateWords(gate), doubt: doubtAt(gate, cell), past }));
        continue;
      }
      for (const step of taken.filter((one) => one.gate === gate)) {
        const decides = deciding.includes(step);
        nodes.push(this.step(step, decides, past));
      }
      past ||= ends && taken.some((one) => one.gate === gate && deciding.includes(one) && markOf(one.outcome) === "stop");
    }
    nodes.push(this.node({
      gate: "internet", mark: { open: "pass", restricted: "part", conditional: "part", blocked: "stop" }[cell("smtp")] ?? "doubt",
      title: text("page_gate_internet"), outcome: titleOf("smtp", cell("smtp")), past, end: true,
      note: unseen && cell("gaps"), detail: cell("egress_ip"), decides: unseen,
    }));
    return h("ol", { class: "way" }, nodes);
  }

  /** The steps that decide: of the deciding gate those that do not simply pass, or all of it. */
  deciding(taken, decided) {
    const gates = { visibility: GATES, route: ["route", "next-hop"] }[decided] ?? [decided];
    const candidates = taken.filter((step) => gates.includes(step.gate));
    const wanted = decided === "visibility" ? ["doubt"] : ["stop", "part", "doubt"];
    const marked = candidates.filter((step) => wanted.includes(markOf(step.outcome)));
    return marked.length || decided === "visibility" ? marked : candidates;
  }

  step(step, decides, past) {
    const platform = step.gate === "platform";
    return this.node({
      gate: step.gate, mark: markOf(step.outcome),
      title: gateWords(step.gate),
      outcome: outcomeWords(step.gate, step.outcome),
      note: platform ? sentenceOf("platform", step.outcome) : "",
      detail: platform ? this.sources(step) : step.detail,
      id: step.id, decides, past,
    });
  }

  /** The rule of the policy and the pages it rests on. */
  sources({ id, detail }) {
    const pages = detail.split(" ").filter((name) => run.sources[name]);
    return [id, pages.flatMap((name) => {
      const [title, address, says] = run.sources[name];
      return [" · ", address ? h("a", { class: "out", href: address, target: "_blank", rel: "noopener noreferrer", title: `${title}\n${says}` }, name) : name];
    })].flat();
  }

  node({ gate = "", mark, title, outcome, note, detail, id = "", doubt, decides, past, end }) {
    const portal = portalOf(id);
    return h("li", { class: `node ${mark}${decides ? " decides" : ""}${past ? " past" : ""}${end ? " end" : ""}${doubt ? " doubtful" : ""}`, dataset: { gate } },
      h("span", { class: "pin" }, mark === "absent" ? null : icon(mark)),
      h("div", null,
        h("div", { class: "node-head" }, h("strong", null, title),
          outcome && h("span", { class: "outcome" }, outcome),
          mark === "absent" && h("span", { class: "faint" }, doubt || text("page_nothing_here")),
          decides && h("span", { class: "decides-tag" }, text("page_decides")),
          id.startsWith("/") && h("span", { class: "node-tools" },
            portal && h("a", { class: "icon-button", href: portal, target: "_blank", rel: "noopener noreferrer", title: text("page_portal"), "aria-label": `${text("page_portal")}: ${title}` }, icon("open")),
            iconButton("copy", `${text("page_copy_id")}: ${title}`, (event) => copy(id, event.currentTarget)))),
        note && h("div", { class: "faint" }, note),
        detail && h("div", { class: "mono detail" }, h("bdi", { title: id || null }, ...[detail].flat())),
        decides && id.startsWith("/") && h("div", { class: "mono detail" }, bdi(id))));
  }
}

/** A command or portal path to take along. */
function commandBox(command, brief = false) {
  const words = command.split(" ").flatMap((word, place) => [place ? " " : "", h("span", null, word)]);
  return h("div", { class: `command${brief ? " one-line" : ""}` }, h("code", { tabindex: 0, role: "group", "aria-label": run.columns.command }, words),
    iconButton("copy", text("page_copy"), (event) => copy(command, event.currentTarget)));
}
