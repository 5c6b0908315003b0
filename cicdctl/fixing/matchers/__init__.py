"""Finds in a log what tools complained about, and how many tests ran."""

from cicdctl.fixing.matchers.find import Found, find_diagnostics

__all__ = ["Found", "find_diagnostics"]
