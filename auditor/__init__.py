"""Which VMs of an Azure tenant can send mail on TCP port 25, by which path, and what decides it."""

__version__ = "0.1.0"
