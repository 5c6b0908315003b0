"""The keys of a pipeline."""

# ruff: noqa: E501 (one key a line, however long, is the table that people read)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cicdctl.config.cron import check_cron, check_timezone, expand_cron
from cicdctl.config.names import (
    LINE_PATTERN,
    NAME_PATTERN,
    VARIABLE_PATTERN,
    check_line,
    check_name,
    check_variable,
)
from cicdctl.config.placeholders import (
    ENVIRONMENT,
    GROUP_PATTERN,
    check_group,
    check_named_params,
    refuse_rollback,
)
from cicdctl.config.problems import At, Problems, quote
from cicdctl.config.shapes import Choice, Duration, Flag, Scalar, Text, Whole, kind_of
from cicdctl.config.stage_rules import REF_GLOBS, STAGE, WHEN, check_same_variable
from cicdctl.config.table import Key, Many, Named, OneOf, Table
from cicdctl.model.definition import Concurrency, Param, Trigger
from cicdctl.model.verdict import TriggerKind

TRIGGER_WORDS = ("on_commit", "on_tag", "manual", "after_<pipeline>")
TRIGGER_PATTERN = r"^(on_commit|on_tag|manual|after_[A-Za-z0-9_][A-Za-z0-9_-]*)$"


def _check_trigger(word: str) -> str | None:
    if word in ("on_commit", "on_tag", "manual"):
        return None
    if word.startswith("after_"):
        complaint = check_name(word.removeprefix("after_"))
        return complaint and f"after_ is followed by the name of a pipeline: {complaint}"
    return f'must be "on_commit", "on_tag", "manual", "after_<pipeline>" or a table, not {quote(word)}'


def _trigger(word: str) -> Trigger:
    if word.startswith("after_"):
        return Trigger(kind=TriggerKind.AFTER, after=word.removeprefix("after_"))
    kinds = {"on_commit": TriggerKind.COMMIT, "on_tag": TriggerKind.TAG, "manual": TriggerKind.MANUAL}
    return Trigger(kind=kinds[word])


def _check_trigger_table(raw: Mapping[str, Any], at: At, problems: Problems) -> None:
    if ("on_tag" in raw) == ("schedule" in raw):
        problems.add(at, 'needs either "on_tag" or "schedule"')
    if "timezone" in raw and "schedule" not in raw:
        problems.add((*at, "timezone"), 'belongs to "schedule"')


def _trigger_from(fields: dict[str, Any]) -> Trigger:
    kind = TriggerKind.TAG if "tags" in fields else TriggerKind.SCHEDULE
    return Trigger(kind=kind, **fields)


TRIGGER = OneOf(
    of=(
        Text(check=_check_trigger, pattern=TRIGGER_PATTERN, label='"on_commit", "on_tag", "manual", "after_<pipeline>"', then=_trigger),
        Table(
            check=_check_trigger_table,
            then=_trigger_from,
            keys=(
                Key(name="on_tag", field="tags", shape=Many(of=REF_GLOBS.of, or_one=True, at_least=1), doc='Globs of tag names, for example ["v*"]'),
                Key(name="schedule", field="cron", shape=Text(check=check_cron, then=expand_cron), doc='Five cron fields, for example "0 3 * * *", or @daily'),
                Key(name="timezone", shape=Text(check=check_timezone), doc='Time zone of the schedule, for example "Europe/Berlin"', default='"UTC"'),
            ),
        ),
    )
)


GROUP = Text(check=check_group, pattern=GROUP_PATTERN)
CONCURRENCY = OneOf(
    of=(
        Text(check=check_group, pattern=GROUP_PATTERN, then=lambda group: Concurrency(group=group)),
        Table(
            build=Concurrency,
            keys=(
                Key(name="group", shape=GROUP, doc="Runs of equal groups meet; {branch} {ref} {pipeline} {environment} {params.NAME} are filled in", required=True),
                Key(name="on_superseded", shape=Choice(options=("queue", "cancel", "cancel-pending")), doc="`queue`: all run, in order; `cancel`: the newest cancels the rest; `cancel-pending`: only waiting ones", default='"queue"'),
            ),
        ),
    )
)


def _check_param(raw: Mapping[str, Any], at: At, problems: Problems) -> None:
    choices, default = raw.get("choices"), raw.get("default")
    if kind_of(choices) == "array" and choices and default is not None:
        quiet = Problems()
        texts = [Scalar().read(choice, at, quiet) for choice in choices or ()]
        text = Scalar().read(default, at, quiet)
        if not quiet and text not in texts:
            problems.add((*at, "default"), f"is not one of the choices: {quote(text)}", word=text, known=texts)


PARAM = OneOf(
    of=(
        Scalar(then=lambda default: {"default": default}),
        Table(
            check=_check_param,
            keys=(
                Key(name="default", shape=Scalar(), doc="Used when a trigger does not set it; without one it must be given"),
                Key(name="choices", shape=Many(of=Scalar()), doc="The values allowed; without them any text", default="[]"),
                Key(name="description", shape=Text(check=check_line, pattern=LINE_PATTERN), doc="What it is for"),
            ),
        ),
    )
)
PARAMS = Named(
    of=PARAM,
    check=check_variable,
    pattern=VARIABLE_PATTERN,
    whole=check_same_variable,
    then=lambda params: tuple(Param(name=name, **fields) for name, fields in params.items()),
)


def _check_pipeline(raw: Mapping[str, Any], at: At, problems: Problems) -> None:
    if raw.get("side_effects") is True and raw.get("cache") is True:
        problems.add((*at, "cache"), "a pipeline with side effects is never cached")
    refuse_rollback(raw, at, problems)
    check_named_params(raw, at, problems)


PIPELINE = Table(
    check=_check_pipeline,
    keys=(
        Key(name="trigger", shape=TRIGGER, doc='What starts it: "on_commit", "on_tag", "manual", "after_<pipeline>", { on_tag = ["v*"] } or { schedule = "0 3 * * *", timezone = "Europe/Berlin" }', default='"manual"'),
        Key(name="stages", shape=Named(of=STAGE, check=check_name, pattern=NAME_PATTERN, at_least=1), doc="Its stages by name, in order: a command, an array of commands, or a table", required=True),
        Key(name="when", shape=WHEN, doc="Conditions; a run that does not meet them is skipped", default="{}"),
        Key(name="params", shape=PARAMS, doc="What a trigger may set, as `CICD_PARAM_<NAME>`", default="{}"),
        Key(name="concurrency", shape=CONCURRENCY, doc="How runs of the same group treat each other. Default: queued per pipeline and ref"),
        Key(name="environment", shape=ENVIRONMENT, doc="Where it deploys to: one run at a time, with history and rollback; {params.NAME} is filled in"),
        Key(name="approval", shape=Flag(), doc="Wait for `cicdctl approve`", default="false"),
        Key(name="rollback", shape=Flag(), doc="After a deploy that failed, deploy the last good one again", default="false"),
        Key(name="side_effects", shape=Flag(), doc="Every stage has side effects", default="false"),
        Key(name="cache", shape=Flag(), doc="Default of `cache` for its stages"),
        Key(name="priority", shape=Whole(at_least=-1000, at_most=1000), doc="Higher starts first", default="0"),
        Key(name="timeout", field="timeout_s", shape=Duration(), doc="Time limit of the whole run. Default: `orchestrator.timeouts`"),
    ),
)
