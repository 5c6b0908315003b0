"""From the end of a run to a sink: durable, behind the user's back, at least once."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from standardwebhooks import Webhook

from cicdctl.store import lock
from tests.notifiers.conftest import Request, outbox, wait_empty, wait_until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FAILS_WITHOUT_OK = "test -f ok || { echo no; exit 3; }"


def section(sink, name="team", more="") -> str:
    return f'[notifiers.{name}]\nuses = "webhook"\nurl = "{sink.url}/{name}"\nsecret = "{SECRET}"\n{more}\n'


def events(requests: list[Request]) -> list[str]:
    return [request.json["type"].removeprefix("run.") for request in requests]


@pytest.fixture
def project(make_project, operate, sink):
    """A repository whose pipeline fails until the file `ok` is there, told to a webhook."""
    operate(section(sink))
    return make_project(unit=FAILS_WITHOUT_OK)


def test_broken_and_fixed_are_told_by_default(project, sink):
    """The first failure, not the second, then the repair, not the pass after it; each signed, each once."""
    for content, status in ((None, 1), ("a", 1), ("ok", 0), ("b", 0)):
        if content:
            project.write("ok" if content == "ok" else content, "")
            project.commit(content)
        project.cicdctl("run", "build").fails(status)
    requests = sink.wait(2)
    wait_empty(project)
    assert events(requests) == ["broken", "fixed"]
    first = requests[0]
    assert Webhook(SECRET).verify(first.body, first.headers)["data"]["failed_stages"] == ["unit"]
    assert first.json["data"]["text"].splitlines()[0] == "unit: failed, exit status 3"
    assert first.json["data"]["title"].endswith(": build is broken on main (#1)")
    assert requests[1].json["data"] | {"run": 3, "previous": "failed", "verdict": "passed"} == requests[1].json["data"]


def test_run_warns_of_nothing(project, sink):
    """Notifiers work: no word that they do not."""
    assert "notifier" not in project.cicdctl("run", "build").fails(1).stderr
    sink.wait()
    wait_empty(project)


def test_hanging_sink_delays_neither_run_nor_prompt(project, sink):
    """The command is back while the sink still hangs, and the next one too."""
    sink.is_open.clear()
    project.cicdctl("run", "build").fails(1)
    sink.wait()
    project.cicdctl("run", "build").fails(1)
    assert project.cicdctl("history").passes().stdout.count("failed") == 2
    assert [letter["tries"] for letter in outbox(project)["letters"]] == [0]
    sink.is_open.set()
    wait_empty(project)


def test_tries_again_with_the_same_id_after_a_failure(project, sink):
    """A server that errs gets the message again, under the id it has seen; Retry-After is a lower bound."""
    answers = iter([(500, {}, b"oops"), (200, {}, b"")])
    sink.answer = lambda _: next(answers)
    project.cicdctl("run", "build").fails(1)
    requests = sink.wait(2)
    wait_empty(project)
    assert len({request.headers["webhook-id"] for request in requests}) == 1
    for request in requests:
        Webhook(SECRET).verify(request.body, request.headers)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ((401, {}, b"who?"), "answered 401: who? (check the address"),
        ((404, {}, b""), "answered 404"),
        ((302, {"Location": "http://169.254.169.254/"}, b""), "redirects are not followed"),
    ],
)
def test_what_cannot_be_mended_is_given_up_at_once(project, sink, answer, word):
    """It is listed with its reason, sent no more by itself, and again on demand."""
    sink.answer = lambda _: answer
    project.cicdctl("run", "build").fails(1)
    (letter,) = wait_until(lambda: [one for one in outbox(project)["letters"] if one["failed_at"]])
    assert word in letter["error"] and letter["tries"] == 1 and len(sink.requests) == 1
    listed = project.cicdctl("notify", "list").passes().stdout
    assert "given up" in listed and word in listed
    sink.answer = lambda _: (200, {}, b"")
    assert project.cicdctl("notify", "send").fails(1) and len(sink.requests) == 1
    assert project.cicdctl("notify", "send", "--again").passes().stdout == "everything is sent\n"
    assert outbox(project)["letters"] == []


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_heard(project, sink, form):
    """429 with Retry-After in seconds or as a date: not before."""
    later = datetime.now(UTC) + timedelta(seconds=120)
    value = "120" if form == "seconds" else format_datetime(later, usegmt=True)
    sink.answer = lambda _: (429, {"Retry-After": value}, b"slow down")
    before = time.time()
    project.cicdctl("run", "build").fails(1)
    (letter,) = wait_until(lambda: [one for one in outbox(project)["letters"] if one["tries"]])
    assert letter["due_at"] > before + 100 and not letter["failed_at"]
    stop_sender(project)


def stop_sender(project) -> None:
    """End the process that waits for the next try."""
    import os
    import signal

    from cicdctl.store.locks import holder_pid

    lock = project.path / ".git/cicdctl/locks/notify.lock"
    pid = wait_until(lambda: holder_pid(lock))
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: holder_pid(lock) is None)


def test_waiting_for_a_next_try_holds_no_state(project, sink):
    """While the sender waits, the state can be restored; and news that comes then is told at once."""
    answers = iter([(429, {"Retry-After": "100"}, b""), (200, {}, b""), (200, {}, b"")])
    sink.answer = lambda _: next(answers)
    with_console = "[notifiers.me]\nuses = 'console'\non = 'failed'\n"
    with open(f"{project.env['XDG_CONFIG_HOME']}/cicdctl/config.toml", "a") as file:
        file.write(with_console)
    project.cicdctl("run", "build").fails(1)
    wait_until(lambda: [one for one in outbox(project)["letters"] if one["tries"]])
    project.cicdctl("state", "backup").passes()
    wait_until(lambda: project.cicdctl("state", "restore", "--yes").status == 0)
    notices = project.path / ".git/cicdctl/notices.log"
    before = len(notices.read_text().splitlines())
    project.cicdctl("run", "build").fails(1)
    wait_until(lambda: len(notices.read_text().splitlines()) == before + 1)
    assert len(sink.requests) == 1
    stop_sender(project)


@pytest.mark.parametrize(
    "point",
    ["outbox-spread", "notice-sent", *(f"state_{when}_commit:{n}" for n in (1, 2) for when in ("before", "after"))],
)
def test_killed_sender_loses_nothing(project, sink, point):
    """Killed at its worst moments, the sender is followed by the next command's; what was sent may come twice."""
    state = project.path / ".git/cicdctl"
    (state / "locks").mkdir(parents=True)
    (state / "failpoints-allowed").touch()
    with lock(state / "locks/notify.lock", blocking=True):
        project.cicdctl("run", "build").fails(1)
    assert sink.requests == []
    assert project.cicdctl("notify", "send", env={"CICDCTL_FAILPOINT": point}).status == 137
    project.cicdctl("history").passes()
    sink.wait()
    wait_empty(project)
    assert set(events(sink.requests)) == {"broken"} and len(sink.requests) <= 2
    assert len({request.headers["webhook-id"] for request in sink.requests}) == 1


def test_news_of_a_run_whose_runner_dies_is_told(project, sink, operate):
    """Killed between the end of the run and the start of the sender: the next command starts one."""
    (project.path / ".git/cicdctl").mkdir(exist_ok=True)
    (project.path / ".git/cicdctl/failpoints-allowed").touch()
    assert project.cicdctl("run", "build", env={"CICDCTL_FAILPOINT": "run-recorded"}).status == 137
    assert sink.requests == []
    project.cicdctl("status").passes()
    assert events(sink.wait()) == ["broken"]
    wait_empty(project)


def test_selection_of_events_pipelines_and_branches(make_project, operate, sink):
    """Each notifier hears what it asked for, and one run once."""
    operate(
        section(sink, "all", 'on = ["started", "passed", "fixed", "failed"]')
        + section(sink, "other", 'pipelines = "test"\non = "passed"')
        + section(sink, "release", 'branches = "release/*"\non = "passed"')
        + section(sink, "off", 'enabled = false\non = "passed"')
    )
    project = make_project(unit="true")
    project.cicdctl("run", "build").passes()
    project.git("checkout", "-q", "-b", "release/1")
    project.cicdctl("run", "build").passes()
    requests = sink.wait(5)
    wait_empty(project)
    told = sorted((request.path, request.json["type"], request.json["data"]["ref"]) for request in requests)
    main, release = "refs/heads/main", "refs/heads/release/1"
    assert told == [
        ("/all", "run.passed", main),
        ("/all", "run.passed", release),
        ("/all", "run.started", main),
        ("/all", "run.started", release),
        ("/release", "run.passed", release),
    ]


def test_work_in_progress_is_nobody_elses_news(project, sink):
    """A run of uncommitted changes is not told to others, only to the console and desktop of its owner."""
    with open(f"{project.env['XDG_CONFIG_HOME']}/cicdctl/config.toml", "a") as file:
        file.write('[notifiers.me]\nuses = "console"\n')
    project.write("draft", "")
    project.cicdctl("run", "build").fails(1)
    notices = project.path / ".git/cicdctl/notices.log"
    wait_until(notices.exists)
    wait_empty(project)
    assert "build is broken on the working tree (#1)" in notices.read_text()
    assert sink.requests == []


def test_private_target_of_the_repository_is_refused(make_project, sink):
    """An address in .cicd.toml could be anybody's; the operator's own may be private."""
    project = make_project("[pipelines.build.stages]\none = 'false'\n" + section(sink))
    project.cicdctl("run", "build").fails(1)
    (letter,) = wait_until(lambda: [one for one in outbox(project)["letters"] if one["failed_at"]])
    assert letter["error"].startswith('"127.0.0.1" is a private address (127.0.0.1)')
    assert sink.requests == []
    refused = project.cicdctl("notify", "test", "team").fails(3)
    assert "private address" in refused.stderr and "your own configuration" in refused.stderr


def test_secrets_reach_no_notice(make_project, operate, sink):
    """What stages know is masked in commit messages, and the notifier's own secrets in its errors."""
    operate(section(sink))
    project = make_project("[pipelines.build.stages.one]\nsecrets = ['TOKEN']\nrun = 'false'\n")
    project.git("commit", "-q", "--allow-empty", "-m", "leak hunter2-correct-horse")
    project.cicdctl("run", "build", env={"TOKEN": "hunter2-correct-horse"}).fails(1)
    sink.wait()
    wait_empty(project)
    assert "hunter2" not in sink.requests[0].body.decode() and "leak ***" in sink.requests[0].json["data"]["text"]


def test_wrong_options_are_named(make_project, operate, sink):
    """Each kind checks its own options; a typo has its near word, a missing variable its name."""
    operate(
        "[notifiers.a]\nuses = 'webhook'\nulr = 'x'\n[notifiers.b]\nuses = 'slak'\n[notifiers.c]\nuses = 'slack'\nurl = '${NOT_SET}'\n"
        "[notifiers.d]\nuses = 'webhook'\nurl = 'http://x.test'\nsecret = 'short'\n"
    )
    project = make_project(unit="true")
    problems = {row["name"]: row["problem"] for row in outbox(project)["notifiers"]}
    assert problems["a"] == 'notifiers.a.ulr: "webhook" has no such option, did you mean "url"?'
    assert problems["b"] == 'notifiers.b.uses: there is no notifier kind "slak", did you mean "slack"?'
    assert problems["c"] == 'notifiers.c.url: the environment variable "NOT_SET" is not set'
    assert problems["d"] == 'notifiers.d: "secret" must be "whsec_" and the base64 of 24 to 64 bytes'
    assert 'did you mean "slack"' in project.cicdctl("notify", "test", "b").fails(2).stderr
    assert 'there is no notifier "z"' in project.cicdctl("notify", "test", "z").fails(2).stderr


def test_notify_test_sends_now(project, sink):
    assert project.cicdctl("notify", "test", "team").passes().stdout == '"team" took it\n'
    assert sink.requests[0].json["type"] == "run.test"
    sink.answer = lambda _: (500, {}, b"broken pipe")
    assert "answered 500: broken pipe" in project.cicdctl("notify", "test", "team").fails(3).stderr
    assert outbox(project)["letters"] == []


def test_silent_and_garbled_servers_are_errors_in_words(project, sink):
    """A server that hangs up, and one that speaks no HTTP."""
    sink.answer = lambda _: None
    assert "no answer" in project.cicdctl("notify", "test", "team").fails(3).stderr


def test_notify_send_tries_each_letter_once(make_project, operate, sink):
    """A sink that is down costs a person one try per letter, no wait."""
    operate(section(sink, more='on = "failed"'))
    project = make_project(unit="false")
    sink.answer = lambda _: (503, {}, b"down")
    with lock(project.path / ".git/cicdctl/locks/notify.lock", blocking=True):
        for _ in range(3):
            project.cicdctl("run", "build").fails(1)
    shown = project.cicdctl("notify", "send").fails(1).stdout
    assert shown.count("1 of 30") == 3 and shown.count("answered 503: down") == 3
    assert len({request.headers["webhook-id"] for request in sink.requests}) == len(sink.requests) == 3


def test_notify_list_without_notifiers(make_project):
    project = make_project(unit="true")
    assert project.cicdctl("notify", "list").passes().stdout.startswith("no notifiers;")
    assert json.loads(project.cicdctl("notify", "list", "--json").passes().stdout)["notifiers"] == []


OWN = """
from cicdctl.plugin_api import NotifierKind, NotSent, Value, hookimpl

class Options(Value, frozen=True, kw_only=True):
    file: str
    token: str = ""

class Own:
    def __init__(self, options):
        self.options = options
        if options.file == "raise":
            raise ZeroDivisionError("boom")

    def send(self, notice):
        if self.options.file == "final":
            raise NotSent("nobody home " + self.options.token, is_final=True)
        if self.options.file == "exit":
            raise SystemExit(3)
        with open(self.options.file, "a") as file:
            file.write(notice.event + " " + notice.title + chr(10))

@hookimpl
def cicdctl_notifiers():
    return [NotifierKind(name="own", options_type=Options, open=Own)]
"""


def tried(project):
    """Return the two letters that could not be sent, once both were tried."""
    letters = sorted(outbox(project)["letters"], key=lambda one: one["notifier"])
    return letters if len(letters) == 2 and all(one["tries"] for one in letters) else None


def test_notifier_of_a_plugin(make_project, tmp_path):
    """A plugin's kind sends as the built-in ones do; what it raises is a failed try, its secrets masked."""
    config = 'plugins = ["own.py"]\n[pipelines.build.stages]\none = "false"\n'
    for name, file in (("good", tmp_path / "told"), ("bad", "final"), ("worse", "exit")):
        config += f'[notifiers.{name}]\nuses = "own"\nfile = "{file}"\ntoken = "t0ken-t0ken"\n'
    project = make_project(config, files={"own.py": OWN, ".gitignore": "__pycache__/\n"})
    project.cicdctl("run", "build").fails(1)
    wait_until((tmp_path / "told").exists)
    assert (tmp_path / "told").read_text().startswith("broken project1: build is broken on main")
    bad, worse = wait_until(lambda: tried(project))
    assert bad["error"] == "nobody home ***" and bad["failed_at"]
    assert "SystemExit(3)" in worse["error"] and not worse["failed_at"]
    stop_sender(project)
    env = {"CICDCTL_NOTIFIERS_GOOD_FILE": "raise"}
    assert '"own" does not open: ZeroDivisionError: boom' in project.cicdctl("notify", "list", env=env).passes().stdout
