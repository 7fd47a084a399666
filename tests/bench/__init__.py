"""Figures. Not part of the test run: each module is a command."""
