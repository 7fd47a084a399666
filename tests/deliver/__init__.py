"""Tests of what becomes of a report; the other ends are real servers on loopback."""
