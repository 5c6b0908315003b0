"""The tools by name, and a strict check of what a model calls them with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from cicdctl.model import Value

GIVE_UP = ("test_is_wrong", "flaky", "infrastructure", "dependency", "config", "needs_human", "unknown")
CONFIDENCE = ("low", "medium", "high")


class Field(Value, frozen=True, kw_only=True):
    """One argument of a tool."""

    type: Literal["string", "integer"]
    doc: str
    required: bool = True
    options: tuple[str, ...] = ()


class Tool(Value, frozen=True, kw_only=True):
    """One tool: what it is for, and its arguments; no others are taken."""

    doc: str
    fields: Mapping[str, Field] = {}

    def schema(self, name: str) -> dict[str, Any]:
        """Return it as the service wants it."""
        properties: dict[str, Any] = {}
        for argument, field in self.fields.items():
            properties[argument] = {"type": field.type, "description": field.doc}
            if field.options:
                properties[argument]["enum"] = list(field.options)
        return {
            "name": name,
            "description": self.doc,
            "input_schema": {
                "type": "object",
                "properties": properties,
                "required": [argument for argument, field in self.fields.items() if field.required],
                "additionalProperties": False,
            },
        }

    def problem(self, given: Any) -> str | None:
        """Say what is wrong with an input; None when nothing is."""
        if not isinstance(given, Mapping):
            return "the input must be an object"
        for argument in given:
            if argument not in self.fields:
                return f"there is no argument {str(argument)[:40]!r}; there are: {', '.join(self.fields) or 'none'}"
        for argument, field in self.fields.items():
            if argument not in given:
                if field.required:
                    return f"argument {argument!r} is missing"
                continue
            value = given[argument]
            expected = str if field.type == "string" else int
            if not isinstance(value, expected) or isinstance(value, bool):
                return f"argument {argument!r} must be of type {field.type}"
            if field.options and value not in field.options:
                return f"argument {argument!r} must be one of: {', '.join(field.options)}"
        return None


def _text(doc: str, *, required: bool = True, options: tuple[str, ...] = ()) -> Field:
    return Field(type="string", doc=doc, required=required, options=options)


def _line(doc: str) -> Field:
    return Field(type="integer", doc=doc, required=False)


_PATH = _text('Relative to the repository, with "/" between its parts.')

TOOLS: Mapping[str, Tool] = {
    "view": Tool(
        doc='Show numbered lines of a UTF-8 file, or the names in a directory ("." is the top).',
        fields={"path": _PATH, "start": _line("First line, from 1."), "end": _line("Last line, included.")},
    ),
    "grep": Tool(
        doc="Search the files of the repository, line by line. At most 60 matches.",
        fields={
            "pattern": _text("A Python regular expression."),
            "glob": _text("Only files whose path matches, such as src/**/*.py.", required=False),
        },
    ),
    "read_log": Tool(
        doc="Read the whole log of a stage, not only the excerpt you were given: lines, or those that match.",
        fields={
            "stage": _text("Default: the stage that failed.", required=False),
            "pattern": _text("A Python regular expression.", required=False),
            "start": _line("First line, from 1."),
            "end": _line("Last line, included."),
        },
    ),
    "str_replace": Tool(
        doc="Replace a piece of text that stands exactly once in a file. Take enough lines to make it unique.",
        fields={"path": _PATH, "old_str": _text("The text as it is."), "new_str": _text("The text as it shall be.")},
    ),
    "create": Tool(
        doc="Write a new file; one that exists is never overwritten.",
        fields={"path": _PATH, "content": _text("All of it.")},
    ),
    "run_check": Tool(doc="Run the failing stage on the files as they are now. Costs time; use it after an edit."),
    "submit": Tool(
        doc="Hand in your change. Only after a check has passed with nothing edited since.",
        fields={
            "root_cause": _text("What was wrong and where, in one or two sentences."),
            "explanation": _text("What the change does: a subject line of a commit, then more if it is needed."),
            "confidence": _text("How sure you are that it is right in general.", options=CONFIDENCE),
        },
    ),
    "give_up": Tool(
        doc="End without a change, because the right repair is not yours to make.",
        fields={
            "reason": _text("Why, in one or two sentences."),
            "category": _text("What is to blame.", options=GIVE_UP),
            "suggestion": _text("What a person should do. It is shown, never applied.", required=False),
        },
    ),
}


SHELL = Tool(
    doc="Run one command line of sh in a copy of the checkout: no network, no git, at most 60 seconds.",
    fields={"command": _text("What sh -c gets.")},
)


def tools_of(*, has_shell: bool) -> Mapping[str, Tool]:
    """Return the tools of one attempt by name, in a fixed order."""
    return {**TOOLS, "shell": SHELL} if has_shell else TOOLS


def tool_schemas(tools: Mapping[str, Tool]) -> list[dict[str, Any]]:
    """Return tools as the service wants them."""
    return [tool.schema(name) for name, tool in tools.items()]
