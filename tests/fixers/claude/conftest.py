"""A real worktree with a test that really fails, and the fixer over real HTTP: only the engine is not there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from messages_api import Block, MessagesApi, text, thinking, tool
from messages_api.fixture import messages_api  # noqa: F401

from cicdctl.fixers.claude import ClaudeFixer
from cicdctl.fixers.claude.options import ClaudeOptions
from cicdctl.fixing.paths import PathRules
from cicdctl.fixing.redact import Redactor
from cicdctl.model.fixing import CheckOutcome, CodeWindow, Diagnostic, FailureBundle, FixBudget, FixRequest, FixUsage

KEY = "sk-ant-test-0123456789abcdef"
BROKEN = "def mean(values):\n    return sum(values) / len(values)\n"
RIGHT = "    return sum(values) / len(values) if values else 0"
TEST = (
    "from stats import mean\n\n\ndef test_mean():\n    assert mean([1, 3]) == 2\n\n\n"
    "def test_empty():\n    assert mean([]) == 0\n"
)
EXCERPT = "$ python -m pytest -q\nE   ZeroDivisionError: division by zero\nstats.py:2: ZeroDivisionError"


class Bench:
    """One failure to repair. `calls` are what the fixer did with money: booked, and used."""

    def __init__(self, api: MessagesApi, worktree: Path) -> None:
        self.api = api
        self.worktree = worktree
        self.redactor = Redactor({})
        self.reports: list[str] = []
        self.waits: list[float] = []
        self.booked: list[float] = []
        self.used: list[FixUsage] = []
        self.checks: list[bool] = []
        self.logs = {"unit": f"collected 2 items\n{EXCERPT}\n"}
        self.limit_usd = 1.0
        self.environ = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": api.url}
        self.options: dict[str, Any] = {}
        self.bundle: dict[str, Any] = {}
        self.request: dict[str, Any] = {}
        self.is_cancelled = False
        self.open_shell: Callable[[], Any] | None = None
        self._fixer: ClaudeFixer | None = None

    @property
    def spent(self) -> float:
        return sum(usage.cost_usd for usage in self.used)

    def read(self, path: str = "stats.py") -> str:
        return (self.worktree / path).read_text()

    def write(self, path: str, content: str | bytes) -> None:
        target = self.worktree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def fix(self, **more: Any):
        """Let the fixer work; scripts and options were set before."""
        request = self.make_request(**{**self.request, **more})
        return self.fixer.fix(request)

    @property
    def fixer(self) -> ClaudeFixer:
        if self._fixer is None:
            options = ClaudeOptions(**self.options)
            self._fixer = ClaudeFixer(options, self.environ, sleep=self.waits.append, open_shell=self.open_shell)
        return self._fixer

    def make_bundle(self, **more: Any) -> FailureBundle:
        plain = {
            "run": 42,
            "stage": "unit",
            "attempt": 1,
            "base": "b" * 40,
            "base_tree": "c" * 40,
            "command": ("python -m pytest -q",),
            "exit_code": 1,
            "seconds": 0.4,
            "category": "code",
            "diagnostics": (
                Diagnostic(
                    tool="pytest",
                    kind="test",
                    file="stats.py",
                    line=2,
                    message="ZeroDivisionError: division by zero",
                    test_id="test_stats.py::test_empty",
                ),
            ),  # fmt: skip
            "changed_since_green": ("stats.py",),
            "excerpt": EXCERPT,
            "windows": (CodeWindow(file="stats.py", start=1, end=2, text=BROKEN),),
        }
        return FailureBundle(**{**plain, **self.bundle, **more})

    def make_request(self, **more: Any) -> FixRequest:
        rules = PathRules(self.worktree)
        plain = {
            "bundle": self.make_bundle(),
            "worktree": self.worktree,
            "attempt": 1,
            "max_attempts": 3,
            "deadline": time.monotonic() + 60,
            "budget": FixBudget(),
            "check": self.check,
            "report": self.reports.append,
            "cancelled": lambda: self.is_cancelled,
            "may_write": rules.may_write,
            "reserve": self.reserve,
            "settle": self.settle,
            "log": self.logs.get,
            "redact": self.redactor.text,
        }
        return FixRequest(**{**plain, **more})

    def check(self) -> CheckOutcome:
        """Run the failing tests on the files as they are."""
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
            cwd=self.worktree,
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
        )
        self.checks.append(done.returncode == 0)
        return CheckOutcome(passed=done.returncode == 0, text=self.redactor.text(done.stdout))

    def reserve(self, usd: float) -> bool:
        if self.spent + usd > self.limit_usd:
            return False
        self.booked.append(usd)
        return True

    def settle(self, reserved: float, usage: FixUsage) -> None:
        assert self.booked[len(self.used)] == reserved, "what was booked is settled, once"
        self.used.append(usage)

    def repairs(self) -> None:
        """Script a reply for each step of a repair."""
        self.api.says(thinking(), repair())
        self.api.says(tool("run_check"))
        self.api.says(submit())


def repair(new: str = RIGHT, old: str = "    return sum(values) / len(values)", path: str = "stats.py") -> Block:
    return tool("str_replace", path=path, old_str=old, new_str=new)


def submit(explanation: str = "give an empty list a mean of 0", **more: str) -> Block:
    given = {"root_cause": "mean divides by the number of values", "confidence": "high", **more}
    return tool("submit", explanation=explanation, **given)


def give_up(category: str = "test_is_wrong", **more: str) -> Block:
    return tool("give_up", **{"reason": "the test expects nonsense", "category": category, **more})


@pytest.fixture
def bench(messages_api: MessagesApi, tmp_path: Path) -> Bench:  # noqa: F811
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    made = Bench(messages_api, worktree)
    made.write("stats.py", BROKEN)
    made.write("test_stats.py", TEST)
    made.write("README.md", "# Statistics\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(worktree)]
    for argv in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *argv], check=True, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    return made


@pytest.fixture
def words() -> dict[str, Callable[..., Block]]:
    """Short ways to script calls."""
    return {"repair": repair, "submit": submit, "give_up": give_up, "text": text, "tool": tool, "thinking": thinking}
