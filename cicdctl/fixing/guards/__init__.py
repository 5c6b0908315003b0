"""Looks for cheating and for danger in a candidate, by code and never by a model's opinion."""

from cicdctl.fixing.guards.check import check_guards
from cicdctl.fixing.guards.patch import GuardPolicy

__all__ = ["GuardPolicy", "check_guards"]
