"""What plugins provide: named kinds of stages, monitors, fixers, matchers, notifiers, stores, executors and more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import msgspec

from cicdctl.errors import ConfigError
from cicdctl.model import Artifact, Executor
from cicdctl.model.fixing import Applicability, Diagnostic, FailureBundle, FixRequest, FixResult
from cicdctl.model.values import Value
from cicdctl.near_words import near_word


class NoOptions(Value, frozen=True, kw_only=True):
    """The options of a kind that has none."""


class Kind(Value, frozen=True, kw_only=True):
    """Something the configuration selects by `name`.

    `options_type` is a `Value` whose fields are the options the user may write; fields without a default
    must be written. What the user wrote is checked against it before the kind is asked for anything.
    """

    name: str
    options_type: type[Value] = NoOptions


class StageCommands(Value, frozen=True, kw_only=True):
    """What a stage kind turns into: shell commands in order, what identifies its tools, and variables to add."""

    run: tuple[str, ...]
    fingerprint: tuple[str, ...] = ()
    env: Mapping[str, str] = {}


class StageKind(Kind, frozen=True, kw_only=True):
    """A kind for `uses = "NAME"`; `with` holds its options.

    `resolve(options)` is pure: it reads no file and no environment, and equal options give equal commands,
    since the answer is part of the key. Asked once per stage while a run is planned.
    """

    resolve: Callable[[Any], StageCommands]


class Sighting(Value, frozen=True, kw_only=True):
    """A ref whose value changed: hex ids, None where it did not or does not exist.

    `id` is equal when the same change is seen twice.
    """

    ref: str
    old: str | None
    new: str | None
    id: str = ""


class Monitor(Protocol):
    """Something that notices changes."""

    def look(self) -> Iterable[Sighting]:
        """Return what changed since the last look. Called from a thread of its own, at most 60 s at a time."""

    def close(self) -> None:
        """Release everything."""


class MonitorKind(Kind, frozen=True, kw_only=True):
    """A kind for `monitoring.method = "NAME"`; `open(options)` is called once when the orchestrator starts."""

    open: Callable[[Any], Monitor]


class Notice(Value, frozen=True, kw_only=True):
    """One message. Every text is masked already. `event` is one of `started passed failed broken fixed …`.

    `id` is the same at each try. `at` is Unix seconds. `verdict` is how the run ended, None at its start;
    `previous` how the one before did, of the same pipeline and ref. `failed` are the stages to blame; `culprit` is the
    commit that is, known when `event` is `culprit`.
    """

    event: str
    title: str
    text: str = ""
    pipeline: str | None = None
    run: int | None = None
    url: str | None = None
    id: str = ""
    at: float = 0.0
    project: str = ""
    ref: str | None = None
    commit: str | None = None
    tree: str | None = None
    verdict: str | None = None
    previous: str | None = None
    seconds: float = 0.0
    failed: tuple[str, ...] = ()
    culprit: str | None = None


class Notifier(Protocol):
    """Something that tells people."""

    def send(self, notice: Notice) -> None:
        """Send one notice within 10 s, from a thread of its own; a run never waits for it.

        What it raises is shown and tried again later; `NotSent` may say when, or that it is final.
        """


class NotifierKind(Kind, frozen=True, kw_only=True):
    """A kind for `[notifiers.NAME]` or `uses = "NAME"` in it; `open(options)` is called once per process.

    `every_run`: it keeps a record, and is told of each run that starts or ends on a commit, whatever `on` says;
    with `culprits`, also which commit broke one.
    `uncommitted`: it is also told of runs of a working tree with changes that only its owner has.
    """

    open: Callable[[Any], Notifier]
    every_run: bool = False
    culprits: bool = False
    uncommitted: bool = False


class Fixer(Protocol):
    """Something that edits files to repair a failed stage. The engine computes the patch, guards and verifies it.

    `kind` says whether it may ever be applied by itself: only a `command` may. `version` is part of what a
    remembered patch is looked up by. Lower `priority` is asked first.
    """

    name: str
    kind: Literal["command", "ai"]
    version: str
    priority: int

    def can_fix(self, bundle: FailureBundle) -> Applicability:
        """Say whether it is worth asking; touches neither disk nor network."""

    def fix(self, request: FixRequest) -> FixResult:
        """Edit files under `request.worktree`; it may call what the request offers. Ends by `request.deadline`."""


class FixerKind(Kind, frozen=True, kw_only=True):
    """A kind for `[fixers.NAME]`; `open(options)` gives the fixer, once per fix."""

    open: Callable[[Any], Fixer]


class MatcherKind(Kind, frozen=True, kw_only=True):
    """A reader of what one tool writes, for logs that hold one of its `marks`; nothing selects it, it has no options.

    `find(lines)` is pure: it gets the lines of a log, clean and at most 2,000 characters long, and yields one
    `Diagnostic` for each complaint, with `log_span` its first and last line, which count from 1. At most 2,000 of
    them are taken. The matcher of an installed plugin, or of a file, is called in a process of its own.
    """

    marks: tuple[str, ...]
    find: Callable[[Sequence[str]], Iterable[Diagnostic]]


class Blobs(Protocol):
    """Content by its SHA-256 in hex: artifacts, lists of artifacts, logs. Any thread; durable when a call returns."""

    def add_bytes(self, data: bytes) -> str:
        """Store some bytes; return their digest. Raises StoreError."""

    def add_file(self, path: Path) -> tuple[str, int]:
        """Store a copy of a regular file; return digest and size in bytes. Raises StoreError."""

    def add_manifest(self, artifacts: Sequence[Artifact]) -> str | None:
        """Store the list of a stage's artifacts: the `manifest` of its result. None when there are none."""

    def has(self, digest: str) -> bool:
        """Whether it is there."""

    def open(self, digest: str) -> BinaryIO:
        """Open for reading. Raises StoreError when it is gone or damaged."""

    def restore(self, artifacts: Sequence[Artifact], root: Path) -> None:
        """Lay artifacts down below a folder. Raises StoreError when one is gone or damaged."""


class Places(Value, frozen=True, kw_only=True):
    """Folders that a store, cache or executor may use, and the blobs. The state folder is private to the user."""

    git_dir: Path
    state: Path
    cache: Path
    blobs: Blobs


class StateStoreKind(Kind, frozen=True, kw_only=True):
    """A kind for `persistence.backend = "NAME"`; `open(options, places)` gives a StateStore."""

    open: Callable[[Any, Places], Any]


class ResultCacheKind(Kind, frozen=True, kw_only=True):
    """A kind for `cache.backend = "NAME"`; `open(options, places)` gives a ResultCache."""

    open: Callable[[Any, Places], Any]


class ExecutorKind(Kind, frozen=True, kw_only=True):
    """A kind for `executor = "NAME"`; `open(options, places)` gives the Executor of one run."""

    open: Callable[[Any, Places], Executor]


class WorkflowKind(Kind, frozen=True, kw_only=True):
    """A workflow for `cicdctl workflow run NAME`; `run(orchestrator)` gets a `CICDOrchestrator` of the repository."""

    help: str = ""
    run: Callable[..., Any]


class CommandKind(Kind, frozen=True, kw_only=True):
    """A command `cicdctl NAME`; `load()` gives a `typer.Typer` and is called only when the command is used."""

    help: str = ""
    load: Callable[[], Any]


def read_options(kind: Kind, written: Mapping[str, Any], *, where: str) -> Any:
    """Turn what the user wrote into the kind's own options.

    `where` is the file and key they were written under, such as `.cicd.toml: pipelines.test.stages.unit.with`.
    Raises ConfigError naming each key that is unknown, or the one whose value does not fit.
    """
    known = {field.encode_name for field in msgspec.structs.fields(kind.options_type)}
    unknown = [name for name in written if name not in known]
    if unknown:
        raise ConfigError(tuple(f"{where}.{name}: {_unknown(kind, name, known)}" for name in unknown))
    try:
        return msgspec.convert(dict(written), kind.options_type)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at ")
        path = where + place.strip("`").removeprefix("$")
        raise ConfigError((f"{path}: {problem[0].lower()}{problem[1:].replace('`', '')}",)) from error


def _unknown(kind: Kind, name: str, known: set[str]) -> str:
    if not known:
        return f'"{kind.name}" takes no options'
    return f'"{kind.name}" has no such option' + (near_word(name, known) or f"; it has {', '.join(sorted(known))}")
