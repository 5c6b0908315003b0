"""The matrix of a stage: one cell per combination of its axes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import prod

from cicdctl.model import Matrix

# A pushed file must not be able to make the runner build billions of cells.
MAX_CELLS = 1000


def matrix_cells(matrix: Matrix) -> tuple[dict[str, str], ...]:
    """Return the cells in written order, last axis fastest; one empty cell when there is no matrix.

    An `exclude` takes out each cell that has all its values. Raises ValueError when nothing is left
    or there are more than MAX_CELLS.
    """
    if not matrix.axes:
        return ({},)
    if prod(len(values) for values in matrix.axes.values()) > MAX_CELLS:
        raise ValueError(f"more than {MAX_CELLS} cells")
    combinations = product(*(dict.fromkeys(values) for values in matrix.axes.values()))
    cells = (dict(zip(matrix.axes, values, strict=True)) for values in combinations)
    kept = tuple(cell for cell in cells if not any(_is_part(exclude, cell) for exclude in matrix.exclude))
    if not kept:
        raise ValueError("no cell is left")
    return kept


def cell_id(stage: str, cell: Mapping[str, str]) -> str:
    """Name a planned stage: `unit`, or `unit[python=3.11,os=linux]` for a cell."""
    return f"{stage}[{','.join(f'{name}={value}' for name, value in cell.items())}]" if cell else stage


def _is_part(exclude: Mapping[str, str], cell: Mapping[str, str]) -> bool:
    return bool(exclude) and all(cell.get(name) == value for name, value in exclude.items())
