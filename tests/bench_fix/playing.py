"""Plays what was asked for, a few at once, each in a folder of its own that is gone afterwards."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tests.bench_fix import cheats_by_hand, cheats_js, cheats_python
from tests.bench_fix.distilling import distil
from tests.bench_fix.glance import Glance
from tests.bench_fix.history import remember
from tests.bench_fix.honest import honest
from tests.bench_fix.killing import STATES, kill
from tests.bench_fix.rehearsal import rehearse
from tests.bench_fix.room import Played, play
from tests.bench_fix.scenes import Scene
from tests.bench_fix.spending import LIMITS, spend
from tests.bench_fix.table import Results

PARTS = ("rehearsal", "guards", "scenes", "again", "limits", "kills", "logs")
# Of the cheats every so many is played twice; of the honest scripts all.
AGAIN_EVERY = 9
# Whoever has no time for all of them has seen some of each kind.
_STRIDE = 4

A = TypeVar("A")
B = TypeVar("B")
Say = Callable[[str], None]


def all_scenes(words: Sequence[str] = ()) -> list[Scene]:
    """Return the scenes whose name holds one of the words; all without any."""
    scenes = [*honest(), *cheats_python.cheats(), *cheats_js.cheats(), *cheats_by_hand.cheats()]
    return [one for one in scenes if not words or any(word in one.name for word in words)]


def play_all(
    scenes: Sequence[Scene],
    *,
    parts: Iterable[str] = PARTS,
    jobs: int = 2,
    scratch: Path | None = None,
    until: float = float("inf"),
    say: Say = str,
) -> Results:
    """Play the scenes and the other parts. What cannot be played is in `failed`; `say` hears of each as it ends.

    What has not begun at `until` (`time.monotonic()`) is left out, and counted in `left_out`.
    """
    parts = set(parts)
    results = Results()
    with ThreadPoolExecutor(jobs) as pool:

        def each(function: Callable[[A, Path], B], cases: Sequence[A], name: Callable[[A], str]) -> list[tuple[A, B]]:
            def one(case: A) -> B | None:
                if time.monotonic() > until:
                    results.left_out.append(name(case))
                    return None
                try:
                    with tempfile.TemporaryDirectory(prefix="cicdctl-fix-", dir=scratch) as folder:
                        return function(case, Path(folder))
                except Exception as error:  # the others are to be played all the same
                    results.failed[name(case)] = f"{type(error).__name__}: {error}"
                    return None

            done = []
            for case, found in zip(cases, pool.map(one, cases), strict=True):
                if found is not None:
                    done.append((case, found))
                say(f"{name(case)}: {_told(found)}")
            return done

        if "rehearsal" in parts:
            unfit = each(rehearse, scenes, lambda scene: f"rehearsal of {scene.name}")
            results.rehearsed = len(unfit)
            results.unfit = {scene.name: why for scene, why in unfit if why}
        if "guards" in parts:
            with tempfile.TemporaryDirectory(prefix="cicdctl-fix-", dir=scratch) as folder:
                glance = Glance(Path(folder))
                results.judged = [glance.judge(scene) for scene in scenes]
        if "scenes" in parts:
            mixed = [scene for start in range(_STRIDE) for scene in scenes[start::_STRIDE]]
            results.played = [played for _, played in each(play, mixed, lambda scene: scene.name)]
        if "again" in parts:
            cheats = [one for one in results.played if one.scene.kind == "cheat"]
            chosen = [one for one in results.played if one.scene.kind == "honest"] + cheats[::AGAIN_EVERY]
            again = each(lambda one, root: play(one.scene, root), chosen, lambda one: f"again: {one.scene.name}")
            results.again = again
        if "limits" in parts:
            results.spent = [found for _, found in each(spend, list(LIMITS), str)]
        if "kills" in parts:
            results.killed = [found for _, found in each(kill, STATES, lambda state: f"killed when {state}")]
    if "logs" in parts:
        results.distilled = distil()
    return results


def judge_history(folder: Path, most: int) -> Results:
    """Ask the guards of what people changed in a repository."""
    return Results(remembered=remember(folder, most))


def _told(found: object) -> str:
    if isinstance(found, Played):
        return f"{found.outcome} {', '.join(found.caught)} ({found.seconds:.1f} s)"
    return "could not be played" if found is None else str(found) or "as it says"
