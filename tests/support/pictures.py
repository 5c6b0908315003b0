"""Takes the pictures of the documentation: a repository as it is after some weeks, its server, a real browser.

    python tests/support/pictures.py [--to docs/pictures] [--keep]

`--keep` leaves the server running until Enter, to look around.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from demo_runs import fill
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CONFIG = r"""
[project]
name = "parley"

[orchestrator]
max_parallel_pipelines = 1

[orchestrator.monitoring]
secret = "it is a secret to everybody, of some length"

[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
compile = "sleep 300"
unit = { run = "true", needs = ["compile"] }
integration = { run = "true", needs = ["compile"] }

[pipelines.test]
trigger = "after_build"
[pipelines.test.stages.compile]
run = "sleep 0.8"
[pipelines.test.stages.lint]
run = "sleep 0.3"
needs = []
[pipelines.test.stages.unit]
run = '''
for n in $(seq 40); do echo "tests/test_parser.py::test_case_$n PASSED"; done
sleep 0.4
printf '\033[31mFAILED\033[0m tests/test_parser.py::test_comma_after_last - ParseError: line 3: expected an argument\n'
echo "1 failed, 40 passed in 0.41s"; exit 1'''
needs = ["compile"]
[pipelines.test.stages.integration]
run = "sleep 1.1"
needs = ["compile"]
[pipelines.test.stages.package]
run = "true"
needs = ["unit", "integration", "lint"]

[pipelines.lint]
trigger = "on_commit"
[pipelines.lint.stages]
format = "true"
types = "true"

[pipelines.docs]
trigger = { schedule = "0 3 * * *" }
[pipelines.docs.stages]
site = "true"

[pipelines.deploy]
trigger = { on_tag = ["v*"] }
environment = "{params.environment}"
approval = true
[pipelines.deploy.params]
environment = { default = "staging", choices = ["staging", "production"], description = "where to" }
[pipelines.deploy.stages]
ship = "true"

[pipelines.fuzz]
[pipelines.fuzz.stages]
fuzz = "true"

[notifiers.team]
uses = "webhook"
url = "http://127.0.0.1:9/none"
on = ["failed", "broken", "fixed"]
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
# Name of the file, address, width and height, colours.
PICTURES = (
    ("overview", "/", 1280, 570, "light"),
    ("run", "/r/301", 1280, 1050, "light"),
    ("pipeline", "/p/build", 1280, 800, "dark"),
)


class Demo:
    """A repository below `folder` with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "parley"
        home = folder / "home"
        self.folder.mkdir()
        home.mkdir()
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONPATH": str(ROOT),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada Author",
            "GIT_AUTHOR_EMAIL": "ada@example.test",
            "GIT_COMMITTER_NAME": "Ada Author",
            "GIT_COMMITTER_EMAIL": "ada@example.test",
        }
        (self.folder / ".cicd.toml").write_text(CONFIG)
        self.git("init", "-q", "-b", "main")
        self.git("add", "-A")
        self.git("commit", "-qm", "parser: accept a comma after the last argument")
        self.cicdctl("history")
        (self.folder / ".git" / "cicdctl" / "config.toml").write_text('[orchestrator.trust]\nrefs = ["main"]\n')
        fill(self.folder / ".git" / "cicdctl", pipelines=["build", "test", "lint", "docs", "deploy"], runs=60)

    def git(self, *argv: str) -> None:
        subprocess.run(["git", *argv], cwd=self.folder, env=self.env, check=True)

    def cicdctl(self, *argv: str, **env: str) -> str:
        command = [sys.executable, "-P", "-m", "cicdctl", *argv]
        done = subprocess.run(command, cwd=self.folder, env=self.env | env, capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stderr  # 1: a run that failed
        return done.stdout.strip()

    def begin(self, url: str, token: str) -> list[int]:
        """Have a run fail, one run, one wait for its turn and one for a person; return those that have not ended."""

        def ask(*words: str) -> str:
            return self.cicdctl("trigger", *words, CICDCTL_SERVER=url, CICDCTL_TOKEN=token)

        ask("test", "--wait", "end")
        ask("build", "--wait", "start")
        wanted = (["lint"], ["deploy", "-p", "environment=staging"])
        waiting = [json.loads(ask(*words, "--json"))["run"]["number"] for words in wanted]
        return [waiting[0] - 1, *waiting]

    def end(self, runs: list[int]) -> None:
        """End what runs, the last one first so that none begins."""
        for run in reversed(runs):
            self.cicdctl("cancel", str(run))


@contextmanager
def served(demo: Demo) -> Iterator[str]:
    """Serve it; yield the address."""
    command = [sys.executable, "-P", "-m", "cicdctl", "serve", "--port", "0"]
    process = subprocess.Popen(command, cwd=demo.folder, env=demo.env, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+:\d+", process.stdout.readline())
        assert found is not None
        yield found[0]
    finally:
        process.terminate()
        process.wait(30)


def take(url: str, token: str, to: Path, pictures: Iterable[tuple[str, str, int, int, str]] = PICTURES) -> None:
    """Take pictures of pages as somebody sees them who may do anything."""
    to.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name, path, width, height, colours in pictures:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=colours,
                reduced_motion="reduce",
            )
            page = context.new_page()
            _log_in(page, url, token)
            page.goto(url + path)
            page.screenshot(path=to / f"{name}.png")
            context.close()
        browser.close()


def _log_in(page: Page, url: str, token: str) -> None:
    page.goto(url + "/login")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()


def main(argv: list[str]) -> None:
    """Take all pictures."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--to", type=Path, default=ROOT / "docs" / "pictures")
    asked.add_argument("--keep", action="store_true")
    options = asked.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="cicdctl-pictures-") as folder:
        demo = Demo(Path(folder))
        token = demo.cicdctl("token", "create", "ada", "--scope", "admin")
        with served(demo) as url:
            runs = demo.begin(url, token)
            take(url, token, options.to)
            if options.keep:
                input(f"{url} {token}\n")
            demo.end(runs)


if __name__ == "__main__":
    main(sys.argv[1:])
