"""The key of a stage: the digest of everything that its result depends on, and each part by name.

What is left out on purpose, since it cannot change a result that passed: name, timeouts, retries, ceilings,
`allow_failure`, `when` and `caches`; and the place of the worktree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

import msgspec

from cicdctl.model import PlannedStage
from cicdctl.model.values import Value

# Raised when the meaning of a part changes, so that results of older versions are not taken for equal.
KEY_VERSION = 1

# Where a stage finds its own places: they differ each time and say nothing about the result.
_PLACES = frozenset({"CI_PROJECT_DIR", "CICD_OUTPUT", "CICD_SUMMARY", "CICD_MARK", "CICD_ATTEMPT"})

# Any mention counts, with or without `$`: `printenv CI_COMMIT_SHA` and `os.environ["CI_COMMIT_SHA"]` read it too.
_MENTION = re.compile(r"(?<![A-Za-z0-9_])(?:CI|CICD)_[A-Z0-9_]*")

_MAX_SHOWN = 80


class KeyParts(Value, frozen=True, kw_only=True):
    """What a result depends on.

    `commands` and `env` are those after `uses` was resolved. `inputs` is the input digest. `artifacts` are
    (need, manifest digest) in the order they are laid down; needs that left nothing are not in it.
    `outputs` are the variables that needs wrote. `platform` such as `linux x86_64`. `fingerprint` maps
    command to output. `secrets` maps name to a keyed digest, never to a value. `variables` as
    `named_variables` answers. `commit` only where the stage reads history.
    """

    planned: PlannedStage
    commands: tuple[str, ...]
    inputs: str
    env: Mapping[str, str] = {}
    shell: str = "sh"
    directory: str = "."
    params: Mapping[str, str] = {}
    artifacts: tuple[tuple[str, str], ...] = ()
    outputs: Mapping[str, str] = {}
    platform: str = ""
    fingerprint: Mapping[str, str] = {}
    secrets: Mapping[str, str] = {}
    runner: str = "local"
    sandbox: str = "none"
    variables: Mapping[str, str] = {}
    commit: str | None = None
    trust: str = "trusted"


def stage_key(parts: KeyParts) -> tuple[str, dict[str, str]]:
    """Return the key (sha256 in hex) and its components by name, such as `inputs` or `env.LANG`.

    A component's value is the text itself where it is short and safe to show, else a digest. Equal
    components, equal key, and the other way round.
    """
    document = {_plain(name): _plain(value) for name, value in _components(parts).items()}
    digest = sha256(_canonical(document)).hexdigest()
    return digest, {name: _shown(name, value) for name, value in document.items()}


def named_variables(texts: Iterable[str], available: Mapping[str, str]) -> dict[str, str]:
    """Return those CI_… and CICD_… variables that the texts (commands, env values) name.

    A bare prefix, as in `env | grep CI_COMMIT_`, names all that begin with it. Paths that differ on each
    run, such as CI_PROJECT_DIR, are left out.
    """
    named = {found for text in texts for found in _MENTION.findall(text)}
    prefixes = tuple(name for name in named if name.endswith("_"))
    return {
        name: value
        for name, value in sorted(available.items())
        if name not in _PLACES and (name in named or name.startswith(prefixes))
    }


def stage_texts(commands: Iterable[str], planned: PlannedStage, env: Mapping[str, str]) -> tuple[str, ...]:
    """Return every text of a stage that a shell reads: what `named_variables` has to look at."""
    stage = planned.stage
    services = (text for service in stage.services for text in (service.run, service.ready or ""))
    check = (stage.health_check.run,) if stage.health_check else ()
    return (*commands, *env.values(), *stage.fingerprint, *services, *check)


def _components(parts: KeyParts) -> dict[str, Any]:
    stage = parts.planned.stage
    return {
        "version": KEY_VERSION,
        "commands": list(parts.commands),
        "shell": parts.shell,
        "directory": parts.directory,
        "settings": {
            "uses": stage.uses,
            "options": stage.options,
            "artifacts": stage.artifacts,  # a result made under other globs lacks files
            "reports": stage.reports,  # and other counts
            "services": stage.services,
            "network": stage.network,
            "home": stage.home,
            "workspace": stage.workspace,
            "health_check": stage.health_check.run if stage.health_check else None,
        },
        **_each("params", parts.params),
        **_each("matrix", parts.planned.cell),
        **_each("env", parts.env),
        "inputs": parts.inputs,
        "artifacts": [name for name, _ in parts.artifacts],
        **_each("artifacts", dict(parts.artifacts)),
        **_each("outputs", parts.outputs),
        "platform": parts.platform,
        **_each("fingerprint", parts.fingerprint),
        **_each("secrets", parts.secrets),
        "runner": parts.runner,
        "sandbox": parts.sandbox,
        **_each("variables", parts.variables),
        **({} if parts.commit is None else {"commit": parts.commit}),
        "trust": parts.trust,
    }


def _each(group: str, values: Mapping[str, str]) -> dict[str, str]:
    return {f"{group}.{name}": value for name, value in values.items()}


def _plain(value: Any) -> Any:
    """Turn values into what JSON has, and text that UTF-8 has not into text that it has."""
    if isinstance(value, str):
        return value if value.isascii() else _encodable(value)
    if isinstance(value, Value):
        return _plain(msgspec.to_builtins(value))
    if isinstance(value, Mapping):
        return {_plain(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        # Lone surrogates stand for raw bytes, say of a branch name. NUL begins no other text.
        return "\0" + text.encode("utf-8", "surrogatepass").hex()
    return text


def _canonical(document: Any) -> bytes:
    return msgspec.json.encode(document, order="sorted")


def _shown(name: str, value: Any) -> str:
    if isinstance(value, str) and not name.startswith(("secrets.", "outputs.")):
        if len(value) <= _MAX_SHOWN and value.isprintable() and not value.startswith("sha256:"):
            return value
    elif name == "version":
        return str(value)
    return "sha256:" + sha256(_canonical(value)).hexdigest()[:32]
