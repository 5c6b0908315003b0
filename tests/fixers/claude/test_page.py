"""docs/claude.md says what the code does: tools, prices, models, the file that replaces them."""

from __future__ import annotations

import re
from pathlib import Path

import cicdctl
from cicdctl.fixers.claude import tools_shell
from cicdctl.fixers.claude.endpoint import find_endpoint
from cicdctl.fixers.claude.fixer import SANDBOXED_SHELL
from cicdctl.fixers.claude.models import load_models
from cicdctl.fixers.claude.options import ClaudeOptions
from cicdctl.fixers.claude.schemas import SHELL, TOOLS
from cicdctl.fixers.claude.search import LIMIT_S, MOST_MATCHES
from cicdctl.fixers.claude.toolbox import CHECK_CHARS, MOST_TAKEN
from cicdctl.fixers.claude.wording import NAMES, prompt, prompt_sha256

PAGE = (Path(cicdctl.__file__).parent.parent / "docs" / "claude.md").read_text()


def rows(header: str) -> list[list[str]]:
    table = PAGE.partition(header)[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_tools():
    """Every tool, in its order."""
    assert [row[0].strip("`") for row in rows("| tool | what it does |")] == list(TOOLS)
    assert f"at most {MOST_MATCHES} matching lines, within {LIMIT_S:.0f} s" in PAGE


def test_shell():
    """Its limits, and the word that switches it on."""
    limits = f"at most {tools_shell.LIMIT_S:.0f} seconds and {tools_shell.MOST_COMMANDS} of them in an attempt"
    assert limits in PAGE
    assert f"(at most {MOST_TAKEN} files)" in PAGE
    assert f"at most {CHECK_CHARS:,} characters of it" in PAGE
    assert f'tools = "{SANDBOXED_SHELL}"' in PAGE
    assert f"at most {tools_shell.LIMIT_S:.0f} seconds" in prompt("shell")
    assert f"at most {tools_shell.LIMIT_S:.0f} seconds" in SHELL.doc


def test_prices(tmp_path):
    """Every model with its price, the date, and who is asked; the file shown is one that is read."""
    models = load_models(None)
    shown = {row[0].strip("`"): [float(cell) for cell in row[1:5]] for row in rows("| model | in |")}
    assert shown == {
        name: [price.input, price.output, price.cache_write, price.cache_read] for name, price in models.models.items()
    }
    assert f"as of {models.dated}" in PAGE
    (own,) = re.findall(r"```toml\n(attempt = .*?)```", PAGE, re.DOTALL)
    (tmp_path / "models.toml").write_text(own)
    assert load_models(tmp_path).choose(ClaudeOptions(), is_last=False)[0] == "my-model"


def test_retries():
    """The numbers are the defaults."""
    retry = ClaudeOptions().retry
    assert (retry.attempts, retry.max_retry_after) == (4, 60.0)
    assert "up to 60 s (`retry.max_retry_after`)" in PAGE
    assert isinstance(find_endpoint(ClaudeOptions(), {}), str)


def test_prompts_are_packaged():
    """Each is there, and all of them make the digest of the proof."""
    assert all(prompt(name) for name in NAMES)
    assert re.fullmatch("[0-9a-f]{64}", prompt_sha256())
    assert "run_check" in prompt("system")
