"""The offline benchmark of self-healing: python -m tests.bench_fix [--only WORD] [--part PART] [--json]."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from tests.bench_fix.playing import PARTS, all_scenes, judge_history, play_all
from tests.bench_fix.table import document_of, print_rows, rows_of

MOST_COMMITS = 200


def main() -> int:
    """Play what was asked for. Returns 0 when every rate is as it has to be, 1 when not, 2 when nothing was chosen."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench_fix", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="scenes whose name holds it")
    parser.add_argument("--part", action="append", choices=PARTS, help="of the benchmark (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="scenes at once (default: cores)")
    parser.add_argument("--scratch", type=Path, help="folder for the repositories (default: the temporary folder)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing after so long")
    parser.add_argument("--history", type=Path, metavar="REPOSITORY", help="judge what people changed there, instead")
    parser.add_argument("--list", action="store_true", help="print the names of the scenes")
    options = parser.parse_args()
    scenes = all_scenes(options.only)
    if options.list:
        print("\n".join(one.name for one in scenes))
        return 0
    if not scenes:
        parser.error("no scene has such a name")
    parts = options.part or (PARTS[:3] if options.only else PARTS)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    if options.history:
        results = judge_history(options.history, MOST_COMMITS)
    else:
        until = time.monotonic() + 60 * options.minutes
        results = play_all(scenes, parts=parts, jobs=options.jobs, scratch=options.scratch, until=until, say=say)
    rows = rows_of(results)
    if options.json:
        print(json.dumps(document_of(results, rows), indent=2))
    else:
        print_rows(rows)
    return 1 if any(row.reached is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
