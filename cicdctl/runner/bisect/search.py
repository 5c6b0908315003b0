"""Which commits may have broken it, and which to try next so that the fewest are left. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

# A hundred thousand commits are told apart well enough by 256 of them; the next round is exact.
MOST_OPTIONS = 256
MOST_SWEEPS = 10
# How likely the culprit is among those that earlier failures point at.
BELIEF = 0.9

# A set of commits, one bit each by its place in the order, with its weight.
_Class = tuple[int, float]


class Search:
    """The commits that may be the culprit. `tip` is one of them: it is bad, and all others came before it.

    As for `git bisect`: what came before a good commit is good, and the culprit is a bad commit or came before it.
    """

    def __init__(self, parents: Mapping[str, Sequence[str]]) -> None:
        """Begin with every key of `parents`: each after its own parents, the bad one last."""
        self._all = {oid: tuple(parent for parent in named if parent in parents) for oid, named in parents.items()}
        self._left = dict.fromkeys(self._all)
        self._likely: set[str] = set(self._left)
        self._failed_before: list[str] = []
        self._skipped: set[str] = set()
        self.tip = next(reversed(self._left))

    @property
    def left(self) -> tuple[str, ...]:
        """The commits that may still be the culprit, parents first."""
        return tuple(self._left)

    @property
    def focus(self) -> Collection[str]:
        """The commits among which the culprit is looked for first: all that are left when no failure says more."""
        can_be_tried = any(oid not in self._skipped and oid != self.tip for oid in self._likely)
        return self._likely if can_be_tried else self._left.keys()

    def __contains__(self, oid: str) -> bool:
        return oid in self._left

    def good(self, oid: str) -> None:
        """Take in a good commit: it and all before it are out. One that comes after a bad one changes nothing."""
        gone = self._history(oid)
        if self.tip not in gone:
            self._keep(oid for oid in self._left if oid not in gone)

    def bad(self, oid: str) -> None:
        """Take in a bad commit: only it and what came before it is left.

        One that was out already, on another branch than the culprit so far, only says where to look.
        """
        if oid in self._left:
            self.tip = oid
            history = self._history(oid)
            self._keep(oid for oid in self._left if oid in history)
        else:
            self.suspect(oid)

    def skip(self, oid: str) -> None:
        """Take in a commit that cannot be judged."""
        self._skipped.add(oid)

    def suspect(self, oid: str) -> None:
        """Look first at what came before a commit, and at itself last; it is not taken for bad."""
        self._failed_before.append(oid)
        self._narrow(oid)

    def choose(self, count: int, running: Collection[str] = ()) -> list[str]:
        """Return up to `count` commits to try at once, beside those that are being tried.

        They cut what is left into parts, one of which will remain: the expected size of that one is as small as it
        gets. Fewer than `count` when more would cut no part; none when nothing can be learned any more.
        """
        options = self._options(running)
        masks = self._masks({*options, *(oid for oid in running if oid in self._left)})
        weigh = self._weigher()
        every = (1 << len(self._left)) - 1
        parts: list[_Class] = [(every, weigh(every))]
        for oid in running:
            if oid in masks:
                parts = _cut(parts, masks[oid], weigh)

        def best(parts: Sequence[_Class], without: Collection[str]) -> tuple[float, str]:
            scored = ((_score(parts, masks[oid], weigh), oid) for oid in options if oid not in without)
            return min(scored, key=lambda pair: pair[0], default=(float("inf"), ""))

        picks: list[str] = []
        score = sum(weight * weight for _, weight in parts)
        so_far = parts
        while len(picks) < count:
            better, oid = best(so_far, picks)
            if not better < score:
                break
            score = better
            picks.append(oid)
            so_far = _cut(so_far, masks[oid], weigh)
        # One after the other is not the best together: of three parts the middle is no border.
        for _ in range(MOST_SWEEPS if len(picks) > 1 else 0):
            before = score
            for place in range(len(picks)):
                others = picks[:place] + picks[place + 1 :]
                so_far = parts
                for oid in others:
                    so_far = _cut(so_far, masks[oid], weigh)
                better, oid = best(so_far, others)
                if better < score:
                    score, picks[place] = better, oid
            if not score < before:
                break
        return picks

    def _options(self, running: Collection[str]) -> list[str]:
        """Return what may be tried, at most MOST_OPTIONS, evenly spread."""
        order = list(self._left)
        barred = {self.tip, *running, *self._skipped}
        focus = self.focus
        found = [oid for oid in order if oid in focus and oid not in barred]
        skipped = [place for place, oid in enumerate(order) if oid in self._skipped]
        # What cannot be judged lies together: each one doubles the distance that is kept from all of them.
        distance = 1 << len(skipped) >> 1 if len(skipped) < len(order).bit_length() else len(order)
        places = {oid: place for place, oid in enumerate(order)}
        while distance > 1:
            away = [oid for oid in found if all(abs(places[oid] - place) >= distance for place in skipped)]
            if away:
                found = away
                break
            distance //= 2
        step = max(1, -(-len(found) // MOST_OPTIONS))
        return found[step // 2 :: step] if step > 1 else found

    def _masks(self, wanted: Collection[str]) -> dict[str, int]:
        """Return for each of `wanted` the set of what is left and came before it, itself included."""
        waiting = dict.fromkeys(self._left, 0)
        for oid in self._left:
            for parent in self._all[oid]:
                if parent in waiting:
                    waiting[parent] += 1
        masks: dict[str, int] = {}
        found: dict[str, int] = {}
        for place, oid in enumerate(self._left):
            mask = 1 << place
            for parent in self._all[oid]:
                if parent in waiting:
                    mask |= masks[parent]
                    waiting[parent] -= 1
                    if not waiting[parent]:
                        del masks[parent]  # with a hundred thousand commits all of them would be 1 GB
            masks[oid] = mask
            if oid in wanted:
                found[oid] = mask
        return found

    def _weigher(self) -> Callable[[int], float]:
        """Return what gives the weight of a set: how likely the culprit is in it."""
        focus = self.focus
        likely = sum(1 << place for place, oid in enumerate(self._left) if oid in focus)
        total, some = len(self._left), len(focus)
        if some == total:
            return lambda mask: mask.bit_count() / total
        each, other = BELIEF / some, (1.0 - BELIEF) / (total - some)
        return lambda mask: each * (mask & likely).bit_count() + other * (mask & ~likely).bit_count()

    def _history(self, oid: str) -> set[str]:
        """Return a commit and all that came before it, of those the search began with."""
        found: set[str] = set()
        waiting = [oid] if oid in self._all else []
        while waiting:
            oid = waiting.pop()
            if oid not in found:
                found.add(oid)
                waiting += self._all[oid]
        return found

    def _keep(self, oids: Iterable[str]) -> None:
        self._left = dict.fromkeys(oids)
        self._likely = {oid for oid in self._likely if oid in self._left}
        if not self._likely:
            # What earlier failures pointed at is all good now: look again at those that pointed less far.
            self._likely = set(self._left)
            for oid in self._failed_before:
                self._narrow(oid)

    def _narrow(self, oid: str) -> None:
        narrowed = self._likely & self._history(oid)
        if narrowed:
            self._likely = narrowed


def _cut(parts: Sequence[_Class], mask: int, weigh: Callable[[int], float]) -> list[_Class]:
    """Cut each part into what came before a commit and the rest."""
    found = []
    for part, weight in parts:
        inside = part & mask
        if inside in (0, part):
            found.append((part, weight))
        else:
            found += [(inside, weigh(inside)), (part & ~mask, weigh(part & ~mask))]
    return found


def _score(parts: Sequence[_Class], mask: int, weigh: Callable[[int], float]) -> float:
    """Return the expected weight of the part that remains when a commit is tried, too."""
    score = 0.0
    for part, weight in parts:
        inside = part & mask
        if inside in (0, part):
            score += weight * weight
        else:
            within = weigh(inside)
            score += within * within + (weight - within) * (weight - within)
    return score
