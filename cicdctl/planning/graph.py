"""The graph of needs: an order, the cycle that forbids one, and what lies before and after a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

Needs = Mapping[str, Sequence[str]]


def order_by_needs(needs: Needs) -> tuple[str, ...]:
    """Return the nodes so that each comes after all it needs, else as they were written.

    Every need must be a node itself. Raises ValueError when there is a cycle; `find_cycle` names it.
    """
    written = {name: position for position, name in enumerate(needs)}
    waiting = {name: len(set(wanted)) for name, wanted in needs.items()}
    after = invert(needs)
    ready = [written[name] for name, count in waiting.items() if count == 0]
    heapify(ready)
    names, ordered = tuple(needs), []
    while ready:
        name = names[heappop(ready)]
        ordered.append(name)
        for later in after[name]:
            waiting[later] -= 1
            if waiting[later] == 0:
                heappush(ready, written[later])
    if len(ordered) != len(names):
        raise ValueError("the graph has a cycle")
    return tuple(ordered)


def find_cycle(needs: Needs) -> tuple[str, ...] | None:
    """Return one cycle as `("a", "b", "a")`, each needing the next; None when there is none."""
    done: set[str] = set()
    for first in needs:
        path: list[str] = []
        on_path: dict[str, int] = {}
        # An own stack, since a chain of needs may be longer than Python's recursion limit.
        stack: list[tuple[str, bool]] = [(first, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                done.add(name)
                del on_path[path.pop()]
            elif name in on_path:
                return (*path[on_path[name] :], name)
            elif name not in done:
                on_path[name] = len(path)
                path.append(name)
                stack.append((name, True))
                stack.extend((need, False) for need in reversed(needs[name]))
    return None


def closure(needs: Needs, start: Iterable[str]) -> frozenset[str]:
    """Return `start` and everything reachable by following the arrows."""
    found: set[str] = set()
    stack = list(start)
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack.extend(needs[name])
    return frozenset(found)


def invert(needs: Needs) -> dict[str, tuple[str, ...]]:
    """Turn every arrow around: which nodes need this one."""
    after: dict[str, list[str]] = {name: [] for name in needs}
    for name, wanted in needs.items():
        for need in dict.fromkeys(wanted):
            after[need].append(name)
    return {name: tuple(later) for name, later in after.items()}
