"""`kill -9` in each state of a fix that a model makes: the next command goes on, and nothing is there twice."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from messages_api import MessagesApi

from cicdctl.model.fix_record import FixState
from tests.bench_fix.projects import GOOD, MEDIAN, OLD
from tests.bench_fix.rehearsal import is_right
from tests.bench_fix.room import MOST_ANSWERS, answer, make_repository
from tests.bench_fix.scenes import Edit, Scene
from tests.bench_fix.traces import orphans

STATES = (*(state.value for state in FixState if state is not FixState.CAPTURED), "applying-noted", "verifying-noted")
REPAIR = Scene(name="repair", kind="honest", project=MEDIAN, edits=(Edit("src/stats.py", GOOD, OLD),))


@dataclass(frozen=True, kw_only=True)
class Killed:
    """What came of it: `commits` are all that fix branches hold, one is right."""

    state: str
    status: int
    outcome: str
    commits: int
    left: list[str]


def kill(state: str, root: Path) -> Killed:
    """Kill a fix when it enters a state, and begin again; in an empty folder."""
    folder = make_repository(root, MEDIAN, attempts=3)
    (folder.path / ".git/cicdctl/failpoints-allowed").touch()
    with MessagesApi() as api:
        folder.env["ANTHROPIC_BASE_URL"] = api.url
        api.will(*[answer(REPAIR.turns)] * MOST_ANSWERS)
        first = folder.cicdctl("fix", "1", env={"CICDCTL_FAILPOINT": f"fix-{state}"})
        record = json.loads(folder.cicdctl("fix", "1", "--json").stdout)
    commits = folder.git("rev-list", "--count", "--glob=refs/heads/cicdctl/*", "--not", "main").split()
    outcome = record["outcome"]
    if outcome == "fixed":
        folder.git("worktree", "add", "-q", "--detach", str(root / "offered"), record["branch"])
        outcome = "fixed" if is_right(MEDIAN, root / "offered") else "wrong"
        folder.git("worktree", "remove", "--force", str(root / "offered"))
    left = orphans(folder, root, record["branch"])
    return Killed(state=state, status=first.status, outcome=outcome, commits=int(commits[0]), left=left)
