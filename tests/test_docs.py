"""The documentation tells the truth: commands and their help, exit statuses, links, the README's session, the example.

`python tests/test_docs.py` writes the generated part of docs/commands.md anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.glob("*.md"), *DOCS.glob("forges/*.md")])
COMMANDS_PAGE = DOCS / "commands.md"
GENERATED = "<!-- From here on: python tests/test_docs.py -->\n"
HELP_WIDTH = 100

# The two commands that install: what they are made of is tested piece by piece, since no test installs itself.
SETUP = ("pip install -e . && cicdctl run build", "pip install -e '.[test]' && python -m pytest -n 2")

# The repository in which the session of the README was recorded.
GREET = {
    "Makefile": "build:\n\tmkdir -p dist\n\tgrep -v '^#' src/greet.sh > dist/greet\n\ntest: build\n\t@sh test.sh\n",
    "src/greet.sh": 'echo "hello, $1"\n',
    "test.sh": "sleep 0.5  # a test takes its time\n"
    'said=$(sh dist/greet world)\ntest "$said" = "hello world" || { echo "greet says: $said"; exit 1; }\n',
}

# What the example builds.
GREETER = {
    "README.md": "# greeter\n",
    "src/__init__.py": "",
    "src/greeter.py": 'def greet(name: str) -> str:\n    return f"hello {name}"\n',
    "tests/__init__.py": "",
    "tests/test_greeter.py": "import unittest\n\nfrom src.greeter import greet\n\n\n"
    'class Greet(unittest.TestCase):\n    def test_name(self):\n        self.assertEqual(greet("you"), "hello you")\n',
}


# --- the generated page


def generated_commands() -> str:
    """Return every command's help, in the order of `cicdctl --help`."""
    parts = ["## cicdctl\n", _block(_help(()))]
    for words in _command_lines():
        parts += [f"## cicdctl {' '.join(words)}\n", _block(_help(words))]
    return "\n".join(parts)


def _command_lines() -> Iterator[tuple[str, ...]]:
    """Yield every command as words, groups before their members."""
    import typer

    from cicdctl.cli import app

    root = typer.main.get_command(app)
    for name in root.list_commands(None):
        yield (name,)
        command = root.get_command(None, name)
        yield from ((name, member) for member in getattr(command, "commands", {}))


def _help(words: tuple[str, ...]) -> str:
    import typer

    from cicdctl.cli import app

    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        typer.main.get_command(app).main(
            [*words, "--help"], prog_name="cicdctl", terminal_width=HELP_WIDTH, max_content_width=HELP_WIDTH
        )
    return out.getvalue()


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"


def write_commands_page() -> None:
    """Replace the generated part of docs/commands.md; what people wrote above it stays."""
    written, mark, _ = COMMANDS_PAGE.read_text().partition(GENERATED)
    assert mark, f"{COMMANDS_PAGE} has lost its line {GENERATED!r}"
    COMMANDS_PAGE.write_text(written + GENERATED + "\n" + generated_commands())


def test_commands_page_is_what_help_says():
    _, mark, rest = COMMANDS_PAGE.read_text().partition(GENERATED)
    assert mark
    assert rest == "\n" + generated_commands(), "docs/commands.md is old: run python tests/test_docs.py"


def test_every_command_has_a_help_of_its_own():
    """A command without a sentence would be an empty block on the page."""
    for words in _command_lines():
        lines = _help(words).splitlines()
        assert lines[0].startswith(f"Usage: cicdctl {' '.join(words)}"), lines
        assert lines[2].startswith("  ") and lines[2].strip(), f"{words} says nothing of itself"


# --- exit statuses


def test_every_exit_status_is_in_the_table():
    """What the code can exit with is exactly what docs/commands.md lists."""
    from cicdctl import errors
    from cicdctl.model import Verdict
    from cicdctl.reports.ending import _STATUS
    from cicdctl.runner.execute import CacheMiss

    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CicdError)]
    known = {kind.exit_code for kind in (*classes, CacheMiss)} | {_STATUS.get(verdict, 1) for verdict in Verdict}
    door = (ROOT / "cicdctl" / "cli.py").read_text()
    known |= {int(status) for status in re.findall(r"sys\.exit\((\d+)\)", door)}
    table = COMMANDS_PAGE.read_text().partition("## Exit status")[2].partition("\n## ")[0]
    assert {int(status) for status in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == known


@pytest.mark.parametrize("status", [124, 125])
def test_exit_status_of_a_stage_is_documented(status):
    assert f"`{status}`" in (DOCS / "stages.md").read_text()


# --- links


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not re.match(r"[a-z]+:", target):
                yield page, target


@pytest.mark.parametrize(
    ("page", "target"), list(links()), ids=lambda part: part if isinstance(part, str) else part.name
)
def test_link_leads_somewhere(page, target):
    name, _, heading = target.partition("#")
    path = (page.parent / name).resolve() if name else page
    assert path.exists(), f"{page.name} links to {target}"
    assert path.is_relative_to(ROOT)
    if heading:
        assert heading in {slug(title) for title in re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)}


def slug(title: str) -> str:
    """Return the anchor that a heading gets on the web."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_every_page_is_reached_from_the_start_page():
    start = (DOCS / "index.md").read_text()
    assert [page.name for page in DOCS.glob("*.md") if page.name != "index.md" and f"]({page.name})" not in start] == []


# --- the README


def console_blocks() -> list[str]:
    return re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def commands_of(block: str) -> list[tuple[str, list[str]]]:
    """Split a block into commands and the lines each of them printed."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    return found


def test_readme_begins_with_the_two_commands():
    """The blocks that install are these, and what they ask for is there."""
    assert console_blocks()[:2] == [f"$ {command}\n" for command in SETUP]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["cicdctl"] == "cicdctl.entry:main"
    wanted = {re.match(r"[\w-]+", line).group() for line in project["optional-dependencies"]["test"]}
    assert {"pytest", "pytest-xdist"} <= wanted


def test_readme_session_is_what_a_terminal_shows(make_project, clean_env, tmp_path):
    """Each command of the session, in a terminal, prints what the README says, but for times, ids and folders."""
    project = make_project(config="", files=GREET)
    project.git("rm", "-q", ".cicd.toml")
    project.git("commit", "-q", "--amend", "-m", "greet people")
    program = tmp_path / "bin" / "cicdctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m cicdctl "$@"\n')
    program.chmod(0o755)
    env = clean_env | {
        "PATH": f"{program.parent}:{clean_env['PATH']}",
        "TERM": "xterm-256color",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_{what}": "ada@example.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    blocks = console_blocks()[2:]
    assert blocks
    wanted = [told for block in blocks for told in commands_of(block)]

    shown = in_terminal([command for command, _ in wanted], folder=project.path, env=env)

    for (command, lines), screen in zip(wanted, shown, strict=True):
        assert normal(screen) == normal(lines), f"$ {command}\n" + "\n".join(screen)


def in_terminal(commands: list[str], *, folder: Path, env: dict[str, str]) -> list[list[str]]:
    """Run commands in one bash whose terminal we are; return the lines that each left on the screen."""
    mark = "\x1c"
    script = "".join(f"printf '{mark}'\n{command}\n" for command in commands)
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    with subprocess.Popen(
        ["bash", "--norc", "-c", script],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    ) as shell:
        os.close(follower)
        said = b""
        with contextlib.suppress(OSError):  # EIO: the last program has closed it
            while chunk := os.read(leader, 65536):
                said += chunk
        os.close(leader)
        shell.wait(timeout=60)
    return [screen_lines(part) for part in said.decode().split(mark)[1:]]


def screen_lines(text: str) -> list[str]:
    """Return what is on the screen after `text`: the sequences that move and erase are obeyed, colours dropped."""
    lines: list[str] = [""]
    row = column = 0
    for part in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row - len(lines) + 1)
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part.startswith("\x1b[") and part.endswith("A"):
            row -= int(part[2:-1] or 1)
        elif not part.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    while lines and not lines[-1].strip():
        lines.pop()
    return [line.rstrip() for line in lines]


def normal(lines: list[str]) -> list[str]:
    """Put a word for what differs from run to run; stages that ran side by side are in the order of their names."""
    plain: list[str] = []
    for line in lines:
        line = re.sub(r"\b\d+(\.\d+)?s\b", "TIME", line.rstrip())
        line = re.sub(r"/\S*(?=/\.git/cicdctl/|/worktrees/)", "FOLDER", line)
        line = re.sub(r"\b[0-9a-f]{10,40}\b|(?<=/worktrees/)\w+", "ID", line)
        plain.append(line)
    start = 0
    while start < len(plain):
        end = start
        while end < len(plain) and re.match(r" [✓✗■-] ", plain[end]):
            end += 1
        plain[start:end] = sorted(plain[start:end])
        start = max(end, start + 1)
    while plain and not plain[-1]:
        plain.pop()
    return plain


def test_own_pipeline_passes(clean_env, make_project):
    """The first command of the README ends well: cicdctl's pipeline on the files of this checkout."""
    project = make_project(config=(ROOT / ".cicd.toml").read_text())
    files = [path for path in (ROOT / "cicdctl").rglob("*.py")]
    for path in (*files, *(ROOT / name for name in ("README.md", "pyproject.toml", "LICENSE"))):
        project.write(str(path.relative_to(ROOT)), path.read_bytes())
    project.commit("cicdctl")
    assert "#1 build passed in" in project.cicdctl("run", "build").passes().stdout


# --- the example


def test_example_runs(make_project):
    """`.cicd.toml.example` is valid as it is, and each of its pipelines ends well."""
    project = make_project(config=(ROOT / ".cicd.toml.example").read_text(), files=GREETER)
    assert project.cicdctl("config", "validate").passes().stdout == ".cicd.toml is valid: 3 pipelines\n"

    assert "3 passed" in project.cicdctl("run", "build").passes().stdout
    assert 'param "level" is "quick", not "full"' in project.cicdctl("plan", "test").passes().stdout
    assert "6 passed" in project.cicdctl("run", "test", "-p", "level=full").passes().stdout
    release = project.cicdctl("run", "release", env={"REGISTRY_TOKEN": "t0ps3cret"}).passes()
    assert "2 passed" in release.stdout


if __name__ == "__main__":
    write_commands_page()
