"""`python tests/fixing/make_gitleaks.py gitleaks.toml`: writes cicdctl/fixing/gitleaks_rules.json anew.

gitleaks' config/gitleaks.toml is written for RE2; what Python writes otherwise is rewritten here, mechanically.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
import warnings
from pathlib import Path

TARGET = Path(__file__).parents[2] / "cicdctl" / "fixing" / "gitleaks_rules.json"
NOTICE = "Rules of gitleaks (https://github.com/gitleaks/gitleaks), Copyright (c) 2019 Zachary Rice, MIT licence"
_CLASSES = {
    "[:alnum:]": "A-Za-z0-9", "[:alpha:]": "A-Za-z", "[:digit:]": "0-9", "[:space:]": r"\s", "[:xdigit:]": "A-Fa-f0-9",
    "[:lower:]": "a-z", "[:upper:]": "A-Z", "[:word:]": r"\w", "[:punct:]": r"!-/:-@\[-`{-~",
}  # fmt: skip


def to_python(pattern: str) -> str:
    """Rewrite RE2 for Python: `\\z`, POSIX classes, and flags in the middle, which become scoped groups."""
    pattern = pattern.replace(r"\z", r"\Z")
    for name, letters in _CLASSES.items():
        pattern = pattern.replace(name, letters)
    return _scope_flags(pattern)


def _scope_flags(pattern: str) -> str:
    found = re.search(r"(?<!\\)\(\?([imsU]+)\)", pattern)
    if found is None:
        return pattern
    flags = found[1].replace("U", "")
    before, after = pattern[: found.start()], pattern[found.end() :]
    # A flag counts to the end of the group it stands in.
    depth, end = 0, len(after)
    escaped = in_class = False
    for at, letter in enumerate(after):
        if escaped:
            escaped = False
        elif letter == "\\":
            escaped = True
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
    inner = after[:end]
    return before + (f"(?{flags}:{_scope_flags(inner)})" if flags else _scope_flags(inner)) + _scope_flags(after[end:])


def main(source: str) -> None:
    warnings.simplefilter("error")
    rules, lost = [], []
    for rule in tomllib.loads(Path(source).read_text())["rules"]:
        if "regex" not in rule or rule["id"] == "generic-api-key":
            continue  # by path only; and the one that our own rule for assignments stands for
        pattern = to_python(rule["regex"])
        try:
            re.compile(pattern)
        except (re.error, Warning) as error:
            lost.append(f"{rule['id']}: {error}")
            continue
        rules.append([rule["id"], pattern, [word.lower() for word in rule.get("keywords", [])], rule.get("entropy", 0.0)])
    TARGET.write_text(json.dumps({"notice": NOTICE, "rules": rules}, indent=0, ensure_ascii=True) + "\n")
    print(f"{len(rules)} rules, {len(lost)} lost", *lost, sep="\n")


if __name__ == "__main__":
    main(sys.argv[1])
