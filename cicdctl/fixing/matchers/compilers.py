"""gcc, clang, ld, cmake, make and tsc: one line each, the place at its beginning."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.fixing.matchers.drafts import Draft, Lines

MARKS = ("error", "undefined reference", "cannot find", "multiple definition", "*** ", "CMake Error")
_FILE = r"(?P<file>[^\s:()'\"<>|][^:()'\"<>|]{0,300}\.\w{1,12})"
_CC = re.compile(
    rf"^{_FILE}:(?P<line>\d{{1,9}}):(?:(?P<column>\d{{1,9}}):)? (?:fatal )?error: (?P<message>\S.*?)(?: \[(?P<code>-W[\w=+-]+)\])?$"
)
_TSC = re.compile(
    rf"^{_FILE}(?:\((?P<line>\d{{1,9}}),(?P<column>\d{{1,9}})\): |:(?P<line2>\d{{1,9}}):(?P<column2>\d{{1,9}}) - )error (?P<code>TS\d{{1,6}}): (?P<message>.*)$"
)
_LD = re.compile(
    r"^(?:[^\s:]{0,300}\bld[\w.-]{0,20}: )?(?:(?P<file>[^\s:]{1,300}\.\w{1,8}):(?:(?P<line>\d{1,9})|\([^)]{1,100}\)): )?"
    r"(?P<message>(?:undefined reference to|multiple definition of) .{1,500}|cannot find -l\S{1,200}.{0,200})$"
)
_CMAKE = re.compile(r"^CMake Error at (?P<file>[^\s:]{1,300}):(?P<line>\d{1,9}) \((?P<message>\w+)\):$")
_MAKE = re.compile(r"^\s*(?:g?make|ninja)(?:\[\d+\])?: \*\*\* (?P<message>.{1,500})$")
_BY_SUFFIX = {"py": "mypy", "pyi": "mypy", "java": "javac", "kt": "kotlinc", "rs": "rustc", "ts": "tsc", "tsx": "tsc"}


def find(lines: Lines) -> Iterator[Draft]:
    """Yield errors of compilers and linkers, and weakly that a target of a makefile failed."""
    compiler = (
        "clang" if any(line.endswith((" generated.", " generated")) and "error" in line for line in lines) else "gcc"
    )
    for at, line in enumerate(lines):
        if "error" in line:
            if found := _TSC.match(line):
                place = (found["line"] or found["line2"], found["column"] or found["column2"])
                yield Draft(
                    "tsc", "type", found["message"], at + 1,
                    file=found["file"], line=place[0], column=place[1], code=found["code"],
                )  # fmt: skip
            elif (found := _CC.match(line)) and not found["file"].endswith((".py", ".pyi", ".sh")):
                yield _compiled(found, at + 1, compiler)
        elif ("undefined reference" in line or "cannot find -l" in line or "multiple def" in line) and (
            found := _LD.match(line)
        ):
            is_object = (found["file"] or "").endswith((".o", ".a", ".so"))
            yield Draft(
                "ld", "compile", found["message"], at + 1, file=None if is_object else found["file"], line=found["line"]
            )
        elif "*** " in line and (found := _MAKE.match(line)):
            yield Draft("make", "shell", found["message"], at + 1, is_weak=True)
        elif line.startswith("CMake Error at ") and (found := _CMAKE.match(line)):
            said = next((text.strip() for text in lines[at + 1 : at + 6] if text.strip()), found["message"])
            yield Draft("cmake", "compile", said, at + 1, end=at + 2, file=found["file"], line=found["line"])


def _compiled(found: re.Match[str], number: int, compiler: str) -> Draft:
    suffix = found["file"].rpartition(".")[2]
    is_form = found["code"] == "-Wclang-format-violations"
    return Draft(
        "clang-format" if is_form else _BY_SUFFIX.get(suffix, compiler), "format" if is_form else "compile",
        found["message"], number, file=found["file"], line=found["line"], column=found["column"], code=found["code"],
    )  # fmt: skip
