"""A notice that tells of nothing, sent to see whether a notifier works."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from cicdctl.errors import GitError
from cicdctl.kinds import Notice
from cicdctl.notifiers.channel import Channel
from cicdctl.notifiers.events import TEST_EVENT
from cicdctl.notifiers.sender import project_name
from cicdctl.project import Project


def send_test(project: Project, channel: Channel) -> None:
    """Send a test by a notifier and wait for it, 10 s at most. Raises NotSent or ConfigError."""
    problem = channel.why_not()
    if problem is not None:
        raise problem
    channel.send(_test_notice(project, channel.name))


def _test_notice(project: Project, name: str) -> Notice:
    head = None
    with suppress(GitError):
        head = project.repository.head()
    return Notice(
        event=TEST_EVENT,
        title=f"{project_name(project)}: a test of the notifier {name}",
        text="cicdctl notify test",
        pipeline="test",
        run=0,
        id=f"{project.repository.id}-test-{time.time_ns()}-{os.getpid()}",
        at=time.time(),
        project=project_name(project),
        ref=head.ref if head else None,
        commit=head.oid if head else None,
        verdict="passed",
    )
