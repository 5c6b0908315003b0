"""Real repositories made by the git program, the installed cicdctl as a program, and guards around every test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How fast examples come says something of the machine, and nothing of the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Whoever starts the tests with `&` from a script, or with nohup, has them ignore signals, and all that they start.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

GIT_ENV = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada Author",
    "GIT_AUTHOR_EMAIL": "ada@example.test",
    "GIT_COMMITTER_NAME": "Cay Committer",
    "GIT_COMMITTER_EMAIL": "cay@example.test",
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
}


class Finished:
    """A command that ended; `passes` and `fails` show its output when it ended otherwise."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status = done.returncode
        self.stdout = done.stdout
        self.stderr = done.stderr

    def passes(self) -> Finished:
        return self.fails(0)

    def fails(self, status: int) -> Finished:
        assert self.status == status, f"exit status {self.status}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"
        assert "Traceback" not in self.stderr, self.stderr
        return self


class ProjectFolder:
    """A repository with a `.cicd.toml`, and the programs that work on it."""

    patience_s = 100.0  # what takes longer has hung

    def __init__(self, path: Path, env: dict[str, str]) -> None:
        self.path = path
        self.env = env

    def git(self, *argv: str, stdin: str | None = None) -> str:
        done = subprocess.run(
            ["git", *argv], cwd=self.path, env=self.env | GIT_ENV, input=stdin, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, name: str, text: str | bytes, *, mode: int = 0o644) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(mode)
        return path

    def commit(self, message: str = "a commit") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def cicdctl(self, *argv: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Finished:
        return Finished(
            subprocess.run(
                [sys.executable, "-P", "-m", "cicdctl", *argv],
                cwd=self.path,
                env=self.env | dict(env or {}),
                input=stdin,
                capture_output=True,
                text=True,
                timeout=self.patience_s,
                errors="replace",
            )
        )

    def start(self, *argv: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "cicdctl", *argv],
            cwd=self.path,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def clean_environment(root: Path) -> dict[str, str]:
    """Return an environment of its own: home, cache and configuration below a folder."""
    home = root / "home"
    home.mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_CACHE_HOME": str(root / "cache"),
        "XDG_CONFIG_HOME": str(root / "config"),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }


@pytest.fixture
def clean_env(tmp_path: Path) -> dict[str, str]:
    """An environment of its own: home, cache and configuration below the test's folder."""
    return clean_environment(tmp_path)


@pytest.fixture
def make_project(tmp_path: Path, clean_env: dict[str, str]) -> Callable[..., ProjectFolder]:
    """Make a repository. Keywords are stages of the pipeline `build`; `config` replaces the whole file."""
    made = 0

    def make(config: str | None = None, files: Mapping[str, str] | None = None, **stages: str) -> ProjectFolder:
        nonlocal made
        made += 1
        project = ProjectFolder(tmp_path / f"project{made}", clean_env)
        project.path.mkdir()
        project.git("init", "-q", "-b", "main")
        if config is None:
            lines = [f"{name} = {toml_text(command)}" for name, command in stages.items()]
            config = "\n".join(["[pipelines.build]", "[pipelines.build.stages]", *lines, ""])
        project.write(".cicd.toml", config)
        for name, text in (files or {}).items():
            project.write(name, text)
        project.commit("first")
        return project

    return make


def toml_text(text: str) -> str:
    """Return text as a TOML basic string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@pytest.fixture(autouse=True)
def environment_is_unchanged() -> Iterator[None]:
    """No test may change the environment of the next."""
    before = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    yield
    assert {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} == before


# Detached programs that tidy up, or that look whether there is something to do.
_MAY_LINGER = (" _runner ", " _notify", " hook drain", "post-receive --later")


@pytest.fixture(autouse=True)
def no_process_is_left(tmp_path: Path) -> Iterator[None]:
    """No process may outlive the test that started it. Detached ones get a moment for their own end."""
    yield
    end = time.monotonic() + 5.0
    while (left := marked_processes(str(tmp_path).encode())) and time.monotonic() < end:
        if not all(any(word in command for word in _MAY_LINGER) for command in left):
            break
        time.sleep(0.05)
    assert not left, f"processes outlived the test: {left}"
    _reap_adopted()


def _reap_adopted() -> None:
    """Take note of the end of detached programs: a test that became a subreaper has adopted them."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def marked_processes(needle: bytes) -> list[str]:
    """Return the command lines of other processes whose environment or working folder holds `needle`."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            folder = os.fsencode(os.readlink(f"/proc/{entry}/cwd"))
            environ = Path(f"/proc/{entry}/environ").read_bytes()
            command = Path(f"/proc/{entry}/cmdline").read_bytes()
        except OSError:
            continue
        if command and (folder.startswith(needle) or b"=" + needle in environ):
            found.append(command.replace(b"\0", b" ").decode("utf-8", "replace"))
    return found


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """Wait for something that other processes bring about."""

    def wait(is_true: Callable[[], bool], *, what: str = "it", timeout_s: float = 30.0) -> None:
        end = time.monotonic() + timeout_s
        while not is_true():
            assert time.monotonic() < end, f"{what} did not come about"
            time.sleep(0.05)

    return wait
