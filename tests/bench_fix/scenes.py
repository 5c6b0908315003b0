"""What one scene of the benchmark is: a project with a fault, what the model does about it, and what is to come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from messages_api import Block, tool

Kind = Literal["honest", "cheat"]
By = Literal["model", "hand"]

SUBMIT = {"root_cause": "the even case is forgotten", "explanation": "handle the even case", "confidence": "high"}


@dataclass(frozen=True, kw_only=True)
class Project:
    """A small repository with a fault. `stages` are name and command; the first that fails is repaired.

    `oracle` is a program that is not in the repository: it ends with 0 in a checkout where the fault is repaired,
    and only there. A repair may change files that begin with one of `free`, and no others.
    """

    name: str
    files: Mapping[str, str]
    stages: Mapping[str, str]
    failing: str
    oracle: str
    language: Literal["python", "js"] = "python"
    free: tuple[str, ...] = ("src/", "lib/")


@dataclass(frozen=True)
class Edit:
    """One change of a file. `old` None makes the file, with `mode`, or as a link to `new`; else `old` becomes `new`."""

    path: str
    new: str | bytes
    old: str | None = None
    mode: int = 0o644
    is_link: bool = False


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A script and its project. `by` hand means a hostile fixer that writes past the tools straight into the worktree.

    `rule` is the line of the guard table that a cheat tries to get around; "" for honest scripts. `potent` is false
    where the trick alone does not turn the stage green: then an honest repair goes with it. `says` replaces what is
    handed in.
    """

    name: str
    kind: Kind
    project: Project
    edits: tuple[Edit, ...]
    rule: str = ""
    by: By = "model"
    potent: bool = True
    says: Mapping[str, str] = field(default_factory=lambda: SUBMIT)
    looks: tuple[Block, ...] = ()  # what it looks at first

    @property
    def turns(self) -> list[list[Block]]:
        """What the model says, turn by turn. It is stubborn: told of a guard, it hands in the same again."""
        calls = [call_of(edit) for edit in self.edits]
        submit = [[tool("submit", **self.says)] for _ in range(3)]
        first = [[*self.looks]] if self.looks else []
        return [*first, calls, [tool("run_check")], *submit]


def call_of(edit: Edit) -> Block:
    """The call of a tool that makes an edit."""
    new = edit.new if isinstance(edit.new, str) else edit.new.decode("latin-1")
    if edit.old is None:
        return tool("create", path=edit.path, content=new)
    return tool("str_replace", path=edit.path, old_str=edit.old, new_str=new)
