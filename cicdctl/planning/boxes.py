"""Lays out a graph of boxes level by level and routes the lines between them on a grid of characters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_LINES = " ╵╷│╴┘┐┤╶└┌├─┴┬┼"
_GAP = 2

# A line in flight: (the stage it leaves, the stage it ends at). On levels it only passes it takes one column.
_Node = str | tuple[str, str]


def draw_boxes(
    levels: Sequence[Sequence[str]],
    needs: Mapping[str, Sequence[str]],
    labels: Mapping[str, str],
    *,
    ascii_only: bool = False,
) -> str:
    """Draw each level as a row of boxes, with lines from each stage down to those that need it.

    Where lines cross, the vertical one passes over the other; only where they meet is there a junction.
    """
    rows, links = _with_passing_lines(levels, needs)
    grid = _Grid(ascii_only=ascii_only)
    top = 0
    centres: dict[_Node, int] = {}
    for depth, row in enumerate(rows):
        places = _place(row, links[depth - 1] if depth else [], centres, labels)
        if depth:
            top = _route(grid, top, links[depth - 1], centres, places)
        for node, (left, width) in places.items():
            _draw_node(grid, top, node, left, width, labels, is_last=depth == len(rows) - 1)
        centres = {node: left + width // 2 for node, (left, width) in places.items()}
        top += 3
        if depth < len(rows) - 1:
            for node in {source for source, _ in links[depth]}:
                if isinstance(node, str):
                    grid.join(top - 1, centres[node], _DOWN)
    return grid.text()


class _Grid:
    """Characters and pieces of lines by (row, column). A piece knows whose it is: crossings are no meetings."""

    def __init__(self, *, ascii_only: bool) -> None:
        self._ascii_only = ascii_only
        self._pieces: dict[tuple[int, int], dict[object, int]] = {}
        self._letters: dict[tuple[int, int], str] = {}

    def join(self, row: int, column: int, ends: int, owner: object = None) -> None:
        pieces = self._pieces.setdefault((row, column), {})
        pieces[owner] = pieces.get(owner, 0) | ends

    def horizontal(self, row: int, left: int, right: int, owner: object = None) -> None:
        for column in range(left, right + 1):
            self.join(row, column, _LEFT * (column > left) | _RIGHT * (column < right), owner)

    def vertical(self, top: int, bottom: int, column: int, owner: object = None) -> None:
        for row in range(top, bottom + 1):
            self.join(row, column, _UP * (row > top) | _DOWN * (row < bottom), owner)

    def write(self, row: int, column: int, text: str) -> None:
        for offset, letter in enumerate(text):
            self._letters[row, column + offset] = letter

    def text(self) -> str:
        cells = {**{place: self._line(pieces) for place, pieces in self._pieces.items()}, **self._letters}
        height = max((row for row, _ in cells), default=-1) + 1
        ends = [0] * height
        for row, column in cells:
            ends[row] = max(ends[row], column + 1)
        lines = ("".join(cells.get((row, column), " ") for column in range(ends[row])) for row in range(height))
        return "\n".join(line.rstrip() for line in lines)

    def _line(self, pieces: Mapping[object, int]) -> str:
        upright = _UP | _DOWN
        ends = 0
        if set(pieces.values()) == {upright, _LEFT | _RIGHT}:
            ends = upright
        else:
            for piece in pieces.values():
                ends |= piece
        if not self._ascii_only:
            return _LINES[ends]
        return "|" if not ends & ~upright else "-" if not ends & upright else "+"


def _with_passing_lines(
    levels: Sequence[Sequence[str]], needs: Mapping[str, Sequence[str]]
) -> tuple[list[list[_Node]], list[list[tuple[_Node, _Node]]]]:
    """Return the rows with a node for each line that passes a level, and the links from row to row."""
    depth_of = {name: depth for depth, row in enumerate(levels) for name in row}
    rows: list[list[_Node]] = [list(row) for row in levels]
    links: list[list[tuple[_Node, _Node]]] = [[] for _ in levels]
    for name, wanted in needs.items():
        for need in wanted:
            above: _Node = need
            for depth in range(depth_of[need], depth_of[name]):
                is_end = depth + 1 == depth_of[name]
                below: _Node = name if is_end else (need, name)
                links[depth].append((above, below))
                if not is_end:
                    rows[depth + 1].append(below)
                above = below
    return rows, links


def _place(
    row: Sequence[_Node], links: Sequence[tuple[_Node, _Node]], centres: Mapping[_Node, int], labels: Mapping[str, str]
) -> dict[_Node, tuple[int, int]]:
    """Give each node of a row its (left, width): below the middle of what it comes from, without overlap."""
    parents: dict[_Node, list[int]] = {node: [] for node in row}
    for source, target in links:
        parents[target].append(centres[source])
    wished = {node: sum(found) // len(found) if found else -1 for node, found in parents.items()}
    starts = {centres[source] for source, _ in links}
    places: dict[_Node, tuple[int, int]] = {}
    free = 0
    for node in sorted(row, key=lambda node: wished[node]):
        # Wide enough for a door for each line, with room to keep clear of lines that start above.
        width = max(len(labels[node]) + 4, 2 * len(parents[node]) + 3) if isinstance(node, str) else 1
        left = max(free, wished[node] - width // 2)
        if width == 1:
            # A passing line has no choice of doors, so it must not enter below where another line starts.
            own = [centres[source] for source, target in links if target == node]
            while left in starts and left not in own:
                left += 1
        places[node] = (left, width)
        free = left + width + _GAP
    return places


def _draw_node(
    grid: _Grid, top: int, node: _Node, left: int, width: int, labels: Mapping[str, str], *, is_last: bool
) -> None:
    if not isinstance(node, str):
        grid.vertical(top - 1, top + (2 if is_last else 3), left, owner=node[0])
        return
    right = left + width - 1
    for row in (top, top + 2):
        grid.horizontal(row, left, right)
    for column in (left, right):
        grid.vertical(top, top + 2, column)
    grid.write(top + 1, left + (width - len(labels[node])) // 2, labels[node])


def _route(
    grid: _Grid,
    top: int,
    links: Sequence[tuple[_Node, _Node]],
    centres: Mapping[_Node, int],
    places: Mapping[_Node, tuple[int, int]],
) -> int:
    """Draw the lines of one band that begins at row `top`; return the row where the next boxes begin."""
    doors = _doors(links, centres, places)
    spans: dict[_Node, tuple[int, int]] = {}
    for (source, _), column in doors.items():
        low, high = spans.get(source, (centres[source], centres[source]))
        spans[source] = (min(low, column), max(high, column))
    tracks = _tracks(spans)
    bottom = top + max((tracks.values()), default=0) + 1
    for (source, target), column in doors.items():
        owner = source if isinstance(source, str) else source[0]
        row, start = top + tracks[source], centres[source]
        grid.vertical(top - 1, row, start, owner)
        grid.horizontal(row, min(start, column), max(start, column), owner)
        grid.vertical(row, bottom, column, owner)
        if isinstance(target, str):
            grid.join(bottom, column, _UP)
    return bottom


def _doors(
    links: Sequence[tuple[_Node, _Node]], centres: Mapping[_Node, int], places: Mapping[_Node, tuple[int, int]]
) -> dict[tuple[_Node, _Node], int]:
    """Choose the column at which each line enters: straight below its start where possible, else one of its own."""
    starts = {centres[source] for source, _ in links}
    doors: dict[tuple[_Node, _Node], int] = {}
    for target, (left, width) in places.items():
        inside = range(left + 1, left + width - 1) if width > 2 else range(left, left + 1)
        sources = sorted((source for source, end in links if end == target), key=lambda source: centres[source])
        bent = [source for source in sources if centres[source] not in inside]
        doors.update({(source, target): centres[source] for source in sources if source not in bent})
        middle = left + width // 2
        free = sorted((c for c in inside if c not in starts), key=lambda column: abs(column - middle))
        # From left to right as the lines come, so that they do not cross at the last step.
        columns = sorted(free[: len(bent)]) or [middle]
        doors.update({(source, target): columns[min(n, len(columns) - 1)] for n, source in enumerate(bent)})
    return doors


def _tracks(spans: Mapping[_Node, tuple[int, int]]) -> dict[_Node, int]:
    """Give each line a row of the band: lines that would touch get different ones; straight ones need none."""
    ends: list[int] = []
    tracks: dict[_Node, int] = {}
    for source, (low, high) in sorted(spans.items(), key=lambda item: item[1]):
        if low == high:
            tracks[source] = 0
            continue
        track = next((row for row, end in enumerate(ends) if end < low - 1), len(ends))
        ends[track : track + 1] = [high]
        tracks[source] = track
    return tracks
