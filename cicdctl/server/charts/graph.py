"""The graph of a run's stages: cards in columns by longest path, and lines that pass between them, never behind.

A matrix is one card. Stages that wait for the same and are waited for by the same stand in one card when there are
many: their lines would be the same. Pixels; the origin is the upper left corner.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from itertools import pairwise

from msgspec.structs import replace

from cicdctl.model import Value
from cicdctl.server.charts.cards import Card, Node, make_cards

_GAP_X, _GAP_Y = 52, 14
_LANE = 8  # of a line that passes a column
_SWEEPS = 6


class Line(Value, frozen=True, kw_only=True):
    """From card to card, by their index: points from left to right. It bends between columns, never inside one."""

    source: int
    target: int
    is_critical: bool = False
    points: tuple[tuple[float, float], ...]

    @property
    def path(self) -> str:
        """The line as the path data of an SVG."""
        (x, y), *rest = self.points
        parts = [f"M{x:g} {y:g}"]
        for to_x, to_y in rest:
            middle = (x + to_x) / 2
            parts.append(f"H{to_x:g}" if to_y == y else f"C{middle:g} {y:g} {middle:g} {to_y:g} {to_x:g} {to_y:g}")
            x, y = to_x, to_y
        return "".join(parts)


class Picture(Value, frozen=True, kw_only=True):
    """All of it, and how large it is."""

    width: float
    height: float
    cards: tuple[Card, ...]
    lines: tuple[Line, ...]


# A card by its index, or a line on its way: the card it comes from, and the column it passes.
_Spot = int | tuple[int, int]


def lay_out(nodes: Sequence[Node], critical: Sequence[str] = ()) -> Picture:
    """Give every stage its place. `nodes` come in an order in which each follows what it needs; others are no need.

    `critical` are the names along the critical path, in its order.
    """
    cards, needs = make_cards(nodes)
    if not cards:
        return Picture(width=0, height=0, cards=(), lines=())
    layer = [0] * len(cards)
    for at, found in enumerate(needs):
        layer[at] = max((layer[need] + 1 for need in found), default=0)
    cards = _of_one_width(cards, layer)
    columns, links = _columns(layer, needs)
    _sort(columns, links)
    middles = _middles(columns, links, cards)
    widths = [max((cards[spot].width for spot in column if isinstance(spot, int)), default=0) for column in columns]
    lefts = [sum(widths[:at]) + _GAP_X * at for at in range(len(columns))]
    placed = tuple(
        replace(card, x=lefts[layer[at]], y=round(middles[at] - card.height / 2, 1)) for at, card in enumerate(cards)
    )
    home = {name: at for at, card in enumerate(cards) for name in card.names}
    way = [home[name] for name in critical if name in home]
    steps = set(pairwise(way))
    lines = tuple(
        Line(
            source=need,
            target=at,
            is_critical=(need, at) in steps,
            points=_points(need, at, placed, layer, lefts, widths, middles),
        )
        for at, found in enumerate(needs)
        for need in found
    )
    return Picture(
        width=lefts[-1] + widths[-1],
        height=max(card.y + card.height for card in placed) if not lines else _bottom(placed, lines),
        cards=placed,
        lines=lines,
    )


def _of_one_width(cards: Sequence[Card], layer: Sequence[int]) -> list[Card]:
    """Make single stages of a column equally wide."""
    widest: dict[int, float] = {}
    for card, column in zip(cards, layer, strict=True):
        if len(card.places) == 1:
            widest[column] = max(widest.get(column, 0.0), card.width)
    return [
        replace(card, width=widest[column], places=(replace(card.places[0], width=widest[column]),))
        if len(card.places) == 1
        else card
        for card, column in zip(cards, layer, strict=True)
    ]


def _bottom(cards: Sequence[Card], lines: Sequence[Line]) -> float:
    lowest = max(y for line in lines for _, y in line.points)
    return max(lowest + 2, *(card.y + card.height for card in cards))


def _columns(
    layer: Sequence[int], needs: Sequence[Sequence[int]]
) -> tuple[list[list[_Spot]], list[list[tuple[_Spot, _Spot]]]]:
    """Return what stands in each column, and the links from each column to the next."""
    last = max(layer)
    columns: list[list[_Spot]] = [[] for _ in range(last + 1)]
    links: list[dict[tuple[_Spot, _Spot], None]] = [{} for _ in range(last + 1)]
    for at, column in enumerate(layer):
        columns[column].append(at)
    passing: set[_Spot] = set()
    for target, found in enumerate(needs):
        for source in found:
            spot: _Spot = source
            for column in range(layer[source] + 1, layer[target] + 1):
                to: _Spot = target if column == layer[target] else (source, column)
                if isinstance(to, tuple) and to not in passing:
                    passing.add(to)
                    columns[column].append(to)
                links[column - 1][spot, to] = None
                spot = to
    return columns, [list(band) for band in links]


def _sort(columns: list[list[_Spot]], links: Sequence[Sequence[tuple[_Spot, _Spot]]]) -> None:
    """Order each column so that few lines cross: by the middle of the neighbours, from left to right and back.

    The best order on the way counts.
    """
    best, fewest = [list(column) for column in columns], _crossings(columns, links)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        is_back = sweep % 2 == 1
        for column in reversed(range(len(columns) - 1)) if is_back else range(1, len(columns)):
            beside = columns[column + 1] if is_back else columns[column - 1]
            at = {spot: place for place, spot in enumerate(beside)}
            near: dict[_Spot, list[int]] = {}
            for source, target in links[column if is_back else column - 1]:
                here, there = (source, target) if is_back else (target, source)
                near.setdefault(here, []).append(at[there])
            place = {spot: float(index) for index, spot in enumerate(columns[column])}
            scale = len(beside) / max(1, len(columns[column]))
            columns[column].sort(key=lambda spot: _mean(near.get(spot), place[spot] * scale))
        crossings = _crossings(columns, links)
        if crossings < fewest:
            best, fewest = [list(column) for column in columns], crossings
    columns[:] = best


def _crossings(columns: Sequence[Sequence[_Spot]], links: Sequence[Sequence[tuple[_Spot, _Spot]]]) -> int:
    """Count how often lines cross between columns."""
    found = 0
    for column, band in enumerate(links[:-1]):
        at = {spot: place for side in (columns[column], columns[column + 1]) for place, spot in enumerate(side)}
        below: list[int] = []
        for _, target in sorted((at[source], at[target]) for source, target in band):
            found += len(below) - bisect_right(below, target)
            insort(below, target)
    return found


def _mean(values: Sequence[float] | None, otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _middles(
    columns: Sequence[Sequence[_Spot]], links: Sequence[Sequence[tuple[_Spot, _Spot]]], cards: Sequence[Card]
) -> Mapping[_Spot, float]:
    """Return the height of every middle: near to the neighbours', in the order of the column, nothing overlapping."""
    half = {spot: (cards[spot].height if isinstance(spot, int) else _LANE) / 2 for column in columns for spot in column}
    middle: dict[_Spot, float] = {}
    for column in columns:
        y = 0.0
        for spot in column:
            middle[spot] = y + half[spot]
            y += 2 * half[spot] + _GAP_Y
    near: list[dict[_Spot, list[_Spot]]] = [{}, {}]
    for band in links:
        for source, target in band:
            near[0].setdefault(target, []).append(source)
            near[1].setdefault(source, []).append(target)
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wished = [_mean([middle[one] for one in near[sweep % 2].get(spot, ())], middle[spot]) for spot in column]
            for spot, y in zip(column, _apart(wished, [half[spot] for spot in column]), strict=True):
                middle[spot] = y
    return _together(middle, half)


def _together(middle: Mapping[_Spot, float], half: Mapping[_Spot, float]) -> dict[_Spot, float]:
    """Move what lies below a stripe in which there is nothing, in no column, up to what lies above it."""
    moved: dict[_Spot, float] = {}
    up, bottom = None, 0.0
    for spot in sorted(middle, key=lambda spot: middle[spot] - half[spot]):
        top = middle[spot] - half[spot]
        up = top if up is None else up + max(0.0, top - up - bottom - _GAP_Y)
        moved[spot] = round(middle[spot] - up, 1)
        bottom = max(bottom, moved[spot] + half[spot])
    return moved


def _apart(wished: Sequence[float], half: Sequence[float]) -> list[float]:
    """Return heights near to the wished ones that keep their order and distance.

    Pushed down from the top is one answer, pushed up from the bottom another; what lies between is one, too.
    """
    down = list(wished)
    for at in range(1, len(down)):
        down[at] = max(down[at], down[at - 1] + half[at - 1] + half[at] + _GAP_Y)
    up = list(wished)
    for at in reversed(range(len(up) - 1)):
        up[at] = min(up[at], up[at + 1] - half[at + 1] - half[at] - _GAP_Y)
    return [(one + other) / 2 for one, other in zip(down, up, strict=True)]


def _points(
    source: int,
    target: int,
    cards: Sequence[Card],
    layer: Sequence[int],
    lefts: Sequence[float],
    widths: Sequence[float],
    middles: Mapping[_Spot, float],
) -> tuple[tuple[float, float], ...]:
    y = middles[source]
    points = [(cards[source].x + cards[source].width, y), (lefts[layer[source]] + widths[layer[source]], y)]
    for column in range(layer[source] + 1, layer[target]):
        y = middles[source, column]
        points += [(lefts[column], y), (lefts[column] + widths[column], y)]
    return (*points, (cards[target].x, middles[target]))
