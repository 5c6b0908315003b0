"""Pipeline in, plan out: graph, matrix, conditions, key, explanation. Pure: nothing here reads or writes anything."""

from cicdctl.planning.conditions import Facts, GlobCompiler
from cicdctl.planning.key import KeyParts, named_variables, stage_key, stage_texts
from cicdctl.planning.names import matches_name
from cicdctl.planning.params import resolve_params
from cicdctl.planning.plan import make_plan

__all__ = [
    "Facts",
    "GlobCompiler",
    "KeyParts",
    "make_plan",
    "matches_name",
    "named_variables",
    "resolve_params",
    "stage_key",
    "stage_texts",
]
