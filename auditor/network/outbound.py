"""Which outbound method gives a NIC its way to the Internet when the route says Internet.

Precedence: NAT gateway, public IP of the IP configuration, load balancer, default outbound access, none. The load
balancer page of 2022 puts the public IP before the NAT gateway; the NAT gateway page is newer and specific.

Sources: "What is Azure NAT Gateway?", "Azure NAT Gateway SKUs", "Outbound rules (Azure Load Balancer)", "Use SNAT for
outbound connections", "Default outbound access in Azure".
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from auditor.model.addresses import V4, V6
from auditor.model.ids import key, parent_of
from auditor.model.resources import (
    IpConfiguration,
    LoadBalancer,
    LoadBalancingRule,
    NatGateway,
    Nic,
    PublicIp,
    Subnet,
    Tenant,
    VirtualMachine,
)
from auditor.network.lines import PORT

_PROTOCOLS = frozenset({"tcp", "udp", "all"})
_NAT, _LB = "microsoft.network/natgateways", "microsoft.network/loadbalancers"
_INSTANCE_IPS = (
    "microsoft.compute/virtualmachinescalesets/virtualmachines/networkinterfaces/ipconfigurations/publicipaddresses"
)


class Outbound(Struct, frozen=True):
    """The outbound method of one IP configuration.

    `path` is a path code of the contract, none or unknown; `id` the NAT gateway, public IP or load balancer; `decided`
    the resource that decides where there is no way out. `inferred`: rests on operators' reports rather than on a page;
    `unsure`: there may be no way out all the same.
    """

    path: str
    id: str = ""
    ip: str = ""
    decided: str = ""
    reasons: tuple[str, ...] = ()
    gap: str = ""
    inferred: bool = False
    unsure: bool = False


_DEFAULT = Outbound("default-outbound", reasons=("default-outbound",))
_INTERNAL, _SHOWN = ("internal-lb",), "default-address-shown"
_RELEASED = frozenset(("deallocated", "hibernated"))  # power states that give the default address back


class _Surroundings(Struct, frozen=True):
    """What a subnet brings to its NICs: its NAT gateway by family, and refused listings that may hide one or a pool."""

    nat: Outbound | None
    nat_v6: Outbound | None
    nats_unread: str
    pools_unread: str


class OutboundMethods:
    """Outbound methods of the tenant's NICs."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._vnet_nat = {key(n.vnet): n for n in tenant.nat_gateways.values() if n.vnet}
        self._instance_ips = {parent_of(k): ip.id for k, ip in tenant.public_ips.items() if "/ipconfigurations/" in k}
        self._pools: dict[str, LoadBalancer] = {}
        self._by_configuration: dict[str, list[str]] = {}
        self._by_address: dict[tuple[str, str], list[str]] = {}
        self._surroundings: dict[str, _Surroundings] = {}
        for lb in tenant.load_balancers.values():
            for pool in lb.pools:
                self._pools[key(pool.id)] = lb
                for configuration in pool.configurations:
                    self._by_configuration.setdefault(key(configuration), []).append(key(pool.id))
                for member in pool.addresses:
                    self._by_address.setdefault(member, []).append(key(pool.id))

    def of(self, vm: VirtualMachine, nic: Nic, configuration: IpConfiguration, subnet: Subnet) -> Outbound:
        """The method for this IP configuration; `subnet` is its own."""
        if subnet.service_gateway:
            gap = f"serviceGateways {subnet.service_gateway}"
            return Outbound("unknown", decided=subnet.service_gateway, reasons=("unknown-feature",), gap=gap)
        around = self._around(subnet)
        ips_unread = self._refused(_INSTANCE_IPS, vm.scale_set) if vm.instance else ""
        if configuration.version == V6:
            return _as_far_as_read(around.nat_v6 or self._of_v6(configuration, subnet), around, ips_unread)
        nat = around.nat
        if nat is not None and nat.path != "none":
            return nat
        own = self._public_ip(configuration) or self._load_balancer(configuration, subnet)
        if nat is not None and own is not None and own.path != "none":
            # No page says whether a NAT gateway that owns no address stands in the way of what comes after it.
            return Outbound("unknown", decided=nat.decided, reasons=nat.reasons, gap=f"outbound-of {nat.decided}")
        found = nat or own or self._default(vm, nic, configuration, subnet)
        if found.path == "none" and _shows_default(vm, nic):
            found = self._contradicted(found, vm, nic, configuration, subnet)
        return _as_far_as_read(found, around, ips_unread)

    def nat_of(self, subnet: Subnet) -> Outbound | None:
        """The NAT gateway that serves a subnet over IPv4, if one does."""
        return self._around(subnet).nat

    def hidden_nat(self, subnet: Subnet) -> str:
        """The refused listing that may hide a NAT gateway of the subnet's network, or ""."""
        return self._refused(_NAT, subnet.vnet)

    def public_ip(self, public_ip_id: str) -> str:
        """The address of a public IP, "" where it has none or was not read."""
        found = self._tenant.public_ips.get(key(public_ip_id))
        return found.address if found else ""

    def _refused(self, kind: str, where: str) -> str:
        return f"{kind} {where}" if self._tenant.refused(kind, where) else ""

    def _around(self, subnet: Subnet) -> _Surroundings:
        around = self._surroundings.get(subnet.id)
        if around is None:
            around = self._surroundings[subnet.id] = _Surroundings(
                self._nat(subnet, V4),
                self._nat(subnet, V6),
                self.hidden_nat(subnet),
                self._refused(_LB, subnet.vnet),
            )
        return around

    # ---- NAT gateway

    def _nat(self, subnet: Subnet, bits: int) -> Outbound | None:
        nat, unread = self._nat_gateway(subnet)
        if unread:
            return Outbound("unknown", unread, decided=unread, gap=f"natGateways {unread}")
        if nat is None:
            return None
        owned = (*nat.public_ips, *nat.public_prefixes) if bits == V4 else (*nat.public_ips_v6, *nat.public_prefixes_v6)
        if owned:
            return Outbound("nat-gateway", nat.id, self._address(owned), reasons=("nat-gateway",))
        return Outbound("none", decided=nat.id, reasons=("nat-without-address",)) if bits == V4 else None

    def _nat_gateway(self, subnet: Subnet) -> tuple[NatGateway | None, str]:
        """The NAT gateway of a subnet or its network, and the id of the one that is named there and was not read."""
        vnet = self._tenant.vnets.get(key(subnet.vnet))
        named = subnet.nat_gateway or (vnet.nat_gateway if vnet else "")
        if not named:
            return self._vnet_nat.get(key(subnet.vnet)), ""
        found = self._tenant.nat_gateways.get(key(named))
        return found, "" if found else named

    def _address(self, ids: Iterable[str]) -> str:
        """The first address of these public IPs and prefixes that was read, or ""."""
        return next(filter(None, (self.public_ip(i) or self._prefix(i) for i in ids)), "")

    # ---- public IP

    def _public_ip(self, configuration: IpConfiguration) -> Outbound | None:
        named = self._public_ip_of(configuration)
        if not named:
            return None
        found = self._tenant.public_ips.get(key(named))
        shown = found.id if found else named
        inspected = ("inspected-by-gateway-lb",) if configuration.gateway_load_balancer else ()
        return Outbound(
            "public-ip",
            shown,
            found.address if found else "",
            reasons=("public-ip", *inspected),
            inferred=bool(inspected),
        )

    def _public_ip_of(self, configuration: IpConfiguration) -> str:
        """The id of the public IP; those of a uniform scale set's instance may show in a list of their own only."""
        listed = self._instance_ips
        return configuration.public_ip or (listed.get(key(configuration.id), "") if listed else "")

    # ---- load balancer

    def pools_of(self, configuration: IpConfiguration, subnet: Subnet) -> tuple[list[str], list[str]]:
        """Keys of the pools that hold the IP configuration: by NIC, and by address."""
        if not self._pools and not configuration.pools:
            return [], []
        by_nic = dict.fromkeys(map(key, configuration.pools))
        by_nic.update(dict.fromkeys(self._by_configuration.get(key(configuration.id), ())))
        by_address = self._by_address.get((key(subnet.vnet), configuration.private_ip), [])
        return list(by_nic), [p for p in by_address if p not in by_nic]

    def _load_balancer(self, configuration: IpConfiguration, subnet: Subnet) -> Outbound | None:
        by_nic, by_address = self.pools_of(configuration, subnet)
        if not configuration.primary:
            return None  # secondary IP configurations get no outbound through a load balancer
        unseen = next((p for p in by_nic if p not in self._pools), None)
        public = {}
        for pool in (*by_nic, *by_address):
            lb = self._pools.get(pool)
            if lb is not None and (way := self._snat(lb, pool, configuration.version)):
                return way
            if lb is not None and any(f.public_ip or f.public_prefix for f in lb.frontends):
                public[pool] = lb
        odd = next((r for p in public for r in public[p].rules if p in r.pools and r.protocol not in _PROTOCOLS), None)
        if odd is not None:
            gap = f"malformed protocol={odd.protocol!r} {odd.id}"
            return Outbound("unknown", decided=odd.id, reasons=("malformed-document",), gap=gap)
        if unseen:
            lb_id = parent_of(next(p for p in configuration.pools if key(p) == unseen))
            return Outbound("unknown", decided=lb_id, gap=f"loadBalancers {lb_id}")
        for pool, lb in public.items():
            ruled = any(pool in r.pools for r in lb.rules)
            if ruled and lb.standard:
                return Outbound("none", decided=lb.id, reasons=("lb-without-outbound",))
            if not ruled:
                return Outbound("unknown", decided=lb.id, reasons=("lb-without-outbound",), gap=f"outbound-of {lb.id}")
        return self._internal(by_nic)

    def _snat(self, lb: LoadBalancer, pool: str, bits: int) -> Outbound | None:
        """Outbound rules first, then load balancing rules, whose outbound NAT mirrors them unless it is off.

        A frontend whose address was not read is taken for one of IPv4, and may be one of IPv6.
        """
        unsure: Outbound | None = None
        frontends = {key(f.id): f for f in lb.frontends if f.public_ip or f.public_prefix}
        for rule in sorted(lb.rules, key=lambda r: not r.outbound):
            if pool in rule.pools and rule.protocol in ("tcp", "all") and not (rule.snat_off and not rule.outbound):
                for frontend_id in rule.frontends:
                    frontend = frontends.get(key(frontend_id))
                    if frontend is None:
                        continue
                    ip = self.public_ip(frontend.public_ip) or self._prefix(frontend.public_prefix)
                    if not ip and bits == V6:
                        gap = f"publicIPAddresses {frontend.public_ip or frontend.public_prefix}"
                        unsure = unsure or Outbound("unknown", decided=lb.id, reasons=("load-balancer",), gap=gap)
                    if (":" in ip) != (bits == V6):
                        continue
                    inspected = ("inspected-by-gateway-lb",) if frontend.gateway_load_balancer else ()
                    reasons = ("load-balancer", *inspected)
                    return Outbound("load-balancer", lb.id, ip, reasons=reasons, inferred=bool(inspected))
        return unsure

    def _prefix(self, prefix_id: str) -> str:
        found = self._tenant.public_prefixes.get(key(prefix_id)) if prefix_id else None
        return found.address if found else ""

    def _internal(self, by_nic: Iterable[str]) -> Outbound | None:
        """A NIC in the pool of an internal Standard load balancer loses default outbound access."""
        lb = next((self._pools[pool] for pool in by_nic if self._pools[pool].standard), None)
        return Outbound("none", decided=lb.id, reasons=_INTERNAL, inferred=True) if lb else None

    # ---- default outbound access

    def _default(self, vm: VirtualMachine, nic: Nic, configuration: IpConfiguration, subnet: Subnet) -> Outbound:
        flexible = vm.scale_set and not vm.instance
        if flexible:
            return self._of_flexible(vm, nic)
        if subnet.default_outbound is False:
            return self._of_private(vm, nic, subnet)
        others, missing = self._public_ips(vm)
        if any(ip.standard for ip in others if isinstance(ip, PublicIp)):
            return Outbound("none", decided=nic.id, reasons=("no-egress",), inferred=True)
        unread = next((ip for ip in others if isinstance(ip, str)), "")
        if unread:
            return Outbound("unknown", decided=nic.id, gap=f"publicIPAddresses {unread}")
        found = _DEFAULT
        if any(self._pools[p].standard for p in self.pools_of(configuration, subnet)[1]):
            # A known issue of the platform: in a pool by address, default outbound access stays.
            found = replace(_DEFAULT, reasons=("default-outbound", "internal-lb-by-address"), inferred=True)
        if missing:  # a Standard public IP of its would take default outbound access away
            return replace(found, gap=f"networkInterfaces {missing}", inferred=True)
        # The NIC's own word is late: it changes when the VM is deallocated only.
        return replace(found, inferred=found.inferred or nic.default_outbound is False)

    def _of_flexible(self, vm: VirtualMachine, nic: Nic) -> Outbound:
        """Pages say that instances have no default address; where the NIC shows one all the same, nobody knows."""
        found = Outbound("none", decided=vm.scale_set, reasons=("flexible-scale-set",))
        if _shows_default(vm, nic):
            found = replace(found, path="unknown", reasons=(*found.reasons, _SHOWN), gap=f"outbound-of {nic.id}")
        return found

    @staticmethod
    def _of_private(vm: VirtualMachine, nic: Nic, subnet: Subnet) -> Outbound:
        """Until it is deallocated a VM keeps the default address it had before its subnet was made private.

        The setting does not apply to delegated subnets: the service they are delegated to sees to the way out.
        """
        if _shows_default(vm, nic):
            reasons = ("default-outbound", "private-subnet-not-in-force")
            return Outbound("default-outbound", reasons=reasons, inferred=True)
        if subnet.delegated:
            gap = f"outbound-of {subnet.id}"
            return Outbound("unknown", decided=subnet.id, reasons=("delegated-subnet",), gap=gap)
        return Outbound("none", decided=subnet.id, reasons=("private-subnet",), inferred=bool(nic.default_outbound))

    def _contradicted(
        self, found: Outbound, vm: VirtualMachine, nic: Nic, configuration: IpConfiguration, subnet: Subnet
    ) -> Outbound:
        """A lack of any way out, beside a NIC that shows a default address: evidence, no rule.

        That an internal load balancer takes default outbound access away is on no page, so the NIC's word outweighs
        it. Other methods that give nothing take the traffic all the same: an address may be kept and not be used.
        """
        if found.reasons != _INTERNAL:
            return replace(found, reasons=(*found.reasons, _SHOWN), inferred=True)
        kept = self._default(vm, nic, configuration, subnet)
        return replace(kept, reasons=(*kept.reasons, *_INTERNAL, _SHOWN), inferred=True)

    def _public_ips(self, vm: VirtualMachine) -> tuple[list[PublicIp | str], str]:
        """All of the VM's IPv4 public IPs, by id where they were not read, and the id of a NIC that was not read.

        A Standard one on any NIC takes default outbound access away from the whole VM.
        """
        found: list[PublicIp | str] = []
        missing = ""
        for reference in vm.nics or ():
            nic = self._tenant.nics.get(key(reference.id))
            missing = missing or ("" if nic else reference.id)
            named = [self._public_ip_of(c) for c in nic.configurations if c.version == V4] if nic else ()
            found += [self._tenant.public_ips.get(key(i)) or i for i in named if i]
        return found, missing

    # ---- IPv6: only what was asked for

    def _of_v6(self, configuration: IpConfiguration, subnet: Subnet) -> Outbound:
        if way := self._public_ip(configuration):
            return way
        by_nic, by_address = self.pools_of(configuration, subnet)
        for pool in (*by_nic, *by_address):
            lb = self._pools.get(pool)
            if lb is None:
                return Outbound("unknown", gap=f"loadBalancers {parent_of(pool)}")
            if way := self._snat(lb, pool, V6):
                return way
        return Outbound("none", decided=subnet.id, reasons=("no-egress",))


def _shows_default(vm: VirtualMachine, nic: Nic) -> bool:
    """Whether the NIC says that it has a default address, which it keeps until the VM is deallocated."""
    return nic.default_outbound is True and vm.power_state not in _RELEASED


def _as_far_as_read(found: Outbound, around: _Surroundings, ips_unread: str) -> Outbound:
    """The same, unless a refused listing may hide a NAT gateway of the network, a pool by address or the public IP of a
    uniform scale set's instance (`ips_unread`).

    All give a way out where there seems to be none. The first two come before default outbound access and take it away
    where they have no address for it; a NAT gateway comes before what gives a way out besides.
    """
    if found.path in ("public-ip", "load-balancer"):
        hidden = around.nats_unread
        return replace(found, gap=found.gap or hidden, inferred=True) if hidden else found
    taking = around.nats_unread or around.pools_unread
    unread = taking or ips_unread
    if not unread or found.path not in ("none", "default-outbound"):
        return found
    path = "unknown" if found.path == "none" else found.path
    return replace(found, path=path, gap=unread, inferred=True, unsure=bool(taking))


def serves_as_next_hop(rule: LoadBalancingRule) -> bool:
    """Whether an internal load balancer's rule forwards TCP to any port (HA ports) or to the judged port."""
    return not rule.outbound and rule.protocol in ("all", "tcp") and rule.frontend_port in (0, PORT)
