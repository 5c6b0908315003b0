"""Draws a plan for the terminal: boxes and lines while they fit, a list by level when there are too many."""

from __future__ import annotations

from collections.abc import Mapping

from cicdctl.model import Plan, PlannedStage
from cicdctl.planning.boxes import draw_boxes
from cicdctl.planning.graph import closure

# More boxes than this are not taken in at a glance.
_MAX_BOXES = 40
_MAX_LINES = 80


def draw_graph(plan: Plan, *, width: int = 100, ascii_only: bool = False) -> str:
    """Draw the stages from first to last, in lines of at most `width` columns where that is possible.

    The cells of one stage share a box. A need that another need implies is left out. `ascii_only` is for
    terminals without box characters. No trailing newline; an empty plan is an empty text.
    """
    labels = _labels(plan)
    needs = _reduced(_stage_needs(plan))
    levels = _levels(needs)
    if len(labels) <= _MAX_BOXES:
        text = draw_boxes(levels, needs, labels, ascii_only=ascii_only)
        lines = text.split("\n")
        if max(map(len, lines)) <= width and len(lines) <= _MAX_LINES:
            return text
    return _draw_list(levels, needs, labels, ascii_only=ascii_only)


def _labels(plan: Plan) -> dict[str, str]:
    cells: dict[str, list[PlannedStage]] = {}
    for planned in plan.stages:
        cells.setdefault(planned.stage.name, []).append(planned)
    return {name: _label(name, planned) for name, planned in cells.items()}


def _label(name: str, cells: list[PlannedStage]) -> str:
    text = f"{name} ({len(cells)} cells)" if len(cells) > 1 else cells[0].id
    skipped = sum(1 for cell in cells if cell.skip is not None)
    if skipped == len(cells):
        return f"{text}, skipped"
    return f"{text}, {skipped} skipped" if skipped else text


def _stage_needs(plan: Plan) -> dict[str, tuple[str, ...]]:
    name_of = {planned.id: planned.stage.name for planned in plan.stages}
    needs: dict[str, dict[str, None]] = {}
    for planned in plan.stages:
        found = needs.setdefault(planned.stage.name, {})
        found.update(dict.fromkeys(name_of[need] for need in planned.needs if need in name_of))
    return {name: tuple(found) for name, found in needs.items()}


def _reduced(needs: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Leave out each need that another need of the same stage implies."""
    reduced = {}
    for name, direct in needs.items():
        implied: set[str] = set()
        if len(direct) > 1:
            implied.update(*(closure(needs, needs[need]) for need in direct))
        reduced[name] = tuple(need for need in direct if need not in implied)
    return reduced


def _levels(needs: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    """Put each stage one level below the lowest of its needs. The plan's order makes one pass enough."""
    level: dict[str, int] = {}
    for name, wanted in needs.items():
        level[name] = max((level[need] + 1 for need in wanted), default=0)
    levels: list[list[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for name, depth in level.items():
        levels[depth].append(name)
    return levels


def _draw_list(
    levels: list[list[str]], needs: Mapping[str, tuple[str, ...]], labels: Mapping[str, str], *, ascii_only: bool
) -> str:
    one, first, middle, last, arrow = ("-", "+", "|", "+", "<-") if ascii_only else ("─", "┬", "├", "└", "←")
    margin = len(str(len(levels)))
    column = min(40, max((len(label) for label in labels.values()), default=0))
    lines = []
    for depth, names in enumerate(levels, start=1):
        for position, name in enumerate(names):
            number = str(depth) if position == 0 else ""
            is_last = position == len(names) - 1
            branch = (one if is_last else first) if position == 0 else (last if is_last else middle)
            wanted = f"  {arrow} {', '.join(needs[name])}" if needs[name] else ""
            lines.append(f"{number:>{margin}} {branch} {labels[name]:<{column}}{wanted}".rstrip())
    return "\n".join(lines)
