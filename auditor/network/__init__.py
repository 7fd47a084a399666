"""How a packet leaves a VM: rules, routes, next hops, Azure Firewall, outbound method. Pure."""
