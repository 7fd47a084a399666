"""The replay of recorded answers: what it calls agreement, what it calls a difference, what it leaves out."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest

from auditor.model.resources import Rule
from tests.gold.recording import Json, complete, read
from tests.gold.replay import AGREES, DIFFERS, SKIPPED, main, replay
from tests.gold.rules import MAIL, Flow, as_mail

HERE = Path(__file__).parent
OWN = HERE / "own"
FOLDERS = os.environ.get("AUDITOR_GOLD", "")

NETWORK = "/subscriptions/5a0c7f52-0000-4000-8000-000000000001/resourceGroups/rg-mail/providers/Microsoft.Network"
NIC = f"{NETWORK}/networkInterfaces/nic-relay"
PUBLIC = (
    *("1.0.0.0-9.255.255.255", "11.0.0.0-100.63.255.255", "100.128.0.0-126.255.255.255"),
    *("128.0.0.0-169.253.255.255", "169.255.0.0-172.15.255.255", "172.32.0.0-192.0.1.255"),
    *("192.0.3.0-192.167.255.255", "192.169.0.0-198.17.255.255", "198.20.0.0-223.255.255.255"),
)


def rule(
    name: str,
    priority: int,
    access: str,
    direction: str,
    source: str,
    destination: str,
    port: str = "*",
    protocol: str = "*",
    source_port: str = "*",
) -> Json:
    """A rule as an NSG lists it."""
    return {
        "name": name,
        "properties": {
            "access": access,
            "direction": direction,
            "priority": priority,
            "protocol": protocol,
            "sourceAddressPrefix": source,
            "sourcePortRange": source_port,
            "destinationAddressPrefix": destination,
            "destinationPortRange": port,
        },
    }


DEFAULT = [
    rule("AllowVnetOutBound", 65000, "Allow", "Outbound", "VirtualNetwork", "VirtualNetwork"),
    rule("AllowInternetOutBound", 65001, "Allow", "Outbound", "*", "Internet"),
    rule("DenyAllOutBound", 65500, "Deny", "Outbound", "*", "*"),
    rule("AllowVnetInBound", 65000, "Allow", "Inbound", "VirtualNetwork", "VirtualNetwork"),
    rule("AllowAzureLoadBalancerInBound", 65001, "Allow", "Inbound", "AzureLoadBalancer", "*"),
    rule("DenyAllInBound", 65500, "Deny", "Inbound", "*", "*"),
]
SSH = rule("Ssh", 300, "Allow", "Inbound", "198.51.100.0/24", "10.9.0.4", "22", "Tcp")
NO_TLS = rule("NoTls", 200, "Deny", "Outbound", "*", "Internet", "440-450", "Tcp")
FEW = rule("SshFromFew", 210, "Allow", "Inbound", "198.51.100.25", "VirtualNetwork", "20-30", "*", "1024-65535")
EXPANDED = {
    "Internet": PUBLIC,
    "VirtualNetwork": ("10.9.0.0/16", "203.0.113.0/24", "168.63.129.16"),
    "AzureLoadBalancer": ("168.63.129.16",),
}


def effective(made: Json, section: str = "") -> Json:
    """The same rule as effective answers list it."""
    p = made["properties"]
    ports = {k: "0-65535" if p[k] == "*" else p[k] for k in ("sourcePortRange", "destinationPortRange")}
    ends = {k: "0.0.0.0/0" if p[k] == "*" else p[k] for k in ("sourceAddressPrefix", "destinationAddressPrefix")}
    expanded = {f"expanded{k[0].upper()}{k[1:]}": list(EXPANDED[text]) for k, text in ends.items() if text in EXPANDED}
    protocol = "All" if p["protocol"] == "*" else p["protocol"]
    return {"name": f"{section}{made['name']}", **p, **ports, **ends, **expanded, "protocol": protocol}


def group(where: str, target: str, nsg: str, own: list[Json]) -> Json:
    """One NSG of an effectiveNetworkSecurityGroups answer."""
    rules = [effective(r, "securityRules/") for r in own] + [effective(r, "defaultSecurityRules/") for r in DEFAULT]
    return {
        "networkSecurityGroup": {"id": f"{NETWORK}/networkSecurityGroups/{nsg}"},
        "association": {where: {"id": target}},
        "effectiveSecurityRules": rules,
    }


def groups() -> list[Json]:
    subnet = f"{NETWORK}/virtualNetworks/vnet-mail/subnets/relay"
    return [group("networkInterface", NIC, "nsg-nic", [SSH]), group("subnet", subnet, "nsg-subnet", [NO_TLS, FEW])]


def view() -> Json:
    """A securityGroupView answer."""
    rules = [effective(r, "UserRule_") for r in (SSH, NO_TLS, FEW)] + [effective(r, "DefaultRule_") for r in DEFAULT]
    filler = effective(rule("DefaultOutboundDenyAll", 65500, "Deny", "Outbound", "*", "*"))
    associations = {
        "networkInterfaceAssociation": {"id": NIC, "securityRules": [SSH]},
        "subnetAssociation": {"id": "subnet", "securityRules": [NO_TLS, FEW]},
        "defaultSecurityRules": DEFAULT,
        "effectiveSecurityRules": [filler, *rules],
    }
    return {"networkInterfaces": [{"id": NIC, "securityRuleAssociations": associations}]}


def row(prefix: str, kind: str, *ips: str, source: str = "Default", state: str = "Active") -> Json:
    """A row of an effectiveRouteTable answer."""
    return {"source": source, "state": state, "addressPrefix": [prefix], "nextHopType": kind, "nextHopIpAddress": ips}


def routes() -> list[Json]:
    return [
        row("10.9.0.0/16", "VnetLocal"),
        row("0.0.0.0/0", "Internet"),
        row("10.0.0.0/8", "None"),
        row("40.109.0.0/16", "None"),
        row("::/0", "Internet"),
        row("203.0.113.0/24", "VirtualAppliance", "10.9.1.4", source="User"),
    ]


def diagnostic(access: str = "Deny", decider: str = "NoTls") -> Json:
    """A networkConfigurationDiagnostic answer about TLS to a mail host."""
    nic, subnet = (f"{NETWORK}/networkSecurityGroups/{n}" for n in ("nsg-nic", "nsg-subnet"))

    def evaluated(nsg: str, names: list[str], action: str) -> Json:
        listed = [{"name": n} for n in names]
        rule_name = {"ruleName": names[-1], "action": action}
        return {"networkSecurityGroupId": nsg, "matchedRule": rule_name, "rulesEvaluationResult": listed}

    through = ["DefaultRule_AllowVnetOutBound", "DefaultRule_AllowInternetOutBound"]
    result = {
        "securityRuleAccessResult": access,
        "evaluatedNetworkSecurityGroups": [
            evaluated(nic, through, "Allow"),
            evaluated(subnet, [f"UserRule_{decider}"], "Deny"),
        ],
    }
    profile = {
        "direction": "Outbound",
        "protocol": "TCP",
        "source": "10.9.0.4",
        "destination": "198.51.100.25",
        "destinationPort": "443",
    }
    return {"results": [{"profile": profile, "networkSecurityGroupResult": result}]}


@pytest.fixture
def recorded(tmp_path):
    """Writes the project's own recording with another question and answer, and reads it back."""

    def write(kind, body, asked=None, *, status=200, **changed):
        made = json.loads((OWN / "flow.json").read_text())
        made |= {"id": kind, "kind": kind, "azure_answer": {"status": status, "body": body}, **changed}
        made["question"]["body"] |= asked or {}
        path = tmp_path / f"{kind}.json"
        path.write_text(json.dumps(made))
        return read(path)

    return write


def inbound(local: str, remote: str) -> Json:
    return {"direction": "Inbound", "localPort": local, "remotePort": remote}


@pytest.mark.parametrize(
    ("asked", "access", "name", "outcome"),
    [
        ({}, "Deny", "securityRules/NoTls", AGREES),
        ({}, "Allow", "defaultSecurityRules/AllowInternetOutBound", DIFFERS),
        ({}, "Deny", "defaultSecurityRules/DenyAllOutBound", DIFFERS),
        ({"remotePort": "451"}, "Allow", "defaultSecurityRules/AllowInternetOutBound", AGREES),
        ({"remotePort": "439"}, "Deny", "securityRules/NoTls", DIFFERS),
        ({"protocol": "Udp"}, "Allow", "defaultSecurityRules/AllowInternetOutBound", AGREES),
        ({"remoteIPAddress": "203.0.113.7", "remotePort": "80"}, "Allow", "AllowVnetOutBound", AGREES),
        (inbound("22", "5000"), "Allow", "securityRules/Ssh", AGREES),
        (inbound("22", "5000"), "Allow", "securityRules/SshFromFew", AGREES),
        (inbound("22", "80"), "Deny", "defaultSecurityRules/DenyAllInBound", AGREES),
        (inbound("22", "80"), "Allow", "securityRules/SshFromFew", DIFFERS),
        (inbound("22", "5000") | {"remoteIPAddress": "198.51.100.26"}, "Deny", "DenyAllInBound", AGREES),
        (inbound("22", "5000") | {"remoteIPAddress": "198.51.100.26"}, "Allow", "securityRules/Ssh", DIFFERS),
    ],
)
def test_flows(recorded, asked, access, name, outcome):
    """A flow agrees where both NSGs together give Azure's access and a rule that decides so bears the name."""
    assert replay(recorded("ipFlowVerify", {"access": access, "ruleName": name}, asked))[0] == outcome


def test_diagnostic(recorded):
    """A diagnostic agrees where the joint access, each NSG's deciding rule and the order of the rules are Azure's."""
    assert replay(recorded("networkConfigurationDiagnostic", diagnostic())) == (AGREES, "")
    for body in (diagnostic(access="Allow"), diagnostic(decider="SshFromFew")):
        assert replay(recorded("networkConfigurationDiagnostic", body))[0] == DIFFERS


def test_view(recorded):
    """A view agrees where configured, default and effective rules are the configuration's, whatever they are called."""
    assert replay(recorded("securityGroupView", view())) == (AGREES, "")


@pytest.mark.parametrize("part", ["networkInterfaceAssociation", "subnetAssociation", "effectiveSecurityRules"])
def test_view_differs(recorded, part):
    """A rule that Azure lacks at any place is a difference that names the rule."""
    body = view()
    listed = body["networkInterfaces"][0]["securityRuleAssociations"][part]
    (listed if part == "effectiveSecurityRules" else listed["securityRules"]).pop(1 if part.startswith("e") else 0)
    outcome, what = replay(recorded("securityGroupView", body))
    assert outcome == DIFFERS
    assert "only the engine has" in what


def test_effective_rules(recorded):
    """Effective rules agree where each gate's rules and tags are ours and the engine says the same with them."""
    made = recorded("effectiveNetworkSecurityGroups", {"value": groups()}, {"targetResourceId": NIC})
    assert replay(made) == (AGREES, "")


@pytest.mark.parametrize(
    ("at", "change", "said"),
    [
        (0, {"priority": 301}, "Ssh (301 allow)"),
        (0, {"sourceAddressPrefix": "*"}, "only Azure has Ssh"),
        (2, {"expandedDestinationAddressPrefix": ["10.0.0.0/8"]}, "Internet holds in Azure also"),
        (2, {"expandedDestinationAddressPrefix": ["8.0.0.0/8"]}, "Internet does not hold in Azure"),
        (1, {"expandedDestinationAddressPrefix": ["10.9.0.0/16"]}, "VirtualNetwork holds of the public space"),
        (1, {"expandedDestinationAddressPrefix": ["203.0.113.0/24"]}, "the network's own"),
        (5, {"expandedSourceAddressPrefix": ["9.9.9.9"]}, "azureloadbalancer holds"),
    ],
)
def test_effective_rules_differ(recorded, at, change, said):
    """Another rule or another expansion of a tag is a difference that names it."""
    value = groups()
    value[0]["effectiveSecurityRules"][at] |= change
    outcome, what = replay(recorded("effectiveNetworkSecurityGroups", {"value": value}, {"targetResourceId": NIC}))
    assert (outcome, said in what) == (DIFFERS, True), what


def test_routes(recorded):
    """Effective routes agree point by point; a default drop in public space and IPv6 change nothing."""
    outcome, what = replay(recorded("effectiveRouteTable", {"value": routes()}, {"targetResourceId": NIC}))
    assert outcome == AGREES
    assert "2 of them in default drops" in what


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (row("203.0.113.0/24", "VirtualAppliance", "10.9.1.5", source="User"), "10.9.1.5"),
        (row("0.0.0.0/1", "None", source="User"), "none"),
        (row("128.0.0.0/1", "VirtualNetworkGateway", "10.2.0.4", source="VirtualNetworkGateway"), "gateway"),
        (row("40.92.0.0/15", "VirtualAppliance", "10.9.1.9", source="User", state="Invalid"), ""),
    ],
)
def test_routes_differ(recorded, change, said):
    """An active row with another hop is a difference at a point it wins; an invalid row is none."""
    value = [r for r in routes() if r["addressPrefix"] != change["addressPrefix"]] + [change]
    outcome, what = replay(recorded("effectiveRouteTable", {"value": value}, {"targetResourceId": NIC}))
    assert (outcome, said in what) == (DIFFERS if said else AGREES, True), what


@pytest.mark.parametrize(
    ("destination", "kind", "ip", "table", "outcome"),
    [
        ("198.51.100.25", "Internet", "", "System Route", AGREES),
        ("203.0.113.7", "VirtualAppliance", "10.9.1.4", f"{NETWORK}/routeTables/RT-mail", AGREES),
        ("203.0.113.7", "VirtualAppliance", "10.9.1.5", f"{NETWORK}/routeTables/rt-mail", DIFFERS),
        ("203.0.113.7", "Internet", "", f"{NETWORK}/routeTables/rt-mail", DIFFERS),
        ("198.51.100.25", "Internet", "", f"{NETWORK}/routeTables/rt-mail", DIFFERS),
        ("203.0.113.7", "VirtualAppliance", "10.9.1.4", "System Route", DIFFERS),
        ("10.9.0.5", "VirtualNetwork", "", "System Route", SKIPPED),
    ],
)
def test_next_hop(recorded, destination, kind, ip, table, outcome):
    """A next hop agrees in type, appliance address and route table; private destinations are out of scope."""
    answer = {"nextHopType": kind, "nextHopIpAddress": ip, "routeTableId": table}
    assert replay(recorded("nextHop", answer, {"destinationIPAddress": destination}))[0] == outcome


@pytest.mark.parametrize(
    ("kind", "body", "changed", "why"),
    [
        ("ipFlowVerify", {"error": {"code": "NsgsNotAppliedOnNic"}}, {"status": 400}, "400 NsgsNotAppliedOnNic"),
        ("ipFlowVerify", {"access": "Unknown"}, {}, "Unknown"),
        ("ipFlowVerify", {"access": "Allow", "ruleName": "x"}, {"config_complete": False}, "incomplete"),
        ("ipFlowVerify", {"access": "Allow", "ruleName": "x"}, {"id": "ipFlowVerify_2021-05-26_a7c5ae5e"}, "oracle"),
        ("ipFlowVerify", {"access": "Allow", "ruleName": "x"}, {"config": []}, "no NIC"),
        ("securityGroupView", {"networkInterfaces": []}, {}, "empty"),
        ("connectivityCheck", {"connectionStatus": "Reachable"}, {}, "connectivityCheck"),
    ],
)
def test_skipped(recorded, kind, body, changed, why):
    """What cannot be compared is skipped with the reason, and never counted as agreement."""
    outcome, what = replay(recorded(kind, body, **changed))
    assert (outcome, why in what) == (SKIPPED, True), what


def test_unknown_is_no_agreement(recorded):
    """Where configuration claims to be complete, an engine that cannot tell differs; else the recording is skipped."""
    config = deepcopy(json.loads((OWN / "flow.json").read_text())["config"])
    vnet = next(d for d in config if d["type"].endswith("virtualNetworks"))
    remote = {"id": f"{NETWORK}/virtualNetworks/vnet-hub"}
    peering = {"peeringState": "Connected", "useRemoteGateways": True, "remoteVirtualNetwork": remote}
    vnet["properties"]["virtualNetworkPeerings"] = [{"name": "hub", "properties": peering}]
    for claimed, outcome in ((True, DIFFERS), (None, SKIPPED)):
        made = recorded(
            "effectiveRouteTable",
            {"value": routes()},
            {"targetResourceId": NIC},
            config=config,
            config_complete=claimed,
        )
        assert replay(made)[0] == outcome


def test_what_azure_returned_is_not_mended(recorded):
    """A document that was read with GET and that the decoder cannot read is a difference, not something to complete."""
    document = {"id": "/x", "_provenance": "GET x -> 200", "properties": {"subnets": [{"name": "s"}]}}
    assert complete(document) == document
    config = json.loads((OWN / "flow.json").read_text())["config"]
    broken = {"id": f"{NETWORK}/networkSecurityGroups/other", "type": "Microsoft.Network/networkSecurityGroups"}
    answer = {"access": "Deny", "ruleName": "securityRules/NoTls"}
    made = recorded("ipFlowVerify", answer, config=[*config, {**broken, "_provenance": "GET other -> 200"}])
    outcome, what = replay(made)
    assert outcome == DIFFERS
    assert "not decoded" in what


def test_a_rewritten_rule_holds_mail_where_the_rule_holds_the_flow():
    """For any rule and flow, checked port by port: rewritten for TCP 25 outbound it holds just what it held."""
    dice = random.Random(25)

    def ranges() -> tuple[str, ...]:
        low = dice.randrange(60)
        return dice.choice((("*",), (f"{low}",), (f"{low}-{low + dice.randrange(20)}", "7")))

    def holds(texts: tuple[str, ...], port: int) -> bool:
        spans = (t.split("-") for t in texts if t != "*")
        return "*" in texts or any(int(s[0]) <= port <= int(s[-1]) for s in spans)

    for _ in range(2000):
        made = Rule("r", "r", 100, "deny", dice.random() < 0.5, dice.choice(("tcp", "udp", "*", "icmp")),
                    ranges(), ranges(), ("source",), ("destination",))  # fmt: skip
        outbound, protocol = dice.random() < 0.5, dice.choice(("tcp", "udp"))
        port, client = dice.randrange(80), dice.randrange(80)
        flow = Flow(outbound, protocol, "10.0.0.4", "8.8.8.8", port, str(client))
        expected = (
            made.outbound == outbound
            and made.protocol in (protocol, "*")
            and holds(made.ports, port)
            and holds(made.source_ports, client)
        )
        mail = as_mail(made, flow)
        got = mail is not None and mail.protocol in ("tcp", "*") and holds(mail.ports, MAIL)
        assert got == expected
        if mail is not None:
            ends = (mail.sources, mail.destinations)
            assert ends == ((("source",), ("destination",)) if outbound else (("destination",), ("source",)))
            assert mail.source_ports == ("*",)


def test_script(tmp_path):
    """As a script: one line a recording, then the counts; exit code 0 where all agree, 1 where one differs."""
    made = json.loads((OWN / "flow.json").read_text())
    made["azure_answer"]["body"]["access"] = "Allow"
    (tmp_path / "altered.json").write_text(json.dumps(made))

    def run(*folders: Path) -> tuple[int, list[str]]:
        done = subprocess.run([sys.executable, HERE / "replay.py", *folders], capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines()

    assert run(OWN) == (0, ["flow: agrees", "1 agree, 0 differ, 0 skipped"])
    code, lines = run(OWN, tmp_path)
    altered = "altered: differs: deny by NoTls, Azure: allow by NoTls"
    assert (code, sorted(lines)) == (1, ["1 agree, 1 differ, 0 skipped", altered, "flow: agrees"])


def test_nothing_to_replay(tmp_path, capsys):
    """No folder, an empty one or a file that is no recording is an error: nothing compared is no agreement."""
    assert main([]) == 2
    assert main([str(tmp_path)]) == 2
    (tmp_path / "x.json").write_text("{}")
    assert main([str(tmp_path)]) == 2
    assert "is no recording" in capsys.readouterr().err


@pytest.mark.skipif(not FOLDERS, reason="AUDITOR_GOLD names no folders with recordings")
def test_gold(capsys):
    """The engine agrees with every answer of Azure's in the folders that AUDITOR_GOLD names (separated as in PATH)."""
    code = main(FOLDERS.split(os.pathsep))
    said = capsys.readouterr().out
    assert code == 0, "\n".join(line for line in said.splitlines() if ": agrees" not in line)
