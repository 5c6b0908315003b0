"""What names, globs and commands may look like. Each check answers what is wrong, or None."""

from __future__ import annotations

from cicdctl.config.problems import quote
from cicdctl.config.shapes import Text

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$"
VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
GLOB_PATTERN = r"^!?(?!/)(?!\.\.(/|$))((?!/\.\.(/|$))[^\x00-\x1f\x7f])+$"
REF_PATTERN = r"^[^\x00-\x20\x7f]+$"
LINE_PATTERN = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"

# These steer the loader, git or the shell of whatever starts a stage, our own sandbox program included.
STEERING = ("LD_", "DYLD_", "GIT_", "CICD_")
STEERING_NAMES = frozenset({"BASH_ENV", "ENV", "IFS", "PATH", "PROMPT_COMMAND", "SHELLOPTS", "BASHOPTS", "PS4"})
# And these steer an interpreter: no value from outside the file may reach them.
HOMES = frozenset({"HOME", "TMPDIR", "USER", "SHELL"})
INTERPRETING = frozenset({"NODE_OPTIONS", "PERL5OPT", "RUBYOPT", "JAVA_TOOL_OPTIONS", "PERL5LIB", "RUBYLIB"})


def check_name(name: str) -> str | None:
    """Names of pipelines, stages, fixers, notifiers: they become parts of file names and variables."""
    if len(name) <= 64 and name[:1] != "-" and name.isascii() and name.replace("-", "a").replace("_", "a").isalnum():
        return None
    return "a name holds letters, digits, _ and -, does not begin with -, and is at most 64 long"


def check_variable(name: str) -> str | None:
    """Names of environment variables, parameters and matrix axes."""
    if name.isascii() and name.isidentifier() and len(name) <= 128:
        return None
    return "a variable's name holds letters, digits and _ and does not begin with a digit"


def check_env_name(name: str) -> str | None:
    """Names a stage may set: not those that steer the loader, git, the shell or cicdctl itself."""
    complaint = check_variable(name)
    if complaint is None and (name.startswith(STEERING) or name in STEERING_NAMES):
        return "cannot be set here, because it steers the loader, the shell, git or cicdctl itself"
    return complaint


def check_secret_name(name: str) -> str | None:
    """Names of secrets: as for env, and no interpreter is steered by a value from outside."""
    complaint = check_variable(name)
    if complaint is not None:
        return f"{quote(name)}: {complaint}"
    if check_env_name(name) or name in INTERPRETING | HOMES or name.startswith(("PYTHON", "CICDCTL_")):
        return f"{quote(name)} cannot be a secret, because it steers how programs start"
    return None


def check_inherited_name(name: str) -> str | None:
    """Names a stage inherits from the operator's environment."""
    complaint = check_env_name(name)
    return None if complaint is None else f"{quote(name)}: {complaint}"


def check_glob(glob: str) -> str | None:
    """Globs of files: relative to the repository and inside it."""
    body = glob.removeprefix("!")
    if body.startswith("/"):
        near = body.lstrip("/")
        return f"must be relative to the repository, so write {quote(near)}" if near else "must name files"
    if not body:
        return "must not be empty"
    if ".." in body and ".." in body.split("/"):
        return 'must stay inside the repository, without ".."'
    return _check_line(glob)


def check_ref_glob(glob: str) -> str | None:
    """Globs of branch and tag names."""
    if any(char <= " " or char == "\x7f" for char in glob):
        return "must not hold spaces or control characters"
    return None


def check_repository(url: str) -> str | None:
    """Where to fetch from: nothing that git would take for an option or a program to run."""
    if url.startswith("-"):
        return 'must not begin with "-"'
    if "::" in url.split("/", 1)[0]:
        return "must be a path, an https or an ssh address, not a remote helper"
    user_and_host = url.partition("://")[2].partition("/")[0]
    if any(part.startswith("-") for part in user_and_host.split("@")):
        return 'must not have a user or host that begins with "-"'
    return _check_line(url)


def check_plugin_file(path: str) -> str | None:
    """A plugin of the project itself: a Python file in the repository."""
    if any(char in path for char in "*?[]!"):
        return "must be one file, not a glob"
    return check_glob(path) or (None if path.endswith(".py") else 'must be a Python file such as "ci/my_plugin.py"')


def _check_line(text: str) -> str | None:
    if not text.isprintable() and any(ord(char) < 32 or ord(char) == 127 for char in text):
        return "must not hold control characters"
    return None


check_line = _check_line
GLOB = Text(check=check_glob, pattern=GLOB_PATTERN, label="a glob")
REF_GLOB = Text(check=check_ref_glob, pattern=REF_PATTERN, label="a glob")
COMMAND = Text(label="a command")
LINE = Text(check=check_line, pattern=LINE_PATTERN)
NAME = Text(check=check_name, pattern=NAME_PATTERN, label="a name")
