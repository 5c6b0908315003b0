"""Pipeline in, plan out: graph, matrix, conditions, key, explanation. Pure: nothing here reads or writes anything."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cicdctl.planning.conditions import Facts, GlobCompiler
from cicdctl.planning.key import KeyParts, named_variables, stage_key, stage_texts
from cicdctl.planning.names import matches_name
from cicdctl.planning.params import resolve_params
from cicdctl.planning.plan import check_needs, make_plan

if TYPE_CHECKING:
    from cicdctl.planning.drawing import draw_graph
    from cicdctl.planning.explanation import Difference, explain, find_nearest
    from cicdctl.planning.trust import restrict, restrictions, trust_of, withhold

# Most runs need none of these; commands that explain or draw, and untrusted runs, pay for them.
_LAZY = {"draw_graph": "drawing", "Difference": "explanation", "explain": "explanation", "find_nearest": "explanation"}
_LAZY |= dict.fromkeys(("restrict", "restrictions", "trust_of", "withhold"), "trust")


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


__all__ = [
    "Difference",
    "Facts",
    "GlobCompiler",
    "KeyParts",
    "check_needs",
    "draw_graph",
    "explain",
    "find_nearest",
    "make_plan",
    "matches_name",
    "named_variables",
    "resolve_params",
    "restrict",
    "restrictions",
    "stage_key",
    "stage_texts",
    "trust_of",
    "withhold",
]
