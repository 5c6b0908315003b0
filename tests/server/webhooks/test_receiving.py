"""What a server answers to forges, and to those who pretend to be one."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import replace

import pytest
from forge_deliveries import MAIN, NEW, OLD, SECRET, Sent, fixtures, github, gitlab, mutations
from git_server import GitHttpServer

from cicdctl.config import read_operator
from cicdctl.config.webhook_secrets import webhook_secrets
from cicdctl.errors import ConfigError
from cicdctl.store.deliveries import MOST_WAITING, Delivery, RefHint, open_deliveries

PUSH = {"ref": MAIN, "before": OLD, "after": NEW}
REFUSED = {
    "error": {"code": "proof", "message": "there is no proof of where this comes from", "hint": "docs/webhooks.md"}
}


def sourcehut_end(project) -> str:
    path = project.path / ".git/cicdctl/webhook-sourcehut"
    assert path.stat().st_mode & 0o777 == 0o600
    return path.read_text().strip()


def test_every_fixture_and_every_mutation_over_http(hooked, serve, forge_of, triggers, instance):
    """202 for the 21, one and the same 401 for whatever is made of them, for foreign names, and for a wrong address."""
    server = serve(hooked())
    forge = forge_of(server)
    end = sourcehut_end(server.project)
    assert len(end) >= 32
    refusals = 0

    def is_refused(sent: Sent, what: str, *, twice: str = "") -> None:
        nonlocal refusals
        status, said, headers = forge.sends(sent, twice=twice)
        assert (status, said) == (401, REFUSED), f"{sent.name}: {what}: {status} {said}"
        assert set(headers) - {"date", "content-length"} == known, f"{sent.name}: {what}: {headers}"
        refusals += 1

    known = set(forge.sends(replace(github(), forge="nobody"))[2]) - {"date", "content-length"}
    found = fixtures(instance, end)
    for sent in found:
        status, said, _ = forge.sends(sent)
        assert status == 202, (sent.name, said)
        assert said == {"ignored": sent.ignored} if sent.ignored else list(said) == ["queued"], (sent.name, said)
        assert forge.sends(sent)[:2] == (202, {"ignored": "repeated"}), sent.name
        for name, changed in mutations(sent).items():
            if changed is not None:
                is_refused(changed, name)
        is_refused(sent, "twice", twice=sent.signs[0])
        is_refused(replace(sent, path="/elsewhere"), "wrong address")
        is_refused(replace(sent, path="" if sent.path else f"/{end}"), "another's address")
        wrong = forge.sends(replace(sent, content_type="text/plain"))
        assert (wrong[0], wrong[1]["error"]["code"]) == (415, "content_type"), sent.name
    # A form is taken from whoever signs it raw, and from nobody else.
    form = "application/x-www-form-urlencoded"
    assert [forge.sends(replace(one, content_type=form))[0] for one in found if one.forge == "gitea"] == [415, 415]

    told = triggers(server)["webhooks"]
    assert len(told["deliveries"]) == 21
    assert {one["proof"] for one in told["deliveries"]} == {"proved"}
    newest = told["deliveries"][-1]
    assert (newest["forge"], newest["event"], newest["refs"]) == (
        "github",
        "push",
        [{"ref": MAIN, "old": OLD, "new": NEW}],
    )
    assert sum(one["refused"] for one in told["forges"]) == refusals + 1
    by_name = {one["forge"]: one for one in told["forges"]}
    assert by_name["others"]["refused"] == 1 and not by_name["others"]["configured"]
    assert by_name["sourcehut"]["path"] == "/webhook/sourcehut/…"
    assert end not in server.ask("GET", "/api/triggers").text
    metrics = server.ask("GET", "/metrics").text
    for answer, name, count in (("202", "github", 14), ("415", "github", 7), ("202", "gogs", 2), ("401", "others", 1)):
        assert f'cicdctl_webhook_answers_total{{answer="{answer}",forge="{name}"}} {count}\n' in metrics, metrics
    assert 'forge="nobody"' not in metrics
    assert 'cicdctl_webhook_last_seconds{forge="sourcehut"} ' in metrics
    assert "cicdctl_webhooks_waiting " in metrics
    assert server.ask("GET", "/webhook/github").status == 405
    bad = replace(github(), body=b'{"ref": 5, "before": "x"')
    signed = github(document={"ref": MAIN, "before": "x", "after": NEW})
    assert forge.sends(bad)[0] == 401
    assert forge.sends(signed)[1]["error"] == {
        "code": "payload",
        "message": "the delivery cannot be read: an id is no object id",
        "hint": "",
    }
    said = server.stop()
    assert SECRET.decode() not in said and end not in said


def test_first_secret_then_both_then_the_second(hooked, serve, forge_of, tmp_path, wait_for):
    """A secret is changed without losing a delivery: SIGHUP reads the new ones, a useless one changes nothing."""
    old, new = b"the-old-secret-of-32-bytes-000001", b"the-new-secret-of-32-bytes-000002"
    log = tmp_path / "log"

    def text(*secrets: bytes) -> str:
        given = ", ".join(f'"{one.decode()}"' for one in secrets)
        return (
            f'[server.webhooks]\ngithub = [{given}]\n[logging]\nhandlers = [{{ type = "file", filename = "{log}" }}]\n'
        )

    server = serve(hooked(settings=text(old)))
    forge = forge_of(server)

    def statuses() -> list[int]:
        return [forge.sends(github(secret=one))[0] for one in (old, new)]

    def change(*secrets: bytes) -> None:
        (server.project.path / ".git/cicdctl/config.toml").write_text(text(*secrets))
        server.process.send_signal(signal.SIGHUP)

    assert statuses() == [202, 401]
    change(old, new)
    wait_for(lambda: statuses() == [202, 202], what="both secrets")
    change(new)
    wait_for(lambda: statuses() == [401, 202], what="the second secret alone")
    change(b"short")
    wait_for(lambda: "a secret of 5 bytes protects nothing" in log.read_text(), what="the refusal")
    assert statuses() == [401, 202]
    assert new.decode() not in log.read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[orchestrator]\nmonitoring = { secret = "fifteen-bytes.." }',
            "orchestrator.monitoring.secret: a secret of 15 bytes",
        ),
        ('[server.webhooks]\ngitlab = "whsec_MTIzNDU2Nzg="', "server.webhooks.gitlab: a secret of 8 bytes"),
        ('[server.webhooks]\ngitlab = "whsec_*"', 'server.webhooks.gitlab: what comes after "whsec_" is not base64'),
        ('[server.webhooks]\nsourcehut = "0123456789abcdef0123456789abcdef"', "must be the public key of the instance"),
        ('[server.webhooks]\ngithub = ["0123456789abcdef", "0123456789abcde2", "0123456789abcde3"]', "not 3"),
    ],
)
def test_useless_secrets(text, said):
    with pytest.raises(ConfigError) as raised:
        webhook_secrets(read_operator(text.encode(), source="config.toml"))
    assert said in raised.value.message


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            '[server.webhooks]\ngithub = ["0123456789abcdef", "x"]',
            "server.webhooks.github: a secret of 1 bytes protects nothing",
        ),
        ('[server.webhooks]\ngithub = "${NOT_SET_ANYWHERE}"', "NOT_SET_ANYWHERE"),
        ('[orchestrator]\nmonitoring = { secret = "${NOT_SET_ANYWHERE}" }', "NOT_SET_ANYWHERE"),
    ],
)
def test_useless_secrets_refuse_to_start(hooked, settings, said):
    done = hooked(settings=settings + "\n").cicdctl("serve", "--port", "0").fails(2)
    assert said in done.stderr
    assert "serving" not in done.stdout


def peak_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def sent_until_closed(port: int, head: bytes, part: bytes, total: int) -> tuple[int, bytes]:
    """Send a head and then parts until the other side has enough; return how many bytes went out, and the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head)
        out = 0
        try:
            while out < total:
                connection.sendall(part)
                out += len(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        try:
            while found := connection.recv(65536):
                answer += found
        except ConnectionResetError:
            pass
        return out, answer


def test_endless_bodies_end(hooked, serve, forge_of):
    """1 GB in chunks, 1 GB that says so, and 1 GB behind a body of 10 bytes: none fills the memory or holds anybody up."""
    server = serve(hooked())
    forge = forge_of(server)
    forge.is_heard(github())
    head = b"POST /webhook/github HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-Github-Event: push\r\n"
    part = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    before = peak_bytes(server.process.pid)
    for given, each, status in (
        (b"Transfer-Encoding: chunked\r\n\r\n", part, b"413"),
        (b"Content-Length: 1073741824\r\n\r\n", b"x" * 65536, b"413"),
        (b"Content-Length: 10\r\n\r\n", b"x" * 65536, b"401"),
    ):
        out, answer = sent_until_closed(server.port, head + given, each, 1 << 30)
        assert answer.startswith(b"HTTP/1.1 " + status), answer
        # What the kernel holds on both sides goes out whether anybody reads it or not.
        assert out < (1 << 30) // 16
    assert peak_bytes(server.process.pid) - before < 8 << 20
    large = b'{"ref": "' + b"x" * 999_000 + b'"}'
    sent = github(document=PUSH)
    forge.is_heard(sent)
    assert forge.sends(replace(sent, body=large))[0] == 401


def test_full_queue_and_broken_store_ask_to_come_again(
    hooked, serve, forge_of, operator, make_project, tmp_path, wait_for
):
    """429 and 503, with Retry-After, and only then; what was acknowledged is served when git answers again."""
    http = GitHttpServer(tmp_path)
    try:
        away = make_project(config="")
        project = hooked(f'[project]\nrepository = "{http.url("project1/.git")}"\n')
        http.is_hanging.set()
        server = serve(project)
        forge = forge_of(server)
        wait_for(lambda: http.requests, what="the first look")
        state = project.path / ".git/cicdctl"
        store = open_deliveries(state)
        hint = RefHint(ref=MAIN, old=OLD, new=NEW)
        store.accept(
            [Delivery(forge="github", id=f"{n}", event="push", hints=(hint,)) for n in range(MOST_WAITING - 1)]
        )
        last = github()
        forge.is_heard(last)
        status, said, headers = forge.sends(github())
        assert (status, said["error"]["code"], headers["retry-after"]) == (429, "queue_full", "30")
        # Nobody has to wait for what is not wanted, or known.
        assert forge.sends(github(document={}, event="ping"))[:2] == (202, {"ignored": "ping"})
        assert store.waiting() == MOST_WAITING
        state.joinpath("state.db").rename(state / "aside")
        status, said, headers = forge.sends(github())
        assert (status, said["error"]["code"], headers["retry-after"]) == (503, "store", "5")
        state.joinpath("aside").rename(state / "state.db")
        http.is_hanging.clear()
        wait_for(lambda: store.waiting() == 0, what="the look")
        forge.is_heard(github())
        store.close()
        assert away.git("log", "--oneline").count("\n") == 0
    finally:
        http.close()


def test_push_that_nobody_may_trust(hooked, serve, forge_of, is_watching, wait_for, runs_of):
    """A genuine delivery that says main is at the commit of a topic: git says otherwise, and only git counts."""
    server = serve(hooked())
    is_watching(server)
    project = server.project
    project.git("checkout", "-q", "-b", "topic")
    commit = project.commit("mine")
    first = project.git("rev-parse", "main")
    lie = {"ref": MAIN, "before": first, "after": commit, "pusher": {"name": "main"}, "trusted": True}
    forge_of(server).is_heard(github(document=lie))
    runs = wait_for(lambda: [run for run in runs_of(server) if run["verdict"]], what="the run")
    assert [(run["ref"], run["commit"], run["trust"]) for run in runs] == [("refs/heads/topic", commit, "untrusted")]


def test_push_options_of_gitlab(hooked, serve, forge_of, is_watching, wait_for, runs_of):
    """Those of the hook, for the very commit that git shows; a parameter is checked as everywhere."""
    config = """
[pipelines.build]
trigger = "on_commit"
params = { KIND = { default = "slow", choices = ["slow", "fast"] } }
[pipelines.build.stages]
unit = "true"
"""
    server = serve(hooked(config=config))
    is_watching(server)
    forge, project = forge_of(server), server.project

    def push(**options: object) -> dict[str, object]:
        old = project.git("rev-parse", "HEAD")
        new = project.commit("one more")
        count = len(runs_of(server))
        forge.is_heard(gitlab("push", {"ref": MAIN, "before": old, "after": new, "push_options": {"ci": options}}))
        wait_for(lambda: len(runs_of(server)) > count and runs_of(server)[-1]["verdict"], what="the run")
        return runs_of(server)[-1]

    assert push(variable={"KIND=fast": 1})["params"] == {"KIND": "fast"}
    assert push(variable={"KIND=odd": 1})["verdict"] == "error"
    assert push(variable={"LD_PRELOAD=x": 1})["params"] == {"KIND": "slow"}
    run = push(skip=True)
    assert (run["verdict"], run["reason"]) == ("skipped", "the push option ci.skip")
    assert push()["verdict"] == "passed"


@pytest.mark.parametrize(
    ("copies", "names"), [(500, 100), pytest.param(9_000, 1_000, marks=[pytest.mark.campaign, pytest.mark.timeout(600)])]
)
def test_copies_are_one_run(hooked, serve, forge_of, is_watching, wait_for, runs_of, triggers, copies, names):
    """The same delivery again and again, and the same push under new ids: one run."""
    server = serve(hooked())
    is_watching(server)
    forge, project = forge_of(server), server.project
    new = project.commit("second")
    sent = github(document={"ref": MAIN, "before": OLD, "after": new})
    forge.is_heard(sent)
    for _ in range(copies):
        assert forge.sends(sent)[:2] == (202, {"ignored": "repeated"})
    for _ in range(names):
        forge.is_heard(replace(sent, headers=dict(sent.headers) | {"x-github-delivery": os.urandom(16).hex()}))
    wait_for(lambda: triggers(server)["webhooks"]["waiting"] == 0, what="the looks")
    wait_for(lambda: all(run["verdict"] for run in runs_of(server)))
    assert [run["commit"] for run in runs_of(server)] == [new]
