"""The cards of a graph: which stages share one, and how they stand in it. Pixels from the card's upper left corner."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from cicdctl.model import Value

ROW = 28
_CHAR = 7.7  # of the widest font that we name, on average
_PAD = 6
_TITLE = 24
_MOST_CHARS = 26
_MOST_ROWS = 12
_MOST_COLUMNS = 4
_SQUARE = 22
_SQUARES_A_ROW = 20
_FEW = 5


class Cell(Value, frozen=True, kw_only=True):
    """A stage, or one cell of its matrix. `look`, `icon` and `says` tell how it stands, `note` for how long."""

    id: str
    label: str
    look: str
    icon: str
    says: str
    note: str = ""
    href: str = ""


class Node(Value, frozen=True, kw_only=True):
    """A stage with what it needs, by name; several cells are a matrix."""

    name: str
    needs: tuple[str, ...] = ()
    cells: tuple[Cell, ...] = ()


class Place(Value, frozen=True, kw_only=True):
    """A cell in a card; a square one has room for its icon only. `shown` is its label as far as it fits."""

    cell: Cell
    x: float
    y: float
    width: float
    height: float
    shown: str
    is_square: bool = False


class Card(Value, frozen=True, kw_only=True):
    """One box. `names` are the stages in it; a matrix has a title."""

    names: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float
    title: str = ""
    places: tuple[Place, ...] = ()


def make_cards(nodes: Sequence[Node]) -> tuple[list[Card], list[list[int]]]:
    """Return the cards at the origin, each after those it needs, and the indices of those."""
    known: dict[str, set[str]] = {}
    waits: dict[str, set[str]] = {node.name: set() for node in nodes}
    for node in nodes:
        known[node.name] = {need for need in node.needs if need in known}
        for need in known[node.name]:
            waits[need].add(node.name)
    alike: dict[object, list[Node]] = {}
    for node in nodes:
        same = (frozenset(known[node.name]), frozenset(waits[node.name]))
        alike.setdefault(same if len(node.cells) == 1 else node.name, []).append(node)
    home: dict[str, int] = {}
    cards: list[Card] = []
    for found in alike.values():
        for group in [found] if len(found) > _FEW else [[node] for node in found]:
            home |= {node.name: len(cards) for node in group}
            cards.append(_card(group))
    needs = [sorted({home[need] for name in card.names for need in known[name]}) for card in cards]
    return _in_order(cards, needs)


def _in_order(cards: Sequence[Card], needs: Sequence[Sequence[int]]) -> tuple[list[Card], list[list[int]]]:
    """Sort cards so that each comes after its needs: those that were put together may have come too early."""
    order: list[int] = []
    done: set[int] = set()
    waiting = list(range(len(cards)))
    while waiting:
        ready = [at for at in waiting if done.issuperset(needs[at])]
        order += ready
        done.update(ready)
        waiting = [at for at in waiting if at not in done]
    new = {old: at for at, old in enumerate(order)}
    return [cards[old] for old in order], [sorted(new[need] for need in needs[old]) for old in order]


def _card(nodes: Sequence[Node]) -> Card:
    cells = [cell for node in nodes for cell in node.cells]
    is_matrix = len(nodes) == 1 and len(cells) > 1
    top = _TITLE if is_matrix else 0
    pad = _PAD if len(cells) > 1 else 0
    if len(cells) > _MOST_ROWS * _MOST_COLUMNS:
        columns, width, height = _SQUARES_A_ROW, float(_SQUARE), _SQUARE
    else:
        columns, height = max(1, ceil(len(cells) / _MOST_ROWS)), ROW
        width = max((_width(cell) for cell in cells), default=80.0)
    rows = ceil(len(cells) / columns)
    columns = ceil(len(cells) / rows) if rows else 1
    title = nodes[0].name if is_matrix else ""
    whole = max(columns * width + 2 * pad, len(title[:_MOST_CHARS]) * _CHAR + 50 if title else 0)
    if whole > columns * width + 2 * pad and height == ROW:
        width = (whole - 2 * pad) / columns
    places = tuple(
        Place(
            cell=cell,
            # From top to bottom as in a list; squares from left to right as in a text.
            x=pad + width * (at % columns if height == _SQUARE else at // rows),
            y=top + pad + height * (at // columns if height == _SQUARE else at % rows),
            width=width,
            height=height,
            shown=_cut(cell.label),
            is_square=height == _SQUARE,
        )
        for at, cell in enumerate(cells)
    )
    return Card(
        names=tuple(node.name for node in nodes),
        x=0,
        y=0,
        width=whole,
        height=top + 2 * pad + rows * height,
        title=_cut(title),
        places=places,
    )


def _width(cell: Cell) -> float:
    return 40 + _CHAR * len(_cut(cell.label)) + (10 + 6.8 * len(cell.note) if cell.note else 4)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARS else text[: _MOST_CHARS - 1] + "…"
