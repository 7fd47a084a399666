"""Azure's answers about rules, compared with what the engine makes of the same NSGs.

The engine knows one question, TCP 25 outbound to public space. A recorded question about another flow is put to it by
rewriting the rules: what held the flow then holds TCP 25, what did not does not, and an inbound rule has its two ends
exchanged. The access and the deciding rule must be the ones that Azure named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from auditor.decode import rules as rules_of
from auditor.model.addresses import EMPTY, PUBLIC, V4, AddressSet, address, parse
from auditor.model.ids import key, name_of
from auditor.model.resources import Rule, Tenant
from auditor.network.egress import Network
from auditor.network.lines import ALLOW, DENY, UNKNOWN, Part, any_port, holds_port
from auditor.network.rules import nsg
from tests.gold.recording import Case, Json, Skip, public

MAIL = 25
_PREFIXES = ("UserRule_", "DefaultRule_")  # Network Watcher's way to say securityRules/ and defaultSecurityRules/
_FILLERS = ("DefaultInboundDenyAll", "DefaultOutboundDenyAll")  # in securityGroupView besides the NSG's own six

# What Azure's Internet holds and the tool does not call Internet: the platform's own address and an IANA block.
_PLATFORM = parse("168.63.129.16") | parse("192.0.0.0/24")
# What the tool calls Internet and Azure does not, Microsoft's and US DoD ranges, was never more than 1.4 % in a
# recording. None of the ranges below, where most mail goes, may be among it.
_MOST_HOLES = 0.02
_MAIL_HOSTS = AddressSet.union(
    map(parse, ("40.92.0.0/15", "40.107.0.0/16", "52.100.0.0/14", "104.47.0.0/17", "142.250.0.0/15"))
)


class Flow(Struct, frozen=True):
    """One flow as Network Watcher is asked about it; `client` is the port of the side that opens it, or `*`."""

    outbound: bool
    protocol: str
    local: str
    remote: str
    port: int
    client: str = "*"


def ip_flow(body: Json) -> Flow:
    """The flow of an ipFlowVerify question."""
    outbound = body["direction"].lower() == "outbound"
    ports = (body["remotePort"], body["localPort"]) if outbound else (body["localPort"], body["remotePort"])
    return _flow(outbound, body["protocol"], body["localIPAddress"], body["remoteIPAddress"], *ports)


def profile(asked: Json) -> Flow:
    """The flow of a networkConfigurationDiagnostic profile."""
    outbound = asked["direction"].lower() == "outbound"
    ends = (asked["source"], asked["destination"])
    local, remote = ends if outbound else ends[::-1]
    return _flow(outbound, asked["protocol"], local, remote, asked["destinationPort"], "*")


def _flow(outbound: bool, protocol: str, local: str, remote: str, port: str, client: str) -> Flow:
    if protocol.lower() not in ("tcp", "udp") or not port.isdigit():
        raise Skip(f"asked about no single flow: {protocol} {port}")
    if public(remote) is None:
        raise Skip(f"remote address {remote} is not public: out of scope")
    return Flow(outbound, protocol.lower(), local, remote, int(port), client)


def as_mail(rule: Rule, flow: Flow) -> Rule | None:
    """The rule that holds TCP 25 outbound where `rule` holds the flow; None where it is for other flows."""
    if rule.outbound is not flow.outbound:
        return None
    source_ports = rule.source_ports
    if flow.client != "*":
        if not any_port(source_ports) and not holds_port(source_ports, int(flow.client)):
            return None
        source_ports = ("*",)
    swapped = {"tcp": flow.protocol, flow.protocol: "tcp"}
    made = replace(
        rule,
        outbound=True,
        protocol=swapped.get(rule.protocol, rule.protocol),
        source_ports=source_ports,
        ports=tuple(_shifted(text, MAIL - flow.port) for text in rule.ports),
    )
    if flow.outbound:
        return made
    return replace(
        made,
        sources=rule.destinations,
        destinations=rule.sources,
        source_groups=rule.destination_groups,
        destination_groups=rule.source_groups,
    )


def _shifted(text: str, by: int) -> str:
    low, dash, high = text.partition("-")
    if not low.isdigit():
        return text
    return f"{max(0, int(low) + by)}{dash}{max(0, int(high) + by) if dash else ''}"


def decided(case: Case, flow: Flow) -> dict[str, Part]:
    """What each NSG on the flow's way says of it, by the NSG's id in lower case, in the order they are met."""
    ids = [i for i in (case.nic.nsg, case.subnet.nsg) if i]
    return {key(i): _decided(case, i, flow) for i in (ids if flow.outbound else reversed(ids))}


def _decided(case: Case, nsg_id: str, flow: Flow) -> Part:
    group = case.tenant.nsgs.get(key(nsg_id))
    if group is None:
        raise Skip(f"configuration incomplete: no NSG {nsg_id}")
    lines = nsg(filter(None, (as_mail(r, flow) for r in group.rules)), case.tags)
    local, remote = address(flow.local), parse(flow.remote)
    groups = frozenset(case.configuration.application_groups)
    ruling = lines.decide(local[0] if local else None, groups, case.view.vnet_tag)
    return next(p for p in ruling.parts if remote <= p.addresses)


def _access(parts: Iterable[Part]) -> str:
    accesses = {p.access for p in parts}
    return DENY if DENY in accesses else ALLOW if accesses <= {ALLOW} else UNKNOWN


def plain(name: str) -> str:
    """A rule's name without what the different answers put before it."""
    last = name_of(name)
    for prefix in _PREFIXES:
        last = last.removeprefix(prefix)
    return last


# ---- ipFlowVerify and networkConfigurationDiagnostic


def ip_flow_verify(case: Case) -> list[str]:
    """Differences to an ipFlowVerify answer: the access, and a rule that decided so."""
    answer = case.recording.answer.body
    if answer["access"].lower() not in (ALLOW, DENY):
        raise Skip(f"Azure answered {answer['access']}")
    parts = decided(case, ip_flow(case.recording.question["body"])).values()
    ours, theirs = _access(parts), answer["access"].lower()
    names = {name_of(p.id) for p in parts if p.access == ours}
    if ours == theirs and plain(answer["ruleName"]) in names:
        return []
    return [f"{ours} by {', '.join(sorted(names))}, Azure: {theirs} by {plain(answer['ruleName'])}"]


def configuration_diagnostic(case: Case) -> list[str]:
    """Differences to a networkConfigurationDiagnostic answer: the joint access and each NSG's deciding rule."""
    found = []
    for result in case.recording.answer.body["results"]:
        answer = result["networkSecurityGroupResult"]
        flow = profile(result["profile"])
        parts = decided(case, flow)
        joint = _access(parts.values())
        if joint != answer["securityRuleAccessResult"].lower():
            found.append(f"{joint}, Azure: {answer['securityRuleAccessResult']}")
        evaluated = {key(e["networkSecurityGroupId"]): e for e in answer["evaluatedNetworkSecurityGroups"]}
        if parts.keys() != evaluated.keys():
            found.append(f"NSGs {sorted(parts)}, Azure: {sorted(evaluated)}")
        for nsg_key in parts.keys() & evaluated.keys():
            found += _same_decision(case, flow, nsg_key, parts[nsg_key], evaluated[nsg_key])
    return found


def _same_decision(case: Case, flow: Flow, nsg_key: str, part: Part, evaluated: Json) -> Iterator[str]:
    matched = evaluated["matchedRule"]
    ours, theirs = (part.access, name_of(part.id)), (matched["action"].lower(), plain(matched["ruleName"]))
    if ours != theirs:
        yield f"{' by '.join(ours)}, Azure: {' by '.join(theirs)}"
    order = [r.name for r in case.tenant.nsgs[nsg_key].rules if r.outbound is flow.outbound]
    seen = [plain(r["name"]) for r in evaluated["rulesEvaluationResult"]]
    if order[: len(seen)] != seen:
        yield f"rules in the order {order}, Azure: {seen}"


# ---- securityGroupView and effectiveNetworkSecurityGroups


class Facts(Struct, frozen=True):
    """What makes a rule, apart from how an answer spells it."""

    name: str
    priority: int
    access: str
    outbound: bool | None
    protocol: str
    ports: frozenset[str]
    source_ports: frozenset[str]
    sources: frozenset[str]
    destinations: frozenset[str]


def facts(rules: Iterable[Rule]) -> frozenset[Facts]:
    """The rules as facts, without those that no NSG has."""
    return frozenset(
        Facts(
            plain(r.name),
            r.priority,
            r.access,
            r.outbound,
            r.protocol,
            _ports(r.ports),
            _ports(r.source_ports),
            _addresses(r.sources),
            _addresses(r.destinations),
        )
        for r in rules
        if r.name not in _FILLERS
    )


def _ports(texts: Iterable[str]) -> frozenset[str]:
    return frozenset("0-65535" if t == "*" else t if "-" in t else f"{t}-{t}" for t in texts)


def _addresses(texts: Iterable[str]) -> frozenset[str]:
    return frozenset("*" if t == "0.0.0.0/0" else t.lower() for t in texts)


def _same_rules(where: str, ours: frozenset[Facts], theirs: frozenset[Facts]) -> Iterator[str]:
    for who, more in (("only the engine", ours - theirs), ("only Azure", theirs - ours)):
        if more:
            listed = ", ".join(f"{f.name} ({f.priority} {f.access})" for f in sorted(more, key=lambda f: f.priority))
            yield f"{where}: {who} has {listed}"


def _rules(case: Case, nsg_id: str) -> tuple[Rule, ...]:
    group = case.tenant.nsgs.get(key(nsg_id))
    if nsg_id and group is None:
        raise Skip(f"configuration incomplete: no NSG {nsg_id}")
    return group.rules if group else ()


def security_group_view(case: Case) -> list[str]:
    """Differences to a securityGroupView answer: the NSGs' own rules, the default rules, the effective ones."""
    view = {key(n["id"]): n["securityRuleAssociations"] for n in case.recording.answer.body["networkInterfaces"]}
    associations = view.get(key(case.nic.id))
    if associations is None:
        return [f"the NIC asked about is {case.nic.id}, Azure: {sorted(view)}"]
    found: list[str] = []
    ours = facts(r for i in (case.nic.nsg, case.subnet.nsg) for r in _rules(case, i))
    default = facts(rules_of.default_rules(""))
    theirs = _read(associations.get("defaultSecurityRules", ()))
    found += _same_rules("default rules", default, theirs)
    for where, nsg_id in (("networkInterface", case.nic.nsg), ("subnet", case.subnet.nsg)):
        theirs = _read((associations.get(f"{where}Association") or {}).get("securityRules", ()))
        found += _same_rules(f"rules of the {where}", facts(_rules(case, nsg_id)) - default, theirs)
    effective = associations["effectiveSecurityRules"]
    theirs = facts(_effective([{"effectiveSecurityRules": effective}])[""])
    return [*found, *_same_rules("effective rules", ours, theirs), *_same_tags(case, effective)]


def _read(rules: Iterable[Json]) -> frozenset[Facts]:
    """Rules in the shape of an NSG's own."""
    return facts(rules_of.rule(msgspec.convert(r, rules_of.RuleWire)) for r in rules)


def _effective(groups: list[Json]) -> dict[str, list[Rule]]:
    """Rules in the shape of effective ones, by gate."""
    wire = msgspec.convert({"id": "/x/effective", "value": groups}, rules_of.EffectiveNsgAnswer)
    made = Tenant()
    rules_of.effective_nsgs(wire, made)
    rules: dict[str, list[Rule]] = {}
    for group in made.effective_nsgs["/x"]:
        rules.setdefault(group.gate, []).extend(group.nsg.rules)
    return rules


def effective_groups(case: Case) -> list[str]:
    """Differences to an effectiveNetworkSecurityGroups answer.

    The rules of each gate, what Azure makes of the service tags, and what the engine says of the NIC with the answer
    in the snapshot, where it must say what it says without.
    """
    answer = case.recording.answer.body["value"]
    theirs = _effective(answer)
    ours = {"nic-nsg": _rules(case, case.nic.nsg), "subnet-nsg": _rules(case, case.subnet.nsg)}
    found: list[str] = []
    for gate in dict.fromkeys((*ours, *theirs)):
        found += _same_rules(gate, facts(ours.get(gate, ())), facts(theirs.get(gate, ())))
    found += _same_tags(case, [r for group in answer for r in group.get("effectiveSecurityRules") or ()])
    without, answered = _judged(case), _judged(case.with_answer("effectiveNetworkSecurityGroups"))
    if without != answered:
        found.append(f"with the answer in the snapshot {' by '.join(answered)}, without {' by '.join(without)}")
    return found


def _judged(case: Case) -> tuple[str, str]:
    """(code, name of the deciding rule) of the NIC's rules for TCP 25."""
    egress, _ = Network(case.tenant).judge(case.vm, case.nic, case.configuration)
    return egress.rules, name_of(egress.rules_decided_by)


# ---- service tags


def _expansions(rules: Iterable[Json]) -> set[tuple[str, AddressSet]]:
    """Each service tag that the effective rules expand, with every set of IPv4 addresses it is given."""
    found = set()
    for rule in rules:
        for side in ("Source", "Destination"):
            text = rule.get(f"{side.lower()}AddressPrefix") or ""
            expanded = rule.get(f"expanded{side}AddressPrefix")
            if expanded and text[:1].isalpha():
                found.add((text.lower(), AddressSet.union(s for s in map(parse, expanded) if s.bits == V4)))
    return found


def _same_tags(case: Case, rules: Iterable[Json]) -> Iterator[str]:
    """Differences between Azure's expansion of the tags and the engine's."""
    for tag, theirs in _expansions(rules):
        if tag == "internet":
            yield from _same_internet(theirs)
        elif tag == "virtualnetwork":
            yield from _same_vnet(case, theirs)
        else:
            ours = case.tags.resolve(tag) or EMPTY[V4]
            if ours & PUBLIC[V4] != theirs & PUBLIC[V4] - _PLATFORM:
                yield f"{tag} holds {ours & PUBLIC[V4]}, Azure: {theirs & PUBLIC[V4]}"


def _same_internet(theirs: AddressSet) -> Iterator[str]:
    more, holes = theirs - PUBLIC[V4] - _PLATFORM, PUBLIC[V4] - theirs
    if more:
        yield f"Internet holds in Azure also {more}"
    if holes.size > _MOST_HOLES * PUBLIC[V4].size or _MAIL_HOSTS & holes:
        yield f"Internet does not hold in Azure {holes}"


def _same_vnet(case: Case, theirs: AddressSet) -> Iterator[str]:
    tag = case.view.vnet_tag
    beyond = theirs & PUBLIC[V4]
    if not (tag.definite <= beyond <= tag.definite | tag.possible):
        yield f"VirtualNetwork holds of the public space {tag}, Azure: {beyond}"
    vnet = case.tenant.vnets[key(case.subnet.vnet)]
    own = AddressSet.union(s for s in map(parse, vnet.prefixes) if s.bits == V4)
    if not own <= theirs:
        yield f"VirtualNetwork holds the network's own {own}, Azure: {theirs}"
