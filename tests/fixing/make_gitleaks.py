"""`python tests/fixing/make_gitleaks.py gitleaks.toml`: writes cicdctl/fixing/gitleaks.json anew.

gitleaks' config/gitleaks.toml is written for RE2; what Python writes otherwise is rewritten here, mechanically. A
rule that does not compile stops it. Left out are rules by path alone, and private keys, for which there is a rule of
our own that needs no pattern. Made from gitleaks b58d3f102cf3 of 2026-07-22.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[2] / "cicdctl" / "fixing" / "gitleaks.json"
NOTICE = (
    "Rules of gitleaks (https://github.com/gitleaks/gitleaks), rewritten for Python. "
    "MIT License, Copyright (c) 2019 Zachary Rice. Permission is hereby granted, free of charge, to any person obtaining "
    'a copy of this software and associated documentation files (the "Software"), to deal in the Software without '
    "restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, "
    "and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to "
    "the following conditions: The above copyright notice and this permission notice shall be included in all copies or "
    'substantial portions of the Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR '
    "IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND "
    "NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER "
    "LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE "
    "SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."
)
OURS = {"private-key"}
_CLASSES = {
    "[:alnum:]": "A-Za-z0-9", "[:alpha:]": "A-Za-z", "[:digit:]": "0-9", "[:space:]": r"\s", "[:xdigit:]": "A-Fa-f0-9",
    "[:lower:]": "a-z", "[:upper:]": "A-Z", "[:word:]": r"\w", "[:punct:]": r"!-/:-@\[-`{-~",
}  # fmt: skip
# What may stand before the keyword decides nothing, and looking for it takes most of the time.
_BEFORE = re.compile(r"^\(\?i\)\[\\w\.-\]\{0,50\}\?")


def to_python(pattern: str) -> str:
    """Rewrite RE2 for Python: `\\z`, POSIX classes, and flags in the middle, which become scoped groups."""
    pattern = _BEFORE.sub("(?i)", pattern.replace(r"\z", r"\Z"))
    for name, letters in _CLASSES.items():
        pattern = pattern.replace(name, letters)
    flags = re.match(r"\(\?[ims]+\)", pattern)
    start = flags.end() if flags else 0
    return pattern[:start] + _scope_flags(pattern[start:])


def _scope_flags(pattern: str) -> str:
    found = re.search(r"(?<!\\)\(\?([ims]+)\)", pattern)
    if found is None:
        return pattern
    before, after = pattern[: found.start()], pattern[found.end() :]
    # A flag counts to the end of the group it stands in.
    depth, end = 0, len(after)
    is_escaped = in_class = False
    for at, letter in enumerate(after):
        if is_escaped:
            is_escaped = False
        elif letter == "\\":
            is_escaped = True
        elif in_class:
            in_class = letter != "]"
        elif letter == "[":
            in_class = True
        elif letter == "(":
            depth += 1
        elif letter == ")":
            if depth == 0:
                end = at
                break
            depth -= 1
    return before + f"(?{found[1]}:{_scope_flags(after[:end])})" + _scope_flags(after[end:])


def to_row(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule as it is kept."""
    row: dict[str, Any] = {
        "id": rule["id"],
        "pattern": _compiled(rule["id"], rule["regex"]),
        "keywords": [word.lower() for word in rule["keywords"]],
    }
    if "entropy" in rule:
        row["entropy"] = rule["entropy"]
    if "secretGroup" in rule:
        row["group"] = rule["secretGroup"]
    allowed = [
        {
            "target": one.get("regexTarget", "secret"),
            "patterns": [_compiled(rule["id"], pattern) for pattern in one.get("regexes", ())],
            "stopwords": one.get("stopwords", []),
        }
        for one in rule.get("allowlists", ())
        if ("regexes" in one or "stopwords" in one) and one.get("condition") != "AND"
    ]
    return row | ({"allowed": allowed} if allowed else {})


def _compiled(name: str, pattern: str) -> str:
    rewritten = to_python(pattern)
    try:
        re.compile(rewritten)
    except (re.error, Warning) as error:
        raise SystemExit(f"{name}: {error}: {rewritten}") from error
    return rewritten


def main(source: str) -> None:
    """Rewrite all rules."""
    # A warning that a set may one day be read otherwise; escaped it means the same.
    warnings.simplefilter("ignore", FutureWarning)
    document = tomllib.loads(Path(source).read_text())
    rules = [to_row(rule) for rule in document["rules"] if "regex" in rule and rule["id"] not in OURS]
    everywhere = {
        "target": "secret",
        "patterns": [_compiled("allowlist", pattern) for pattern in document["allowlist"]["regexes"]],
        "stopwords": document["allowlist"]["stopwords"],
    }
    text = json.dumps({"notice": NOTICE, "allowed": [everywhere], "rules": rules}, indent=0, ensure_ascii=True)
    TARGET.write_text(text + "\n")
    print(f"{len(rules)} rules")


if __name__ == "__main__":
    main(sys.argv[1])
