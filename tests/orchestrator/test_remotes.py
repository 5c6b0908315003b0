"""Repositories elsewhere, asked over file, http, https and ssh: every kind of change, failure and secret."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from git_server import GitHttpServer, SshServer, command_lines, make_certificate

from cicdctl.errors import GitError
from cicdctl.git.remotes import is_elsewhere, read_address
from cicdctl.orchestrator.elsewhere import Elsewhere
from cicdctl.orchestrator.looking import LONGEST_S, pause_after

CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
unit = "true"
[pipelines.docs]
trigger = "on_commit"
when = { paths = ["docs/**"] }
[pipelines.docs.stages]
page = "true"
[pipelines.release]
trigger = "on_tag"
[pipelines.release.stages]
pack = "true"
"""
OPERATOR = """
[orchestrator]
polling_interval = 0.2
trust = { refs = ["**"] }
"""
SECRET = "hunter2-of-mine"


@pytest.fixture
def http(tmp_path):
    server = GitHttpServer(tmp_path)
    yield server
    server.close()


def watches(make_project, url: str):
    return make_project(config=CONFIG + OPERATOR + f'[project]\nrepository = "{url}"\n')


def told(runs) -> list[tuple[str, str, str]]:
    return [(run["pipeline"], run["ref"].removeprefix("refs/"), run["verdict"]) for run in runs]


@pytest.mark.parametrize("scheme", ["file", "https", "ssh"])
def test_each_way_to_ask(make_project, wait_for_quiet, tmp_path, clean_env, scheme):
    """A branch and a tag move elsewhere; both are fetched and run here."""
    away = make_project(config=CONFIG)
    server = None
    if scheme == "ssh":
        server = SshServer(tmp_path / "ssh")
        clean_env["GIT_SSH_COMMAND"] = server.command
        url = server.url(away.path)
    elif scheme == "https":
        server = GitHttpServer(tmp_path, certificate=make_certificate(tmp_path))
        clean_env["GIT_SSL_CAINFO"] = str(tmp_path / "cert.pem")
        url = server.url(f"{away.path.name}/.git")
    else:
        url = f"file://{away.path}"
    try:
        project = watches(make_project, url)
        project.cicdctl("watch", "--once").passes()
        away.commit("second")
        away.git("tag", "-a", "-m", "one", "v1")
        project.cicdctl("watch", "--once").passes()
        found = wait_for_quiet(project, 3)
    finally:
        if server is not None:
            server.close()
    assert sorted(told(found)) == [
        ("build", "heads/main", "passed"),
        ("docs", "heads/main", "skipped"),
        ("release", "tags/v1", "passed"),
    ]
    assert {run["commit"] for run in found} == {away.git("rev-parse", "HEAD")}


def test_force_push_deletion_moved_tag_and_new_branch(make_project, http, wait_for_quiet):
    """Each kind of change over http; a new branch is compared with where it left the default branch."""
    away = make_project(config=CONFIG)
    first = away.git("rev-parse", "HEAD")
    away.git("branch", "old")
    away.git("tag", "v1")
    project = watches(make_project, http.url("project1/.git"))

    def look(count: int):
        project.cicdctl("watch", "--once").passes()
        return told(wait_for_quiet(project, count)[-2:])

    project.cicdctl("watch", "--once").passes()
    away.commit("second")
    assert look(2) == [("build", "heads/main", "passed"), ("docs", "heads/main", "skipped")]
    away.git("reset", "-q", "--hard", first)
    away.write("other", "")
    forced = away.commit("instead")
    assert look(4)[0] == ("build", "heads/main", "passed")
    assert wait_for_quiet(project)[2]["commit"] == forced
    away.git("branch", "-D", "old")
    away.git("tag", "-f", "v1")
    assert look(5)[-1] == ("release", "tags/v1", "passed")
    assert "old" not in project.git("for-each-ref", "refs/cicd/remote")
    # Two commits on a new branch: the first one touches docs, which only the whole range shows.
    away.git("checkout", "-q", "-b", "topic")
    away.write("docs/page", "")
    away.commit("docs")
    away.write("code", "")
    away.commit("code")
    away.git("checkout", "-q", "main")  # the default branch of the other side
    assert look(7) == [("build", "heads/topic", "passed"), ("docs", "heads/topic", "passed")]
    away.git("checkout", "-q", "-b", "plain", "main")
    away.write("code", "")
    away.commit("code")
    away.git("checkout", "-q", "main")
    assert look(9) == [("build", "heads/plain", "passed"), ("docs", "heads/plain", "skipped")]


def test_credentials_reach_the_server_and_nothing_else(make_project, http, wait_for_quiet, tmp_path):
    """Not the log, the state, any command line of the machine, nor what `config show` prints."""
    http.credentials = f"user:{SECRET}"
    away = make_project(config=CONFIG)
    project = watches(make_project, http.url("project1/.git", "user:${TOKEN}@"))
    token = {"TOKEN": SECRET}
    said = project.cicdctl("watch", "--once", env=token).passes().stderr
    away.commit("second")
    said += project.cicdctl("watch", "--once", env=token).passes().stderr
    wait_for_quiet(project, 2)
    plain = http.url("project1/.git")
    assert plain in said
    http.credentials = "user:another"
    said += project.cicdctl("watch", "--once", env=token).fails(3).stderr
    assert "Authentication failed" in said or "could not read" in said
    written = project.cicdctl("config", "show", "--resolved", env=token).passes().stdout
    assert http.url("project1/.git", "***@") in written
    files = [path for path in [*(project.path / ".git").rglob("*"), *(tmp_path / "cache").rglob("*")] if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert any("git-remote-http" in line for line in http.command_lines)
    assert SECRET not in said + "".join(http.command_lines)


def test_hanging_server_is_cut(tmp_path, make_project, http):
    away = make_project(config=CONFIG)
    http.is_hanging.set()
    address = read_address(http.url("project1/.git"))
    elsewhere = Elsewhere(address, away.path / ".git", environ=away.env, mark="here/test", answer_s=0.3, fetch_s=0.3)
    with pytest.raises(GitError, match=r"git ls-remote http://\S+: no answer within 0.3 s"):
        elsewhere.list(["refs/heads/"])
    with pytest.raises(GitError, match=r"git fetch http://\S+: no answer within 0.3 s"):
        elsewhere.fetch(["+refs/heads/main:refs/x/main"])
    assert not any(http.url("") in line for line in command_lines())


def test_broken_remotes_delay_nobody(make_project, http, wait_for_quiet, wait_until, tmp_path):
    """One hangs, one is overloaded, one has no name: the local one runs at once, and the end waits for none."""
    one = make_project(config=CONFIG)
    hanging = GitHttpServer(tmp_path)
    hanging.is_hanging.set()
    http.status = 429
    addresses = [hanging.url("project1/.git"), http.url("project1/.git"), "https://no-such-host.invalid/x.git"]
    tables = "".join(
        f'[[projects]]\nname = "p{n}"\nrepository = "{url}"\n' for n, url in enumerate([*addresses, one.path])
    )
    (tmp_path / "ci.toml").write_text(OPERATOR + tables)
    process = one.start("watch", "--config", str(tmp_path / "ci.toml"))
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stderr.readline, "")))
    reader.start()
    try:
        state = one.path / ".git/cicdctl/state.db"
        wait_until(lambda: state.exists() and seen_of(state) is not None and hanging.requests, what="the first look")
        one.commit("second")
        wait_for_quiet(one, 2)
        wait_until(lambda: len(http.requests) > 2, what="another try")
        wait_until(lambda: any("Could not resolve host" in line for line in lines), what="what the resolver says")
    finally:
        process.terminate()
        process.wait(timeout=20)
        reader.join(timeout=20)
        process.communicate()
        hanging.close()
    said = "".join(lines)
    assert "The requested URL returned error: 429" in said
    assert "Could not resolve host: no-such-host.invalid" in said
    assert not any("no-such-host" in line or hanging.url("") in line for line in command_lines())


def seen_of(state: Path) -> set[str] | None:
    """Return the refs that were dealt with; None before the first look."""
    with closing(sqlite3.connect(state)) as connection:
        try:
            rows = connection.execute("SELECT ref FROM seen_ref").fetchall()
        except sqlite3.OperationalError:
            return None
    return {row[0] for row in rows} or None


def test_back_off_ends_at_a_quarter_of_an_hour():
    """Doubled with each failure, spread by half, never over the limit by more than the spread."""
    assert 54 <= pause_after(60, 0) <= 66
    for failures, middle in ((1, 120), (2, 240), (4, LONGEST_S), (1000, LONGEST_S)):
        pauses = [pause_after(60, failures) for _ in range(200)]
        assert middle * 0.5 <= min(pauses) < max(pauses) <= middle * 1.5
        assert max(pauses) - min(pauses) > middle * 0.3


def test_file_with_an_address_is_watched_from_anywhere(make_project, http, wait_for_quiet, tmp_path):
    """The mirror is made below XDG_DATA_HOME, and every command works in it."""
    away = make_project(config=CONFIG)
    away.git("checkout", "-q", "-b", "trunk")
    elsewhere = make_project(config=CONFIG)
    elsewhere.env = elsewhere.env | {"XDG_DATA_HOME": str(tmp_path / "data")}
    elsewhere.path = tmp_path
    (tmp_path / "ci.toml").write_text(OPERATOR + f'[project]\nrepository = "{http.url("project1/.git")}"\n')
    words = ("watch", "--config", "ci.toml", "--once")
    said = elsewhere.cicdctl(*words).passes().stderr
    (mirror,) = (tmp_path / "data/cicdctl/repositories").iterdir()
    assert mirror.stat().st_mode & 0o077 == 0 or mirror.parent.stat().st_mode & 0o077 == 0
    assert f"watching {http.url('project1/.git')} in {mirror}, pid " in said
    away.git("tag", "v1")
    tip = away.commit("second")
    elsewhere.cicdctl(*words).passes()
    elsewhere.path = mirror
    found = wait_for_quiet(elsewhere, 3)
    assert ("release", "tags/v1", "passed") in told(found)
    assert elsewhere.git("rev-parse", "HEAD") == tip and elsewhere.git("symbolic-ref", "HEAD") == "refs/heads/trunk"
    elsewhere.cicdctl("trigger", "docs", "v1", "--wait", "end").passes()
    # Nobody else packs it: small limits show that it does so itself.
    for key, value in (("gc.autoPackLimit", "1"), ("fetch.unpackLimit", "1")):
        elsewhere.git("config", key, value)
    for number in range(3):
        away.write("docs/page" if number == 0 else "code", str(number))
        away.git("checkout", "-q", "-B", "topic")
        away.commit(f"topic {number}")
        away.git("checkout", "-q", "trunk")
        if number != 1:
            elsewhere.cicdctl("watch", "--once").passes()
    assert len(list(mirror.glob("objects/pack/*.pack"))) == 1
    away.git("branch", "-D", "main")
    elsewhere.cicdctl("watch", "--once").passes()  # it knows what it is a mirror of
    assert "refs/heads/main" not in elsewhere.git("for-each-ref", "refs/heads")


@pytest.mark.parametrize(
    ("text", "plain", "username", "password", "name"),
    [
        ("https://host/a/my-app.git", "https://host/a/my-app.git", None, None, "my-app"),
        ("https://u:p%40ss@host:8443/a.git/", "https://host:8443/a.git/", "u", "p@ss", "a"),
        ("http://token@[::1]:80/a", "http://[::1]:80/a", "token", None, "a"),
        ("ssh://git@host:22/~/a.git", "ssh://git@host:22/~/a.git", None, None, "a"),
        ("git@host:team/a.git", "git@host:team/a.git", None, None, "a"),
        ("/srv/git/a.git", "/srv/git/a.git", None, None, "a"),
        ("https://host/…", "https://host/…", None, None, "repository"),
    ],
)
def test_addresses(text, plain, username, password, name):
    address = read_address(text)
    assert (address.plain, address.username, address.password) == (plain, username, password)
    assert address.short_name == name


@pytest.mark.parametrize(
    "text",
    ["-u", "ext::sh -c x", "ssh://git:secret@host/a", "git:secret@host:a", "gopher://host/secret", "http://[x/secret"],
)
def test_addresses_that_are_refused(text):
    with pytest.raises(GitError) as raised:
        read_address(text)
    assert "git:secret" not in raised.value.message


def test_what_is_elsewhere():
    there = ["https://h/a", "file:///a", "git@h:a", "h:a/b", "ssh://h/a"]
    here = ["/a/b", "./a:b", "a/b", "~/a", "../x", ".", "/a:b", "a/b:c"]
    assert all(map(is_elsewhere, there)) and not any(map(is_elsewhere, here))
