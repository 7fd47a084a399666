"""Errors a user can cause or must know of. Each message says what to do next.

AuditorError            exit 1: failed, no report
├── UsageError          exit 2: a command line or config file that cannot be meant
├── NotSignedIn         exit 1: no token for a tenant; one of several is a gap
└── SnapshotError       exit 1: a snapshot that cannot be read
"""

from __future__ import annotations


class AuditorError(Exception):
    """The run cannot go on; the message is shown to the user as it is."""

    exit_code = 1


class UsageError(AuditorError):
    """The command line or the config file is wrong."""

    exit_code = 2


class NotSignedIn(AuditorError):
    """There is no token for the tenant."""


class SnapshotError(AuditorError):
    """The snapshot is missing something or broken; the message names file and line."""


class Terminated(KeyboardInterrupt):
    """The system ended the run: a deadline, a node that goes away. Treated like Ctrl-C, but somebody is told."""
