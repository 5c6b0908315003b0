"""Operator keys from the environment: `CICDCTL_ORCHESTRATOR_CACHE_MAX_SIZE` is `orchestrator.cache.max_size`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cicdctl.config.document import parse_document
from cicdctl.config.fixing_rules import CLAUDE_FIXER, COMMAND_FIXER
from cicdctl.config.operator import Layer
from cicdctl.config.problems import At, Problems, quote, show_path, tell
from cicdctl.config.rules import NOTIFIER, OPERATOR_FILE
from cicdctl.config.shapes import Anything, Choice, Scalar, Shape, Text, plain
from cicdctl.config.table import Key, Many, Named, Table
from cicdctl.errors import ConfigError
from cicdctl.near_words import near_word

PREFIX = "CICDCTL_"


def environment_layers(environ: Mapping[str, str], below: Sequence[Layer] = ()) -> tuple[Layer, ...]:
    """Return a layer for each `CICDCTL_<SECTION>_<KEY>` variable; its origin is the variable's name.

    `below` tells which fixers and notifiers there are. Variables of no section are somebody else's.
    Raises ConfigError for a name that belongs to a section but is no key of it, and for a wrong value.
    """
    ours = sorted(name for name in environ if name.startswith(PREFIX))
    if not ours:
        return ()
    known = {variable_name(at): (at, key) for at, key in known_keys()}
    sections = tuple(f"{PREFIX}{key.name.upper()}_" for key in OPERATOR_FILE.keys)
    layers = []
    lines: list[str] = []
    for name in ours:
        if name in known:
            at, shape = known[name][0], known[name][1].shape
        elif name.startswith(sections):
            found = _named(name, below)
            if found is None:
                lines.append(f"{name}: there is no such key{near_word(name, known)}")
                continue
            at, shape = found
        else:
            continue
        layer, problems = _layer(at, shape, environ[name], name)
        lines += problems
        layers.append(layer)
    if lines:
        raise ConfigError(tuple(lines), hint="the names are listed in docs/configuration.md")
    return tuple(layers)


def option_layer(assignments: Mapping[str, str], origin: str = "command line") -> Layer:
    """Return the layer of dotted keys with their values as text. Raises ConfigError for a key that does not exist."""
    known = {show_path(at): (at, key) for at, key in known_keys()}
    document: dict[str, Any] = {}
    lines: list[str] = []
    for dotted, text in assignments.items():
        if dotted not in known:
            lines.append(f"{origin}: {quote(dotted)}: there is no such key{near_word(dotted, known)}")
            continue
        at, key = known[dotted]
        layer, problems = _layer(at, key.shape, text, origin)
        lines += problems
        _merge(document, layer.document)
    if lines:
        raise ConfigError(tuple(lines))
    return Layer(origin=origin, document=document)


def variable_name(at: At) -> str:
    """Return the variable that sets a key."""
    return PREFIX + "_".join(str(part).upper().replace("-", "_") for part in at)


def read_text(shape: Shape, text: str) -> Any:
    """Turn the text of a variable into the raw value its shape takes: a list may be written with commas."""
    if isinstance(shape, Text | Choice | Scalar | Anything):
        return text
    if isinstance(shape, Many) and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if "\n" in text:
        return text
    try:
        return plain(parse_document(f"v = {text}".encode(), "")[0]["v"])
    except (ConfigError, UnicodeEncodeError):
        return text


def known_keys(table: Table = OPERATOR_FILE, at: At = ()) -> Iterator[tuple[At, Key]]:
    """Yield every key that has a fixed path and is no table."""
    for key in table.keys:
        here = (*at, key.name)
        if isinstance(key.shape, Table):
            yield from known_keys(key.shape, here)
        elif not isinstance(key.shape, Named):
            yield here, key


def _named(name: str, below: Sequence[Layer]) -> tuple[At, Shape] | None:
    """Find a key below a name of the user's choice: a pipeline's time limit, a fixer, a notifier."""
    timeouts = f"{PREFIX}ORCHESTRATOR_TIMEOUTS_"
    if name.startswith(timeouts) and len(name) > len(timeouts):
        shape = OPERATOR_FILE.by_name["orchestrator"].shape
        assert isinstance(shape, Table)
        limits = shape.by_name["timeouts"].shape
        assert isinstance(limits, Named)
        return ("orchestrator", "timeouts", name.removeprefix(timeouts).lower()), limits.of
    for section, keys in (("fixers", (*CLAUDE_FIXER.keys, *COMMAND_FIXER.keys)), ("notifiers", NOTIFIER.keys)):
        start = f"{PREFIX}{section.upper()}_"
        if not name.startswith(start):
            continue
        rest = name.removeprefix(start)
        for owner in _owners(section, below):
            option = rest.removeprefix(variable_name((owner,)).removeprefix(PREFIX) + "_")
            if option != rest and option:
                shape_of = {key.name.upper(): key for key in keys}
                key = shape_of.get(option)
                return (section, owner, option.lower()), key.shape if key else Anything()
    return None


def _owners(section: str, below: Sequence[Layer]) -> list[str]:
    names = {str(name) for layer in below for name in layer.document.get(section, {})}
    # The longest first: `team-b` before `team`.
    return sorted(names | ({"claude"} if section == "fixers" else set()), key=len, reverse=True)


def _layer(at: At, shape: Shape, text: str, origin: str) -> tuple[Layer, tuple[str, ...]]:
    raw = read_text(shape, text)
    problems = Problems()
    if not _is_reference(raw):
        shape.read(raw, at, problems)
    document: Any = raw
    for part in reversed(at):
        document = {part: document}
    return Layer(origin=origin, document=document), tell(problems.found, origin, dict)


def _is_reference(raw: Any) -> bool:
    return isinstance(raw, str) and raw.startswith("${") and raw.endswith("}")


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for name, value in above.items():
        if isinstance(value, Mapping) and isinstance(below.get(name), dict):
            _merge(below[name], value)
        else:
            below[name] = value
