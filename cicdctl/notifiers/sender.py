"""Makes letters of news and sends them: one process at a time, each try counted, none lost."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from cicdctl.errors import CicdError, NotSent
from cicdctl.masking import Masker
from cicdctl.model import Run, RunSummary
from cicdctl.notifiers.channel import Channel
from cicdctl.notifiers.events import events_of
from cicdctl.notifiers.notices import make_notice
from cicdctl.orchestrator.culprit import CULPRIT, culprit_of
from cicdctl.project import Project
from cicdctl.sending import lock_path
from cicdctl.store import ENDED, Letter, News, lock
from cicdctl.store.failpoints import reach

MAX_TRIES = 30
LONGEST_WAIT_S = 3600.0
LINGER_S = 300.0
_POLL_S = 0.25
_CLOSE_ABOVE_S = 1.0
_LOOK_EVERY_S = 5.0


def send_waiting(project: Project, channels: Mapping[str, Channel], *, linger_s: float = LINGER_S) -> bool:
    """Send what is due, and what becomes due within `linger_s`; False when another process does it already."""
    while True:
        held = lock(lock_path(project.state_folder), blocking=False)
        if held is None:
            return False
        with held:
            _work(project, channels, linger_s)
        # Who wrote news while we held the lock started nobody else.
        due_at = project.state.outbox.next_due_at()
        if due_at is None or due_at > time.time() + linger_s:
            return True


def backoff_s(tries: int, retry_after_s: float = 0.0) -> float:
    """Return how long to wait after so many failed tries: 1 s, doubling to an hour, a quarter less by chance."""
    return max(retry_after_s, min(LONGEST_WAIT_S, 2.0 ** min(tries - 1, 20)) * random.uniform(0.75, 1.0))


def _work(project: Project, channels: Mapping[str, Channel], linger_s: float) -> None:
    rests: dict[str, float] = {}
    while True:
        outbox = project.state.outbox
        for news in outbox.news():
            outbox.spread(news, make_letters(project, channels, news))
        now = time.time()
        ready: dict[str, list[Letter]] = {}
        due = outbox.due(now)
        for letter in due:
            if rests.get(letter.notifier, 0.0) <= time.monotonic():
                ready.setdefault(letter.notifier, []).append(letter)
        if ready:
            _deliver(project, channels, ready, rests)
            continue
        due_at = outbox.next_due_at()
        if due_at is None:
            return
        wait_s = min((rests[letter.notifier] - time.monotonic() for letter in due), default=due_at - now)
        if wait_s > linger_s:
            return
        _wait(project, wait_s)


def _wait(project: Project, seconds: float) -> None:
    """Wait for so long, or until somebody writes to the state; it is closed meanwhile, so that it can be restored."""
    if seconds < _CLOSE_ABOVE_S:
        time.sleep(_POLL_S)
        return
    files = project.state.files
    project.close_state()
    end = time.monotonic() + min(seconds, _LOOK_EVERY_S)
    before = _stamps(files)
    while time.monotonic() < end and _stamps(files) == before:
        time.sleep(_POLL_S)


def _stamps(files: Sequence[Path]) -> tuple[tuple[int, int, int], ...]:
    """What changes when anything is committed to the state."""
    found = []
    for path in files:
        with suppress(OSError):
            facts = path.stat()
            found.append((facts.st_ino, facts.st_size, facts.st_mtime_ns))
    return tuple(found)


def _deliver(
    project: Project, channels: Mapping[str, Channel], ready: Mapping[str, Sequence[Letter]], rests: dict[str, float]
) -> None:
    """Send to all at once, to each in order. After a failure a notifier rests: the next letter would fare no better."""
    faults: list[Exception] = []

    def work(name: str) -> None:
        try:
            for letter in ready[name]:
                wait_s = _try(project, channels.get(name), letter)
                if wait_s is not None:
                    rests[name] = time.monotonic() + wait_s
                    return
        except Exception as error:  # raised below, in the thread that can end the process
            faults.append(error)

    threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in ready]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        # What was sent could not be recorded: going on would send it again and again.
        raise faults[0]


def _try(project: Project, channel: Channel | None, letter: Letter) -> float | None:
    """Try one letter; None when it is dealt with, else for how many seconds its notifier should rest."""
    outbox = project.state.outbox
    try:
        if channel is None or not channel.settings.enabled:
            raise NotSent("this notifier is no longer there", is_final=True)
        channel.send(letter.notice)
        reach("notice-sent")
        outbox.remove(letter)
    except NotSent as error:
        text = error.message + (f" ({error.hint})" if error.hint else "")
        if error.is_final or letter.tries + 1 >= MAX_TRIES:
            outbox.postpone(letter, text, None)
            return None
        wait_s = backoff_s(letter.tries + 1, min(error.retry_after_s, LONGEST_WAIT_S))
        outbox.postpone(letter, text, time.time() + wait_s)
        return min(wait_s, 60.0)
    return None


def make_letters(project: Project, channels: Mapping[str, Channel], news: News) -> list[Letter]:
    """Return the letters that news is for those who want to hear it."""
    summary = project.state.load(news.run)
    if summary is None:
        return []
    run = summary.run
    events = _events(summary, news)
    letters = []
    masker: Masker | None = None
    tells_failures = project.settings.orchestrator.failure_handling.notify_on_failure
    for channel in channels.values():
        event = channel.event_for(run, events, tells_failures=tells_failures) if channel.settings.enabled else None
        topic = channel.topic_for(run, event) if event is not None else ""
        if event is None or (topic and project.state.outbox.is_outdated(run)):
            continue
        masker = masker or masker_for(project, run)
        notice = make_notice(
            summary,
            event,
            id=f"{project.repository.id}-{run.number}-{news.id}",
            at=news.at,
            project=project_name(project),
            previous=news.previous,
            text=news.text,
            culprit=_culprit(project, news),
            mask=masker.text,
        )
        letters.append(Letter(notifier=channel.name, topic=topic, run=run.number, due_at=time.time(), notice=notice))
    return letters


def _culprit(project: Project, news: News) -> str | None:
    found = culprit_of(project, news.run) if news.event == CULPRIT else None
    return None if found is None else found["commit"]


def _events(summary: RunSummary, news: News) -> tuple[str, ...]:
    verdict = summary.run.verdict
    if news.event != ENDED:
        return (news.event,)
    if verdict is None:
        return ()  # it was interrupted and goes on again
    is_flaky = any(result.flaky for result in summary.stages)
    is_followed = summary.run.ref is not None
    # What says nothing of the code is told to those who keep a record, under the verdict's own name.
    return events_of(verdict, news.previous, is_flaky=is_flaky, is_followed=is_followed) or (verdict.value,)


def project_name(project: Project) -> str:
    """Return what people call this repository."""
    named = project.settings.project.name
    folder = project.repository.work_tree or project.repository.common_dir
    return named or folder.name.removesuffix(".git")


def masker_for(project: Project, run: Run) -> Masker:
    """Return what masks every secret that the stages of this commit could have seen, and all that are stored."""
    names = set(project.secrets.list())
    with suppress(CicdError):
        config = project.configuration.at(run.tree, text=run.options.get("config_text"))
        names.update(name for pipeline in config.pipelines for stage in pipeline.stages for name in stage.secrets)
    found, _ = project.secrets.get(
        sorted(names), {name: project.environ[name] for name in names if name in project.environ}
    )
    return Masker(found)
