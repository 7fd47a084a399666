"""One joint evaluation: rules, routes, firewalls and the outbound method of one kind of NIC, gate by gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from auditor.model.addresses import EMPTY, V4, AddressSet
from auditor.model.finding import Step
from auditor.model.ids import key, name_of, subscription_of
from auditor.model.resources import IpConfiguration, Nic, Rule, Subnet, Tenant
from auditor.network.effective import NSG_GATES, answered
from auditor.network.firewall import FirewallRules
from auditor.network.gates import BLOCKED, OPEN, RESTRICTED, UNKNOWN, Gate, Slice, headline, settle, via
from auditor.network.hop import APPLIANCE, FIREWALL
from auditor.network.lines import ALLOW, ALWAYS, DENY, NAMED, PASS, LineList, Ruling, VnetTag, reason_of
from auditor.network.lines import UNKNOWN as UNDECIDED
from auditor.network.outbound import Outbound
from auditor.network.routes import RoutePart, RouteView
from auditor.network.rules import admin, nsg
from auditor.network.tags import Tags, is_tag
from auditor.network.ways import DIRECT, Way

_MOST_SHOWN = 24  # prefixes shown of a set before "…"
_NO_GROUPS: frozenset[str] = frozenset()
_FIRST_DEFAULT = 65000  # from here on priorities are those of the default rules of an NSG
# An appliance whose own subnet routes to itself sends its own packets round in a circle.
_LOOP = Way("none", "none", blocked="route", reasons=("routing-loop",))


class Egress(Struct, frozen=True):
    """What the network lets a NIC do with TCP 25, shared by all NICs that are alike.

    `outcome` is open, restricted, blocked or unknown before the platform is asked; `slices` what it is asked for.
    """

    path: str
    path_detail: str
    via_azure_firewall: str
    firewall_id: str
    rules: str
    rules_decided_by: str
    firewall_rules: str
    firewall_rule: str
    outcome: str
    decided_by: str
    decided_id: str
    internet: AddressSet
    allowed: AddressSet
    unknown: AddressSet
    slices: tuple[Slice, ...]
    paths: tuple[Slice, ...]  # every way the routes take, also where a gate denies
    names: tuple[str, ...]
    allowed_names: tuple[str, ...]  # destinations as shown
    egress_id: str
    egress_ip: str
    reasons: tuple[str, ...]
    gaps: tuple[str, ...]
    steps: tuple[Step, ...]
    inferred: bool
    direct: bool  # some route says Internet: the outbound method counts
    admin_rules_asked: bool  # Azure told which security admin rules hold
    always_allowed_by: str  # the id of the security admin rule that keeps NSGs out of it, for the most destinations


class Place(Struct):
    """What all NICs of a subnet share; of a subnet that was not read, what its id says."""

    subnet: Subnet | None
    vnet: str
    view: RouteView
    ways: tuple[tuple[RoutePart, Way], ...]
    lists: tuple[LineList, ...]  # every list whose ruling may hang on the source address
    admin: LineList | None
    nsg: LineList | None
    nsg_id: str
    egresses: dict[object, Egress]
    hops: frozenset[str] = frozenset()  # addresses of appliances that routes point at
    reasons: tuple[str, ...] = ()
    asks_source: bool = True  # some list's ruling hangs on the source address


class Shared(Struct, frozen=True):
    """What every evaluation of a tenant looks things up in.

    `may_have_admin_rules` says of a subscription (a GUID) whether a network manager may have rules for its networks.
    """

    tenant: Tenant
    tags: Tags
    firewall_rules: FirewallRules
    may_have_admin_rules: Callable[[str], bool]


class Joint:
    """One joint evaluation."""

    def __init__(
        self,
        shared: Shared,
        place: Place,
        nic: Nic,
        own: LineList | None,
        source: int | None,
        groups: frozenset[str],
        outbound: Outbound,
        configuration: IpConfiguration,
    ) -> None:
        self.shared = shared
        self.tenant = shared.tenant
        self.place = place
        self.nic = nic
        self.own = own
        self.source = source
        self.groups = groups
        self.outbound = outbound
        self.bits = configuration.version
        self.ways = tuple((part, _past(configuration.private_ip, part, way)) for part, way in place.ways)
        self.everything = place.view.internet
        self.nothing = EMPTY[self.bits]
        self.reasons: list[str] = list(place.reasons)
        self.gaps: list[str] = list(place.view.gaps)
        self.tags: list[str] = list(place.view.tags)  # service tags that what was met is written with
        self.steps: list[Step] = []
        self.inferred = False
        self.always_allowed_by = ""
        self.hosts: dict[str, tuple[str, ...]] = {}  # what each firewall lets through by name

    def egress(self) -> Egress:
        if self.place.subnet is None:
            self.note("subnet-not-seen", gap=f"subnets of {self.nic.id}")
        rules, rules_code, rules_by = self._rules()
        gates = [*rules, *self._routes(self._left(rules))]
        paths, firewall_gate, firewall_code, firewall_rule = self._firewalls(self._left(gates))
        gates.append(firewall_gate)
        outcome, decided_by, decided_id, allowed, unknown = settle(gates, self.everything)
        names = firewall_gate.names
        if outcome == UNKNOWN and names:
            self.gaps.extend(f"fqdn {name}" for name in names)
        path, detail = headline(paths)
        direct = any(w.path == DIRECT for _, w in self.ways)
        # Where the NIC has a way out of its own, that gives the address of what leaves directly.
        own = direct and self.outbound.path != "none"
        leg = None if own else next((w for _, w in self.ways if w.egress_id), None)
        asked = self._admin_rules_asked()
        self._notes_of_sight(path, asked)
        return Egress(
            path=path,
            path_detail=detail or self._route_label(),
            via_azure_firewall=via(paths),
            firewall_id=next((s.firewall_id for s in paths if s.firewall_id), ""),
            rules=rules_code,
            rules_decided_by=rules_by,
            firewall_rules=firewall_code,
            firewall_rule=firewall_rule,
            outcome=outcome,
            decided_by=decided_by,
            decided_id=decided_id,
            internet=self.everything,
            allowed=allowed,
            unknown=unknown,
            slices=tuple(self._narrowed(paths, allowed | unknown, unknown, by_name=outcome == RESTRICTED)),
            paths=paths,
            names=names,
            allowed_names=self._shown(allowed, names) if outcome == RESTRICTED else (),
            egress_id=leg.egress_id if leg else "",
            egress_ip=leg.egress_ip if leg else "",
            reasons=tuple(dict.fromkeys(self.reasons)),
            gaps=tuple(dict.fromkeys(self.gaps)),
            steps=tuple(self.steps),
            inferred=self.inferred,
            direct=direct,
            admin_rules_asked=asked,
            always_allowed_by=self.always_allowed_by,
        )

    def _admin_rules_asked(self) -> bool:
        """Whether Azure told which security admin rules hold."""
        answers = self.tenant.effective_nsgs.get(key(self.nic.id), ())
        return self.place.admin is not None or any(answer.gate == "admin-rule" for answer in answers)

    def _notes_of_sight(self, path: str, admin_rules_asked: bool) -> None:
        """What was asked of Azure and what was not, and ways that differ by destination."""
        if not admin_rules_asked and self.shared.may_have_admin_rules(subscription_of(self.nic.id)):
            self.note("admin-rules-not-asked")
        if self.place.view.effective:
            self.note("effective-routes-used")
        if self.place.view.differs:
            self.note("effective-differs")
        if path == "mixed":
            self.note("mixed-paths")

    def note(self, *reasons: str, gap: str = "") -> None:
        self.reasons.extend(reasons)
        if gap:
            self.gaps.append(gap)

    def _left(self, gates: list[Gate]) -> AddressSet:
        """The destinations that these gates do not deny."""
        return self.everything - AddressSet.union((gate.denied for gate in gates), self.bits)

    # ---- rules

    def _rules(self) -> tuple[list[Gate], str, str]:
        """The three rule gates, their joint code and the id of the rule that decides."""
        lists = self._lists()
        gates: list[Gate] = []
        passing, allowed, left = self.everything, self.nothing, self.everything
        bypassed = self.nothing  # where an AlwaysAllow may hold, so that no NSG's Deny is certain
        bypass: Ruling | None = None
        deciders: dict[str, Ruling] = {}
        for gate, lines, resource_id in lists:
            if allowed and not passing:
                break  # an AlwaysAllow of everything: no NSG is asked
            if lines is None:
                gates.append(Gate(gate, resource_id, self.nothing, passing))
                self.note("nsg-not-seen", "rules-unknown", gap=f"networkSecurityGroups {resource_id}")
                self.steps.append(Step(gate, UNKNOWN, resource_id, "not read"))
                continue
            ruling = lines.decide(self.source, self.groups, self.place.view.vnet_tag)
            deciders[gate] = ruling
            self._compare(gate, lines, ruling)
            held = ruling.held(DENY, NAMED) & passing
            denied = held - bypassed
            # Where only an AlwaysAllow is in doubt it matters to what the NSGs deny.
            own_doubt = ruling.doubtful(DENY) if gate == "admin-rule" else ruling.held(UNDECIDED)
            undecided = (own_doubt & passing) | (held & bypassed)
            self._unresolved(ruling, own_doubt & passing)
            if bypass is not None:
                self._unresolved(bypass, held & bypassed)
            arriving = passing & left or passing  # a rule for what an earlier gate denies decides nothing
            decider = next(filter(None, (ruling.decider(arriving, access) for access in (DENY, ALLOW, ALWAYS))), None)
            gates.append(Gate(gate, decider.id if decider else resource_id, denied, undecided))
            self._rule_notes(gate, ruling, resource_id, denied, undecided, arriving, lines)
            left = left - denied
            always = ruling.held(ALWAYS)
            if gate == "admin-rule":
                bypass, bypassed = ruling, ruling.doubtful(ALWAYS)
            allowed |= always & passing
            passing = passing - always
        return gates, *self._rules_code(gates, deciders, allowed)

    def _compare(self, gate: str, lines: LineList, ruling: Ruling) -> None:
        """Say so where Azure's effective rules deny something else than the NSG as it was read."""
        static = {"nic-nsg": self.own, "subnet-nsg": self.place.nsg, "admin-rule": self.place.admin}[gate]
        if static is not None and static is not lines:
            derived = static.decide(self.source, self.groups, self.place.view.vnet_tag)
            if derived.held(DENY) != ruling.held(DENY):
                self.note("effective-differs")

    def _lists(self) -> list[tuple[str, LineList | None, str]]:
        """(gate, rules, id) in the order a packet meets them; effective rules take the place of what they answer."""
        place, nic = self.place, self.nic
        found: dict[str, tuple[LineList | None, str]] = {}
        if place.admin is not None:
            found["admin-rule"] = (place.admin, place.vnet)
        if nic.nsg:
            found["nic-nsg"] = (self.own, nic.nsg)
        if place.subnet is None:
            found["subnet-nsg"] = (None, "")
        elif place.nsg_id:
            found["subnet-nsg"] = (place.nsg, place.nsg_id)
        found.update(self._effective())
        return [(gate, *found[gate]) for gate in ("admin-rule", "nic-nsg", "subnet-nsg") if gate in found]

    def _effective(self) -> dict[str, tuple[LineList | None, str]]:
        """What Azure answered for this NIC, by gate."""
        answers = self.tenant.effective_nsgs.get(key(self.nic.id), ())
        found: dict[str, tuple[LineList | None, str]] = {}
        for gate, answer in answered(answers, self.nic.nsg, self.place.nsg_id).items():
            self.note("effective-rules-used")
            lines = None
            if answer.rules is not None:
                worded = sorted(self._for_family(gate, answer.id, answer.rules), key=lambda rule: rule.priority)
                lines = (nsg if gate in NSG_GATES else admin)(worded, self.shared.tags, self.bits)
            found[gate] = (lines, answer.id)
        return found

    def _for_family(self, gate: str, of: str, rules: Iterable[Rule]) -> Iterator[Rule]:
        """Effective rules as they are for the family at hand.

        Azure spells out `*` as 0.0.0.0/0 and tags by their IPv4 prefixes, so that for IPv6 a rule holds what it is
        written with; of one that was not read, or reads otherwise for IPv4, that is not known.
        """
        if self.bits == V4:
            yield from rules
            return
        group = self.tenant.nsgs.get(key(of))
        written = self.tenant.admin_rules.get(key(self.place.vnet), ()) if gate == "admin-rule" else ()
        twins = {(r.name.lower(), r.priority, r.outbound): r for r in (group.rules if group else written)}
        for rule in rules:
            twin = twins.get((rule.name.lower(), rule.priority, rule.outbound))
            yield _as_written(rule, twin) if twin and self._alike(rule, twin) else _of_both_families(rule)

    def _alike(self, rule: Rule, twin: Rule) -> bool:
        """Whether an effective rule has the IPv4 prefixes that it is written with; groups stand for others there."""
        sources = bool(twin.source_groups) or self._prefixes(rule.sources) == self._prefixes(twin.sources)
        return sources and self._prefixes(rule.destinations) == self._prefixes(twin.destinations)

    def _prefixes(self, texts: tuple[str, ...]) -> AddressSet:
        resolved = (self.shared.tags.resolve(text, V4) for text in texts if not is_tag(text))
        return AddressSet.union(filter(None, resolved), V4)

    def _rule_notes(
        self,
        gate: str,
        ruling: Ruling,
        resource_id: str,
        denied: AddressSet,
        undecided: AddressSet,
        arriving: AddressSet,
        lines: LineList,
    ) -> None:
        if ruling.source_ports:
            self.note("source-port-rule")
            self.inferred = True
        self._excerpt(ruling)
        if gate != "admin-rule" and self.place.view.vnet_tag.definite:
            without = lines.decide(self.source, self.groups, VnetTag.private(self.bits))
            if without.held(DENY) != ruling.held(DENY):
                self.note("virtualnetwork-tag-holds-default-route")
                self.inferred = True
        refused, doubted = denied & arriving, undecided & arriving
        outcome = "deny" if arriving <= refused else "partial" if refused else "unknown" if doubted else "allow"
        decider = ruling.decider(arriving, *((DENY,) if refused else (ALLOW, ALWAYS, PASS)))
        if decider and decider.id:
            what = f" deny {self._briefly(decider.addresses & arriving)}" if outcome == "partial" else ""
            self.steps.append(Step(gate, outcome, decider.id, decider.label + what))
        elif gate != "admin-rule":
            self.steps.append(Step(gate, outcome, resource_id, name_of(resource_id)))
        if gate == "admin-rule" and denied:
            self.note("admin-rule-denies")
        elif gate == "admin-rule" and (always := ruling.decider(self.everything, ALWAYS)):
            self.note("admin-rule-allows")
            self.always_allowed_by = always.id

    def _unresolved(self, ruling: Ruling, within: AddressSet) -> None:
        """Name what leaves some of these destinations unknown."""
        for text in ruling.unresolved_in(within):
            self.note(reason_of(text), gap=text)

    def _excerpt(self, ruling: Ruling) -> None:
        """Keep the service tags of a list, and say so where the shipped excerpt had to stand for the tenant's own."""
        self.tags += ruling.tags
        if ruling.excerpt:
            self.note("tag-excerpt")
            self.inferred = True

    def _rules_code(self, gates: list[Gate], rulings: dict[str, Ruling], always: AddressSet) -> tuple[str, str]:
        if not gates:
            self.note("no-nsg")
            return "allow", ""
        outcome, _, gate_id, allowed, _ = settle(gates, self.everything)
        code = {OPEN: "allow", RESTRICTED: "partial", BLOCKED: "deny", UNKNOWN: "unknown"}[outcome]
        self.note(
            {"allow": "rules-allow", "partial": "rules-partial", "deny": "rules-deny", "unknown": "rules-unknown"}[code]
        )
        if code in ("deny", "partial"):
            return code, gate_id
        if code == "unknown":
            return code, next((g.id for g in gates if g.unknown), "")
        if always and always == self.everything:
            decider = rulings["admin-rule"].decider(always, ALWAYS)
            return code, decider.id if decider else ""
        for name in ("subnet-nsg", "nic-nsg", "admin-rule"):
            if name in rulings and (decider := rulings[name].decider(allowed, ALLOW, ALWAYS)):
                return code, decider.id
        return code, ""

    # ---- routes and outbound

    def _routes(self, left: AddressSet) -> list[Gate]:
        """The gates of routes and outbound method; `left` is what the rules leave, where their deciders are found."""
        denied: dict[str, list[tuple[AddressSet, str]]] = {"route": [], "egress": []}
        undecided: dict[str, list[AddressSet]] = {"route": [], "egress": []}
        if self.place.subnet is None:
            undecided["route"].append(self.everything)
        for part, way in self.ways:
            self._route_step(part, way)
            gate, decided = way.blocked, part.id or way.id
            if way.path == DIRECT:
                gate, decided = "egress" if self.outbound.path == "none" else "", self.outbound.decided
                if self.outbound.path == "unknown" or self.outbound.unsure:
                    undecided["egress"].append(part.addresses)
            elif way.unknown:
                undecided["route"].append(part.addresses)
            elif gate == "egress":
                decided = way.id or part.id
            denied["route"].append((way.lost & part.addresses, way.id))
            undecided["route"].append(way.elsewhere & part.addresses)
            if gate:
                denied[gate].append((part.addresses, decided))
            shut, doubtful, closed_by = self._inbound(part, way)
            denied["route"].append((shut, closed_by))
            undecided["route"].append(doubtful)
        gates = []
        for name, found in denied.items():
            together = AddressSet.union((addresses for addresses, _ in found), self.bits)
            by = _decider(found, left)
            gates.append(Gate(name, by, together, AddressSet.union(undecided[name], self.bits)))
            left = left - together
        return gates

    def _route_step(self, part: RoutePart, way: Way) -> None:
        self.note(*way.reasons)
        self.gaps.extend(way.gaps)
        self.inferred |= way.inferred or part.inferred
        target = name_of(way.id) if way.id else way.path
        beyond = way.blocked == "egress" or way.lost_by  # what stops the packet stands behind the next hop
        outcome = UNKNOWN if way.unknown else "deny" if way.blocked and not beyond else way.path
        shown = f"{part.label} -> {part.hop.kind} {' '.join(part.hop.ips) or target}"
        self.steps.append(Step("route", outcome, part.id, shown))
        if way.legs:
            self.steps += [Step("next-hop", p, i, f"{ip} {name_of(i)}".rstrip()) for ip, p, i in way.legs]
        elif way.id and part.hop.kind in (APPLIANCE, FIREWALL):
            self.steps.append(Step("next-hop", outcome, way.id, name_of(way.id)))
        for route_id, label in way.lost_by:
            self.steps.append(Step("route", "deny" if way.blocked else "partial", route_id, f"{label} -> none"))
        if way.blocked == "egress":
            self.steps.append(Step("egress", "deny", way.id, name_of(way.id)))
        if self.place.subnet is not None and "bgp-more-specific-possible" in part.hop.reasons and not way.unknown:
            self.gaps.append(f"effective-routes {self.place.subnet.id}")
        if way.path == DIRECT:
            self.note(*part.hop.reasons, *self.outbound.reasons, gap=self.outbound.gap)
            self.inferred |= self.outbound.inferred
            if self.outbound.path == "none" and not self.outbound.reasons:
                self.note("no-egress")
        elif way.path not in ("unknown", "none"):
            self.note(*(r for r in part.hop.reasons if r not in way.reasons))

    def _inbound(self, part: RoutePart, way: Way) -> tuple[AddressSet, AddressSet, str]:
        """What no appliance lets in for certain, what perhaps none does, and the id of a list that keeps it out."""
        if not way.inbound:
            return self.nothing, self.nothing, ""
        shut, doubtful, closed_by = part.addresses, self.nothing, ""
        doubted: list[tuple[Ruling, AddressSet]] = []
        for appliance in way.inbound:
            denied = maybe = bypassed = self.nothing
            bypass: list[Ruling] = []  # whose AlwaysAllow may hold, so that no NSG's Deny is certain
            passing = part.addresses
            for inbound in appliance:
                if inbound.lines is None:
                    maybe |= passing
                    self.note("nsg-not-seen", gap=f"networkSecurityGroups {inbound.id}")
                    continue
                ruling = inbound.lines.decide(self.source, self.groups, inbound.vnet)
                held, own_doubt = ruling.held(DENY) & passing, ruling.doubtful(DENY) & passing
                if not closed_by and held - bypassed:
                    closed_by = inbound.id
                denied |= held - bypassed
                maybe |= own_doubt | (held & bypassed)
                doubted += [(ruling, own_doubt), *((each, held & bypassed) for each in bypass)]
                if perhaps := ruling.doubtful(ALWAYS):
                    bypass.append(ruling)
                    bypassed |= perhaps
                passing = passing - ruling.held(ALWAYS)
            shut, doubtful = shut & denied, (shut | doubtful) & (denied | maybe)
        doubtful = doubtful - shut
        for ruling, within in doubted:
            self._unresolved(ruling, within & doubtful)
        if shut:
            self.note("appliance-inbound-denied")
            self.inferred = True
            outcome, what = ("deny", "") if part.addresses <= shut else ("partial", f" deny {self._briefly(shut)}")
            self.steps.append(Step("next-hop", outcome, closed_by, f"inbound {name_of(closed_by)}{what}"))
        return shut, doubtful, closed_by

    def _route_label(self) -> str:
        return "; ".join(dict.fromkeys(part.label for part, _ in self.ways))

    # ---- firewalls

    def _firewalls(self, left: AddressSet) -> tuple[tuple[Slice, ...], Gate, str, str]:
        """The slices by path, the firewall's gate, its code and the rule that decides over what is `left` to it."""
        denied, unknown = self.nothing, self.nothing
        names: tuple[str, ...] = ()
        asked = self.nothing
        deciders: list[tuple[AddressSet, str]] = []
        slices = []
        for part, way in self.ways:
            slices.append(self._slice(part, way))
            if way.firewall is None:
                continue
            asked |= part.addresses
            refused, undecided, hosts, rule_id = self._firewall(way, part.addresses, left)
            denied, unknown = denied | refused, unknown | undecided
            names = (*names, *hosts)
            self.hosts[way.firewall.id] = hosts
            deciders.append((refused, rule_id))
        rule = _decider(deciders, left)
        if self.place.subnet is None:
            slices.append(Slice(self.everything, "unknown", "unknown", "subnet not read", False))
        code = ""
        if asked:
            code = "deny" if asked <= denied and not names else "allow" if not denied and not unknown else "partial"
            if unknown and not (denied and asked - denied - unknown):
                code = "unknown"
            if code != "unknown":  # what leaves it unknown was noted rule by rule
                self.note({"allow": "firewall-allows", "deny": "firewall-denies", "partial": "firewall-partial"}[code])
            what = f" allow {self._briefly(asked - denied - unknown, names)}" if code == "partial" else ""
            self.steps.append(Step("firewall", code, rule, _tail(rule) + what))
        return tuple(slices), Gate("firewall", rule, denied, unknown, names), code, rule

    def _firewall(
        self, way: Way, addresses: AddressSet, left: AddressSet
    ) -> tuple[AddressSet, AddressSet, tuple[str, ...], str]:
        """What the firewall denies of these addresses and what it may, the hosts it knows by name, and the decider."""
        firewall = way.firewall
        if firewall is None:
            return self.nothing, self.nothing, (), ""
        rules = self.shared.firewall_rules
        ruling = rules.lines(firewall).decide(self.source, _NO_GROUPS, VnetTag.private())
        untranslated, ranges_of = rules.never_translated(firewall)
        # Without translation nothing comes back from the Internet; what a tunnel takes elsewhere may do without.
        private = self.nothing if way.unknown else (untranslated & addresses) - way.elsewhere
        denied = ruling.held(DENY, NAMED) & addresses
        arriving = addresses & left or addresses
        allowed = ruling.held(ALLOW) & arriving
        if private & allowed:
            self.note("firewall-no-snat")
        if rules.threat_intelligence(firewall):
            self.note("threat-intelligence")
        if ruling.names:
            self.note("firewall-fqdn")
        self._excerpt(ruling)
        self._unresolved(ruling, addresses)
        best = ruling.decider(arriving - private, ALLOW) or (None if allowed else ruling.decider(arriving, DENY))
        rule = best.id if best else ranges_of if private & allowed else ""
        if not rule and ruling.names:
            rule = self._named_rule(way)
        return denied | private, ruling.held(UNDECIDED) & addresses, ruling.names, rule or firewall.id

    def _named_rule(self, way: Way) -> str:
        lines = self.shared.firewall_rules.lines(way.firewall) if way.firewall else None
        return lines.naming(self.source) if lines is not None else ""

    def _slice(self, part: RoutePart, way: Way) -> Slice:
        path, kind = way.path, way.kind
        if path == DIRECT:
            path = self.outbound.path
            kind = DIRECT if path not in ("none", "unknown") else path
        return Slice(
            part.addresses,
            path,
            kind,
            f"{part.label}: {', '.join(f'{ip} {p}' for ip, p, _ in way.legs)}" if way.legs else part.label,
            not way.unknown,
            way.firewall.id if way.firewall else way.id if way.path in ("azure-firewall", "mixed") else "",
            way.appliances,
        )

    def _narrowed(
        self, paths: tuple[Slice, ...], possible: AddressSet, unknown: AddressSet, *, by_name: bool
    ) -> Iterator[Slice]:
        """The ways as far as packets may take them; `by_name`: also to hosts that a firewall knows by name alone."""
        for way in paths:
            addresses, names = way.addresses & possible, self.hosts.get(way.firewall_id, ()) if by_name else ()
            if addresses or names:
                shown = self._shown(addresses, names) if len(paths) > 1 else ()
                yield replace(way, addresses=addresses, known=not (way.addresses & unknown), shown=shown)

    def _briefly(self, addresses: AddressSet, names: tuple[str, ...] = ()) -> str:
        """Destinations for one line of the trail."""
        return " ".join(self._shown(addresses, names, 4))

    def _shown(self, allowed: AddressSet, names: tuple[str, ...], most: int = _MOST_SHOWN) -> tuple[str, ...]:
        """Destinations as a person reads them: a tag's name, prefixes, or everything but a few."""
        if names and not allowed:
            return names
        tag = self.shared.tags.name_of(allowed, self.tags)
        if tag:
            return (tag, *names)
        missing = self.everything - allowed
        but = self.shared.tags.name_of(missing, self.tags)
        if but:
            return (f"Internet except {but}", *names)
        if len(missing.spans) < len(allowed.spans):
            return (f"Internet except {' '.join(_first(missing, most))}", *names)
        return (*_first(allowed, most), *names)


def _is_v4(text: str) -> bool:
    return text[:1].isdigit() and ":" not in text


def _as_written(rule: Rule, twin: Rule) -> Rule:
    """An effective rule with the addresses and groups that its NSG has for it."""
    return replace(
        rule,
        sources=twin.sources,
        destinations=twin.destinations,
        source_groups=twin.source_groups,
        destination_groups=twin.destination_groups,
        expanded={},
        expanded_sources={},
        doubts=(),
    )


def _of_both_families(rule: Rule) -> Rule:
    """An effective rule that may be for IPv6, too: default ones are, of others their IPv4 prefixes do not tell."""
    spelt_out = rule.expanded or rule.expanded_sources
    if not spelt_out and not any(_is_v4(text) for text in (*rule.sources, *rule.destinations)):
        return rule
    sources, destinations = (tuple("*" if _is_v4(t) else t for t in ts) for ts in (rule.sources, rule.destinations))
    doubts = () if rule.priority >= _FIRST_DEFAULT else (f"addressFamily {rule.id}",)
    return replace(rule, sources=sources, destinations=destinations, expanded={}, expanded_sources={}, doubts=doubts)


def _past(own: str, part: RoutePart, way: Way) -> Way:
    """A way for packets of the appliance itself: back to it, or only some flows where it is one of several hops."""
    if set(part.hop.ips) == {own}:
        return _LOOP
    if own not in part.hop.ips or way.blocked:
        return way
    reasons = tuple(dict.fromkeys(("mixed-paths", *_LOOP.reasons, *way.reasons)))
    gaps = tuple(dict.fromkeys((f"next-hop {' '.join(part.hop.ips)}", *way.gaps)))
    return replace(way, path="mixed", kind="unknown", unknown=True, reasons=reasons, gaps=gaps)


def _decider(found: list[tuple[AddressSet, str]], left: AddressSet) -> str:
    """The id of the first that denies something of what is left to it, else the first id of all."""
    return next((id for denied, id in found if id and denied & left), "") or next((id for _, id in found if id), "")


def _first(addresses: AddressSet, most: int) -> list[str]:
    """The first prefixes of a set, with a mark where there are more."""
    shown = list(islice(addresses.prefixes(), most + 1))
    return shown if len(shown) <= most else [*shown[:most], "…"]


def _tail(rule_id: str) -> str:
    """The last three names of a firewall rule's id: group, collection, rule."""
    return "/".join(rule_id.split("/")[-3:]) if rule_id else ""
