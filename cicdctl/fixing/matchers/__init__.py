"""Finds in a log what tools complained about, and how many tests ran: one module for each family of tools."""

from cicdctl.fixing.matchers.find import Found, Matcher, find_diagnostics

__all__ = ["Found", "Matcher", "find_diagnostics"]
