"""The environment of a stage, built from nothing; and the names nobody from outside may set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"

# Folders of installed toolchains that are looked for in HOME, and HOME is ours: without them rustup, nvm
# and the like find no compiler.
TOOLCHAIN_ROOTS = {
    "RUSTUP_HOME": ".rustup",
    "PYENV_ROOT": ".pyenv",
    "RBENV_ROOT": ".rbenv",
    "NVM_DIR": ".nvm",
    "VOLTA_HOME": ".volta",
    "ASDF_DATA_DIR": ".asdf",
    "MISE_DATA_DIR": ".local/share/mise",
    "SDKMAN_DIR": ".sdkman",
}

# They make a loader, a shell or an interpreter run or find something else than what was asked for.
_REFUSED_PREFIXES = ("LD_", "DYLD_", "PYTHON", "GIT_", "BASH_FUNC_")
_REFUSED_NAMES = frozenset(
    (
        *("PATH", "BASH_ENV", "ENV", "IFS", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "CDPATH", "GLOBIGNORE"),
        *("NODE_OPTIONS", "NODE_PATH", "PERL5OPT", "PERL5LIB", "PERL5DB", "RUBYOPT", "RUBYLIB", "CLASSPATH"),
        *("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH"),
        *("NLSPATH", "CICD_MARK"),
    )
)


def build_environment(
    source: Mapping[str, str],
    *,
    home: Path,
    tmp: Path,
    allow: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
    real_home: Path | None = None,
) -> dict[str, str]:
    """Build what a stage sees from the operator's environment `source`.

    `home` and `tmp` are the stage's own. `allow` names what else it may inherit, but never a GIT_*
    name. `names` is set as it is: the CI_… and CICD_… variables, the stage's `env`, its secrets.
    `real_home` is where toolchains are looked for, `source`'s HOME by default.
    """
    env = {
        "PATH": _absolute_path(source.get("PATH", "")),  # without it no program is found
        "HOME": str(home),  # tools write their caches and read their settings there
        "TMPDIR": str(tmp),  # a full or shared /tmp must not fail a stage
        "TERM": "dumb",  # else programs draw progress bars into a log
        "SHELL": source.get("SHELL", "/bin/sh"),  # make and npm start it
        "USER": source.get("USER") or account_name(),  # whoami-like calls of build tools fail without it
    }
    # Without a locale, tools read file names as ASCII; without TZ, dates differ from the operator's.
    env.update((name, source[name]) for name in source if name in ("LANG", "TZ") or name.startswith("LC_"))
    env.update(find_toolchains(source, real_home))
    # git exports GIT_DIR and GIT_INDEX_FILE to hooks; a git in the stage would write into the user's index.
    env.update((name, source[name]) for name in allow if name in source and not name.startswith("GIT_"))
    env.update(names or {})
    return env


def find_toolchains(source: Mapping[str, str], real_home: Path | None = None) -> dict[str, str]:
    """Return the toolchain roots that are set, or that exist where they are by default.

    One that is the home of a person, or a folder above it, is none: a sandbox would show all that is in it.
    """
    told = tuple((name, source[name]) for name in (*TOOLCHAIN_ROOTS, "HOME") if source.get(name))
    return dict(_look_for_toolchains(told, real_home))


@lru_cache(maxsize=8)  # every stage of a run asks the same
def _look_for_toolchains(told: tuple[tuple[str, str], ...], real_home: Path | None) -> tuple[tuple[str, str], ...]:
    source = dict(told)
    home = real_home or Path(source.get("HOME") or "/nonexistent")
    found: dict[str, str] = {}
    for name, default in TOOLCHAIN_ROOTS.items():
        if name in source:
            found[name] = source[name]
        elif (home / default).is_dir():
            found[name] = str(home / default)
    homes = (*find_homes(source), home)
    return tuple((name, root) for name, root in found.items() if not holds_home(root, homes))


def toolchain_folders(source: Mapping[str, str], real_home: Path | None = None) -> tuple[Path, ...]:
    """Return the toolchain roots that a sandbox can show: those that are there."""
    roots = map(Path, find_toolchains(source, real_home).values())
    return tuple(root for root in roots if root.is_absolute() and root.is_dir())


def find_homes(source: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the folders that are somebody's home: by the environment `source`, and by our user's entry."""
    import pwd

    try:
        registered = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        registered = ""
    return tuple(Path(home) for home in (source.get("HOME"), registered) if home)


def holds_home(folder: Path | str, homes: Iterable[Path]) -> bool:
    """Whether a folder is one of the homes or lies above one, by whatever links it gets there."""
    real = Path(os.path.realpath(folder))
    return any(Path(os.path.realpath(home)).is_relative_to(real) for home in homes)


def refused_names(names: Iterable[str]) -> list[str]:
    """Return those names that may not come from a trigger, a parameter or `CICD_OUTPUT`, sorted."""
    return sorted(name for name in names if name in _REFUSED_NAMES or name.startswith(_REFUSED_PREFIXES))


def _absolute_path(path: str) -> str:
    # An empty or relative part means the current folder, and that is the tested commit.
    return ":".join(part for part in path.split(":") if part.startswith("/")) or _DEFAULT_PATH


def account_name() -> str:
    """Return the name of the account that this process runs as, or its number where it has no entry."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
