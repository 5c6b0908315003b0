"""What a search for a culprit is asked, what it tells on its way, and what it ends with."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from cicdctl.git import Commit
from cicdctl.model import Run, RunSummary, Trust, Value


class BisectRequest(Value, frozen=True, kw_only=True):
    """`span` is GOOD..BAD; without GOOD it is the last green run, without BAD it is HEAD.

    `jobs` commits at once, 0 for one per core. A failure counts when it was repeated `retries` times,
    or when another that came before counts. `ref` is what the commits are on when `span` does not say so itself,
    `trust` what they get, and the two files stand for those of the run that is asked about, see `RunRequest`.
    """

    pipeline: str
    stage: str
    span: str
    params: Mapping[str, str] = {}
    jobs: int = 0
    retries: int = 1
    first_parent: bool = False
    no_cache: bool = False
    ref: str | None = None
    trust: Trust = Trust.TRUSTED
    config_text: str | None = None
    operator_file: str | None = None


class Answer(StrEnum):
    """What is known of a commit."""

    GOOD = "good"
    BAD = "bad"
    SKIPPED = "skipped"


class Tried(Value, frozen=True, kw_only=True):
    """What became of one commit. `run` is the run that says so, None when none could be begun.

    `is_free`: an earlier result stands for it. `failed_in` are runs that failed although it is good.
    """

    commit: Commit
    answer: Answer
    run: int | None = None
    is_free: bool = False
    reason: str = ""
    seconds: float = 0.0
    failed_in: tuple[int, ...] = ()


class Span(Value, frozen=True, kw_only=True):
    """The commits among which the culprit is: each with its parents among them, parents first, `bad` last.

    `bases` must be good, too, since the good commit does not come before the bad one. `good_run` is the run that
    was green when nobody named a good commit. `ref` is the branch or tag that the bad commit was named by.
    """

    good: Commit
    bad: Commit
    parents: Mapping[str, tuple[str, ...]]
    bases: tuple[Commit, ...] = ()
    good_run: int | None = None
    ref: str | None = None


class Begun(Value, frozen=True, kw_only=True):
    """The search begins, `at_once` commits at a time."""

    span: Span
    at_once: int


class Started(Value, frozen=True, kw_only=True):
    """A commit is being run."""

    commit: Commit
    run: Run


class Failed(Value, frozen=True, kw_only=True):
    """A run failed; before that counts it is repeated, unless what came before is bad. `likely`: what that is."""

    commit: Commit
    run: Run
    likely: int


class Dropped(Value, frozen=True, kw_only=True):
    """A run ended of which nothing can be learned any more."""

    commit: Commit
    run: Run


class Judged(Value, frozen=True, kw_only=True):
    """A commit is judged; `left` may still be the culprit."""

    tried: Tried
    left: int


Event = Begun | Started | Failed | Dropped | Judged


class Ending(StrEnum):
    """How a search ended."""

    FOUND = "found"
    NARROWED = "narrowed"  # the rest cannot be judged
    GOOD_IS_BAD = "good_is_bad"
    BAD_IS_GOOD = "bad_is_good"
    CANNOT_JUDGE = "cannot_judge"  # one of the two ends


class PathChange(Value, frozen=True, kw_only=True):
    """A path that a commit touches: `A`dded, `M`odified or `D`eleted; lines are None where they were not counted."""

    path: bytes
    how: str
    added: int | None = None
    removed: int | None = None


class Outcome(Value, frozen=True, kw_only=True):
    """`culprits` is one commit when found, several when narrowed; `paths` are of the last of them.

    `wrong` is the end of the span that is not what it was said to be. `failure` is the run in which it, or the last
    of the culprits, failed. `tried` is in the order of the answers.
    """

    request: BisectRequest
    span: Span
    ending: Ending
    culprits: tuple[Commit, ...] = ()
    wrong: Tried | None = None
    tried: tuple[Tried, ...] = ()
    runs: int = 0
    seconds: float = 0.0
    failure: RunSummary | None = None
    paths: tuple[PathChange, ...] = ()
