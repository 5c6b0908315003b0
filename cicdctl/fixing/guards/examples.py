"""Tests that stand within the code: examples in its text, and the test modules of Rust. A repair changes none."""

from __future__ import annotations

import doctest
import re
from collections import Counter
from collections.abc import Iterator

from cicdctl.fixing.guards.patch import MOST_SOUGHT, ChangedFile, Patch
from cicdctl.model.fixing import GuardFinding

_RUST_TESTS = re.compile(r"^[ \t]*#\[(?:cfg\(test\)|(?:\w+::)?test\b[^\]]*)\]", re.MULTILINE)


def find_changed_examples(patch: Patch) -> Iterator[GuardFinding]:
    """Yield a block for each of five examples that are gone or expect something else, and for changed Rust tests."""
    for file in patch.files:
        if file.is_test or file.is_binary or not file.removed:
            continue
        if file.language in ("python", "prose") and ">>>" in file.old:
            for example in sorted((_examples(file.old) - _examples(file.new)).elements())[:5]:
                yield file.finding("test-files", "block", f"an example is not as it was: {example}")
        elif file.language == "rust":
            yield from _rust(file)


def _examples(text: str) -> Counter[str]:
    """Every example with what it expects, whatever its indent; blanks do not count."""
    found: Counter[str] = Counter()
    parser = doctest.DocTestParser()
    for block in re.split(r"\n(?=[ \t]*>>> )", "\n" + text[:MOST_SOUGHT])[1:]:
        rows = []
        for row in block.split("\n"):
            if not row.strip() or row.strip().startswith(('"""', "'''", "```")):
                break
            rows.append(row)
        try:
            examples = parser.get_examples("\n".join(rows) + "\n")
            found.update(" ".join(f"{one.source} {one.want}".split()) for one in examples)
        except ValueError:
            found[" ".join(" ".join(rows).split())] += 1
    return found


def _rust(file: ChangedFile) -> Iterator[GuardFinding]:
    first = _RUST_TESTS.search(file.old[:MOST_SOUGHT])
    if first is None:
        return
    # By custom the tests are the end of a file; what stands below the first of them is taken for one.
    start = file.old.count("\n", 0, first.start()) + 1
    for number, line in file.removed:
        if number >= start and line.strip():
            yield file.finding("test-files", "block", f"a test within the code is not as it was: {line.strip()}")
            return
