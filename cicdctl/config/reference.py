"""The tables of keys in docs/configuration.md, made from the rules."""

from __future__ import annotations

from collections.abc import Iterator

from cicdctl.config.fixing_rules import CLAUDE_OPTIONS, COMMAND_FIXER, RETRY
from cicdctl.config.orchestrator_rules import ORCHESTRATOR
from cicdctl.config.pipeline_rules import CONCURRENCY, PARAM, PIPELINE, TRIGGER
from cicdctl.config.rules import (
    HANDLER,
    LOGGING,
    NOTIFIER,
    OPERATOR_FILE,
    PROJECT,
    PROJECT_FILE,
    SERVER,
    WATCHED_PROJECT,
    WEBHOOKS,
)
from cicdctl.config.shapes import Choice, Duration, Flag, Number, Scalar, Shape, Size, Text, Whole
from cicdctl.config.stage_rules import (
    CACHE_ENTRY,
    HEALTH_CHECK,
    MATRIX,
    REPORTS,
    RESOURCES,
    RETRIES,
    SERVICE_TABLE,
    STAGE_TABLE,
    WHEN_TABLE,
)
from cicdctl.config.table import Key, Many, Named, OneOf, Table
from cicdctl.config.variables import known_keys, variable_name

TABLES: tuple[tuple[str, Shape], ...] = (
    ("Top level", PROJECT_FILE),
    ("`[project]`", PROJECT),
    ("`[pipelines.NAME]`", PIPELINE),
    ("`trigger` as a table", TRIGGER),
    ("`[pipelines.NAME.params.PARAM]`", PARAM),
    ("`concurrency`", CONCURRENCY),
    ("`[pipelines.NAME.stages.STAGE]`", STAGE_TABLE),
    ("`when`", WHEN_TABLE),
    ("`retries`", RETRIES),
    ("`caches`", CACHE_ENTRY),
    ("`resources`", RESOURCES),
    ("`matrix`", MATRIX),
    ("`reports`", REPORTS),
    ("`services.NAME`", SERVICE_TABLE),
    ("`health_check`", HEALTH_CHECK),
)


def key_tables() -> str:
    """Return every table of keys as Markdown, a heading before each."""
    blocks = [_block(title, _keys(shape)) for title, shape in TABLES]
    blocks += [_block(title, keys, section) for title, section, keys in _operator_tables(ORCHESTRATOR, "orchestrator")]
    fix = OPERATOR_FILE.by_name["fix"].shape
    assert isinstance(fix, Table)
    blocks += [_block(title, keys, section) for title, section, keys in _operator_tables(fix, "fix")]
    blocks.append(_block("`[fixers.NAME]`", COMMAND_FIXER.keys))
    blocks.append(_block("`[fixers.claude]`, besides those above", CLAUDE_OPTIONS))
    blocks.append(_block("`retry` of `[fixers.claude]`", RETRY.keys))
    blocks.append(_block("`[notifiers.NAME]`", NOTIFIER.keys))
    blocks.append(_block("`[[projects]]`, in a file for `cicdctl watch --config`", WATCHED_PROJECT.keys))
    blocks.append(_block("`[server]`", SERVER.keys))
    blocks.append(_block("`[server.webhooks]`", WEBHOOKS.keys))
    blocks.append(_block("`[logging]`", LOGGING.keys))
    blocks.append(_block("`[[logging.handlers]]`", HANDLER.keys))
    return "\n\n".join(blocks) + "\n"


BEGIN = "<!-- keys: made from the rules by cicdctl.config.reference.renew -->"
END = "<!-- end of keys -->"


def renew(text: str) -> str:
    """Return the text of docs/configuration.md with its tables of keys as they are now."""
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{key_tables()}\n{END}{rest.partition(END)[2]}"


def variable_names() -> tuple[str, ...]:
    """Return every environment variable with a fixed name that sets a key."""
    return tuple(variable_name(at) for at, _ in known_keys())


def _operator_tables(table: Table, section: str) -> Iterator[tuple[str, str, tuple[Key, ...]]]:
    yield f"`[{section}]`", section, table.keys
    for key in table.keys:
        if isinstance(key.shape, Table):
            yield from _operator_tables(key.shape, f"{section}.{key.name}")


def _keys(shape: Shape) -> tuple[Key, ...]:
    if isinstance(shape, OneOf):
        return next(part.keys for part in shape.of if isinstance(part, Table))
    assert isinstance(shape, Table)
    return shape.keys


def _block(title: str, keys: tuple[Key, ...], section: str = "") -> str:
    rows = [f"| `{key.name}` | {_type(key.shape)} | {_default(key)} | {_doc(key)} |" for key in keys]
    return "\n".join([f"### {title}", "", "| key | type | default | meaning |", "|---|---|---|---|", *rows])


def _default(key: Key) -> str:
    if key.required:
        return "required"
    return f"`{key.default}`" if key.default else "–"


def _doc(key: Key) -> str:
    doc = key.doc if key.doc.endswith((".", "…")) else key.doc + "."
    if key.outside:
        doc += " Never in `.cicd.toml`."
    # Outside of code, Markdown takes <name> for a tag.
    parts = doc.replace("|", "\\|").split("`")
    return "`".join(part if index % 2 else part.replace("<", "&lt;") for index, part in enumerate(parts))


def _type(shape: Shape) -> str:
    if isinstance(shape, Choice):
        return ", ".join(f"`{option}`" for option in shape.options)
    if isinstance(shape, OneOf):
        return " or ".join(dict.fromkeys(_type(part) for part in shape.of))
    if isinstance(shape, Many):
        return f"{_type(shape.of)} or array" if shape.or_one else f"array of {_plural(_type(shape.of))}"
    for kind, name in _NAMES:
        if isinstance(shape, kind):
            return name
    return "any"


def _plural(name: str) -> str:
    special = {"any": "any values", "string, number or boolean": "strings, numbers or booleans"}
    return special.get(name) or (name if "`" in name else name + "s")


_NAMES: tuple[tuple[type[Shape], str], ...] = (
    (Text, "string"),
    (Flag, "boolean"),
    (Whole, "integer"),
    (Number, "number"),
    (Duration, "duration"),
    (Size, "size"),
    (Scalar, "string, number or boolean"),
    (Named, "table"),
    (Table, "table"),
)
