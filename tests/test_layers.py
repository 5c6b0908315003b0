"""The house stands: imports only go down, and each neighbour has one door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parent.parent / "cicdctl"

# Lower floors first. A room is a module or package below `cicdctl`; rooms of one floor do not know each other.
FLOORS: list[set[str]] = [
    {"errors", "loopback", "units", "near_words"},
    {"model", "streams"},
    {"kinds"},
    {"hookspecs"},
    {"plugin_contract", "plugin_thread", "plugin_sources", "plugin_skeleton"},
    {"config", "planning", "masking", "git", "process", "store"},
    {"plugin_api", "plugin_manager", "sending"},
    {"project_config"},
    {"project"},
    {"runner", "fixing"},
    {"orchestrator"},
    {"notifiers", "monitors", "fixers", "remote"},
    {"python_api"},
    {"remote_api"},
    {"reports"},
    {"server"},
    {"commands"},
    {"cli"},
    {"entry"},
    {"__main__"},
]

DOORS = {
    "dulwich": {"git"},
    "subprocess": {"process"},
    "sqlite3": {"store"},
    "diskcache": {"store"},
    "tomllib": {"config"},
    "typer": {"commands", "cli"},
    "rich": {"reports"},
    "anthropic": {"fixers"},
    "starlette": {"server"},
    "uvicorn": {"server"},
    "jinja2": {"server"},
    "cryptography": {"server"},
    "pluggy": {"plugin_manager", "plugin_contract"},
}
FORBIDDEN = {"click", "pickle", "dulwich.porcelain", "tarfile"}
# doctor asks the library for its version.
ALLOWED = {("runner/doctor.py", "sqlite3")}

FILES = sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    part = path.relative_to(ROOT).parts[0]
    return part.removesuffix(".py")


def floor_of(room: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if room in rooms:
            return number
    raise AssertionError(f"cicdctl/{room} stands on no floor")


@lru_cache(None)
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text())))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full"
            yield node.module or "", node.lineno
            if node.module == "cicdctl":
                yield from ((f"cicdctl.{alias.name}", node.lineno) for alias in node.names)


def test_imports_only_go_down():
    """A module imports from its own room and from lower floors, nothing else."""
    up = []
    for path in FILES:
        room = room_of(path)
        for module, line in imports(path) if room != "__init__" else ():
            target = module.partition(".")[2].partition(".")[0]
            if not module.startswith("cicdctl.") or target in ("__version__", room):
                continue
            if floor_of(target) >= floor_of(room):
                up.append(f"{path}:{line}: {room} imports {target}, which is not below it")
    assert up == []


def test_each_neighbour_has_one_door():
    """Libraries that touch the world are imported in the room that owns them and nowhere else."""
    wrong = []
    for path in FILES:
        name = str(path.relative_to(ROOT))
        for module, line in imports(path):
            top = module.split(".")[0]
            if module in FORBIDDEN:
                wrong.append(f"{path}:{line}: {module} is never used")
            elif top in DOORS and (name, top) not in ALLOWED and room_of(path) not in DOORS[top]:
                wrong.append(f"{path}:{line}: {top} belongs to {DOORS[top]}")
    assert wrong == []


def test_only_reports_print():
    """Printing is the reports' work; no shell is ever asked by a built string."""
    wrong = []
    for path in FILES:
        for node in nodes(path):
            is_print = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            if is_print and room_of(path) != "reports":
                wrong.append(f"{path}:{node.lineno}: prints")
            is_shell = isinstance(node, ast.keyword) and node.arg == "shell"
            if is_shell and not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)):
                wrong.append(f"{path}:{node.value.lineno}: shell=")
    assert wrong == []


def test_environment_is_read_at_the_door_only():
    """Only the door, the project and what sits beside them read environment variables."""
    readers = {
        str(path.relative_to(ROOT))
        for path in FILES
        for node in nodes(path)
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    # bwrap is the host's own program, found where the host finds programs, whatever a stage sees. The Python API
    # is the door of programs, as cli is that of people.
    doors = {"cli.py", "python_api.py", "remote_api.py", "commands/names.py", "reports/choice.py", "reports/plugins.py"}
    assert readers <= doors | {"process/bwrap.py"}


def test_every_room_has_a_floor():
    """A new room has to say where it stands."""
    for path in FILES:
        if room_of(path) != "__init__":
            floor_of(room_of(path))
