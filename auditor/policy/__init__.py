"""What Microsoft's port-25 policy says of a subscription and a path. Pure; the policy itself is data."""
