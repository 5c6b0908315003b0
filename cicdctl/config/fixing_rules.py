"""The keys of `[fix]` and `[fixers.NAME]`."""

# ruff: noqa: E501 (one key a line, however long, is the table that people read)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cicdctl.config.names import GLOB, LINE, NAME, REF_GLOB, check_variable
from cicdctl.config.orchestrator_rules import ENV_NAMES
from cicdctl.config.problems import At, Problems
from cicdctl.config.settings import FixSettings, FixVerifySettings
from cicdctl.config.shapes import Anything, Choice, Duration, Flag, Number, Size, Text, Whole
from cicdctl.config.stage_rules import COMMANDS
from cicdctl.config.table import Key, Many, OneOf, Table

STAGE_GLOBS = Many(of=REF_GLOB, or_one=True)
GLOBS = Many(of=GLOB, or_one=True)

VERIFY = Table(
    build=FixVerifySettings,
    keys=(
        Key(name="integrity", shape=Choice(options=("report", "required")), doc="Whether fewer tests than before stop a fix, or are only reported", default='"report"', tighten="order"),
        Key(name="flip", shape=Flag(), doc="Take the fix away again and see the failure come back", default="true", tighten="on"),
        Key(name="repeat", shape=Whole(at_least=1, at_most=100), doc="Times the fixed stage must pass", default="1", tighten="higher"),
    ),
)

FIX = Table(
    build=FixSettings,
    keys=(
        Key(name="mode", shape=Choice(options=("auto", "propose", "explain", "off")), doc="How far a fix goes by itself", default='"propose"', tighten="order"),
        Key(name="auto_apply", shape=Many(of=NAME, or_one=True), doc="Fixers, or kinds of them, that `auto` may apply; never AI", default='["command"]', tighten="narrower"),
        Key(name="stages", shape=STAGE_GLOBS, doc="Globs of the stages fixers may work on", default='["*"]', tighten="narrower"),
        Key(name="never_stages", shape=STAGE_GLOBS, doc="Globs of stages they never touch", default='["deploy*", "release*", "publish*"]', tighten="add"),
        Key(name="branches", shape=STAGE_GLOBS, doc="Globs of branches they may work on", default='["*"]', tighten="narrower"),
        Key(name="timeout", field="timeout_s", shape=Duration(), doc="Time for the flake check, the fixers and their checks", default='"15m"', tighten="lower"),
        Key(name="flake_reruns", shape=Whole(at_most=20), doc="Times a failed stage is tried again first, to tell a flaky one", default="1", tighten="higher"),
        Key(name="verify", shape=VERIFY, doc="How a fix is tested", default="{}"),
        Key(name="network_stages", shape=STAGE_GLOBS, doc="Stages that keep their network while a fix is tested", default="[]", tighten="narrower"),
        Key(name="secret_stages", shape=STAGE_GLOBS, doc="Stages that keep their secrets while a fix is tested", default="[]", tighten="narrower"),
        Key(name="env_allow", shape=ENV_NAMES, doc="Variables a fixer inherits, and a stage that tries what a model wrote, in the place of `orchestrator.env_allow`", default="[]", tighten="narrower"),
        Key(name="sandbox", shape=Choice(options=("off", "auto", "required")), doc="Sandbox of fixers and of their checks", default='"auto"', tighten="order"),
        Key(name="isolation", shape=Choice(options=("worktree", "clone")), doc="`clone`: each checkout of a fix is a repository of its own, with copies of one commit's objects and no way to yours", default='"worktree"', tighten="order"),
        Key(name="protected_paths", shape=GLOBS, doc="More files a fix may not change, beside tests, CI, lock files and manifests", default="[]", tighten="add"),
        Key(name="allow_paths", shape=GLOBS, doc="Files that are protected but may be changed here; shown in the proof", default="[]", tighten="narrower"),
        Key(name="max_files", shape=Whole(at_least=1, at_most=10**6), doc="Most files a fix may change", tighten="lower"),
        Key(name="max_lines", shape=Whole(at_least=1, at_most=10**6), doc="Most lines a fix may change", tighten="lower"),
        Key(name="max_size", field="max_size_bytes", shape=Size(), doc="Largest patch", tighten="lower"),
        Key(name="branch_prefix", shape=REF_GLOB, doc="Where fixes are offered", default='"cicdctl/fix/"'),
        Key(name="author", shape=LINE, doc='Author of fix commits, as "Name <address>"'),
        Key(name="notes", shape=Flag(), doc="Keep proofs as git notes too", default="false"),
        Key(name="push", shape=Flag(), doc="Push the fix branch to the remote", default="false", outside=True),
        Key(name="protected_branches", shape=STAGE_GLOBS, doc="More branches that are never pushed to", default="[]", tighten="add"),
    ),
)

COMMON = (
    Key(name="uses", shape=NAME, doc="The fixer that a plugin provides. Default: the section's own name"),
    Key(name="stages", shape=STAGE_GLOBS, doc="Globs of the stages it may work on", default='["*"]', tighten="narrower"),
    Key(name="paths", shape=GLOBS, doc="Globs of the files it may change; empty: any that is not protected", default="[]"),
    Key(name="timeout", field="timeout_s", shape=Duration(), doc="Time limit of one try"),
    Key(name="network", shape=Flag(), doc="Let it use the network", default="false"),
    Key(name="enabled", shape=OneOf(of=(Flag(), Choice(options=("auto",)))), doc="`auto`: on when all it needs is there", default='"auto"', tighten="off"),
)
COMMAND_FIXER = Table(
    keys=(Key(name="run", shape=COMMANDS, doc="Commands that repair the files in place", required=True), *COMMON),
)
PLUGIN_FIXER = Table(keys=COMMON, rest=Anything())

RETRY = Table(
    keys=(
        Key(name="attempts", shape=Whole(at_least=1, at_most=20), doc="Requests per turn"),
        Key(name="cap", shape=Duration(), doc="Longest pause between two"),
        Key(name="max_retry_after", shape=Duration(), doc="Longest pause the service may ask for"),
    ),
)
CLAUDE_OPTIONS = (
    Key(name="model", shape=LINE, doc="The model"),
    Key(name="last_attempt_model", shape=LINE, doc="The model of the last attempt"),
    Key(name="fallback_model", shape=LINE, doc="The model when the first is not available"),
    Key(name="effort", shape=Choice(options=("low", "medium", "high", "max")), doc="How hard it thinks", default='"medium"'),
    Key(name="max_tokens", shape=Whole(at_least=256, at_most=10**6), doc="Output tokens per turn", default="16000", tighten="lower"),
    Key(name="connect_timeout", shape=Duration(), doc="Time to reach the service", default='"5s"'),
    Key(name="retry", shape=RETRY, doc="What happens after a failed request", default="{}"),
    Key(name="api_key_env", shape=Text(check=check_variable), doc="Variable that holds the key", default='"ANTHROPIC_API_KEY"', outside=True),
    Key(name="base_url", shape=LINE, doc="Another address of the service", outside=True),
    Key(name="tools", shape=Choice(options=("edit", "sandboxed-shell")), doc="What it may do; a shell only in bubblewrap without network", default='"edit"', outside=True),
    Key(name="max_cost_usd", shape=Number(above=None, at_most=10**6), doc="Dollars per fix", default="1.0", tighten="lower"),
    Key(name="daily_cost_usd", shape=Number(above=None, at_most=10**6), doc="Dollars per day", default="10.0", tighten="lower"),
    Key(name="max_turns", shape=Whole(at_least=1, at_most=1000), doc="Turns per attempt", default="30", tighten="lower"),
    Key(name="max_checks", shape=Whole(at_most=1000), doc="Test runs per attempt", default="6", tighten="lower"),
    Key(name="log_chars", shape=Whole(at_least=1000, at_most=10**6), doc="Characters of the log it sees first", default="24000", tighten="lower"),
    Key(name="code_chars", shape=Whole(at_least=1000, at_most=10**6), doc="Characters of code it sees first", default="16000", tighten="lower"),
    Key(name="on_unknown", shape=Flag(), doc="Try failures of unknown kind too", default="false", tighten="off"),
    Key(name="instructions_file", shape=GLOB, doc="A file of the base branch with instructions"),
    Key(name="transcript", shape=Choice(options=("none", "redacted")), doc="What is kept of the conversation", default='"redacted"'),
)
KEY_HINT = "a key does not belong in a file; export it and name the variable in api_key_env"
CLAUDE_FIXER = Table(keys=(*COMMON, *CLAUDE_OPTIONS), hints={"api_key": KEY_HINT, "token": KEY_HINT, "key": KEY_HINT})


class Fixer(Table):
    """A section of `[fixers]`: with `run` a command, named or using `claude` the built-in, else a plugin's."""

    def read(self, raw: Any, at: At, problems: Problems) -> Any:
        return self._table_for(raw, at).read(raw, at, problems)

    @staticmethod
    def _table_for(raw: Any, at: At) -> Table:
        if not isinstance(raw, Mapping) or "run" in raw:
            return COMMAND_FIXER
        return fixer_table(str(raw.get("uses", at[-1])), has_run=False)

    def schema(self) -> dict[str, Any]:
        everything = {"type": "object", "properties": {}, "additionalProperties": True}
        for table in (COMMAND_FIXER, CLAUDE_FIXER):
            everything["properties"] |= table.schema()["properties"]
        return everything


def fixer_table(uses: str, *, has_run: bool) -> Table:
    """Return the table that reads a fixer of this kind."""
    if has_run:
        return COMMAND_FIXER
    return CLAUDE_FIXER if uses == "claude" else PLUGIN_FIXER


FIXER = Fixer(keys=())
