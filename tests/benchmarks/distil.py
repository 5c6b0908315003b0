"""`python tests/benchmarks/distil.py`: how long it takes to make a bundle out of a log of 10 MB, and its green like."""

from __future__ import annotations

import random
import resource
import statistics
import time
from pathlib import Path

from cicdctl.fixing.capture import Evidence, capture, clean_lines
from cicdctl.fixing.own_files import OwnFiles
from cicdctl.fixing.redact import Redactor
from cicdctl.model import Run, RunState, StageResult, TriggerKind, Verdict

MEGABYTES = 10
LOGS = Path(__file__).parents[1] / "fixing" / "logs"
WORDS = ("compile", "link", "fetch", "module", "cache", "token", "request", "handler", "response", "warning", "test", "passed", "ok", "key", "user", "item")


def make_noise(size: int, seed: int, *, style: str) -> bytes:
    """Return lines as builds print them: plain, with progress, with colours and times, or all distinct words."""
    chance = random.Random(seed)
    lines: list[str] = []
    total = 0
    while total < size:
        words = " ".join(chance.choices(WORDS, k=8))
        line = f"step {chance.randrange(10**6)} src/{words[:7]}/file{chance.randrange(9999)}.py: {words} in 0.{chance.randrange(999)}s"
        if style == "colour":
            line = f"2026-01-02T03:04:{chance.randrange(10, 60)}.123Z \x1b[32m{line}\x1b[0m"
        elif style == "progress":
            line = "".join(f"{at}% [{'#' * (at // 10)}]\r" for at in range(0, 100, 10)) + line
        lines.append(line)
        total += len(line) + 1
    return "\n".join(lines).encode()


def bundle_of(log: bytes, greens: tuple[bytes, ...]) -> object:
    """Make a bundle."""
    run = Run(number=1, pipeline="build", commit="c" * 40, tree="d" * 40, trigger=TriggerKind.MANUAL, state=RunState.DONE)
    result = StageResult(stage="unit", verdict=Verdict.FAILED, exit_code=1)
    files = OwnFiles(["src/pricing.py"], {"src/pricing.py": b"x = 1\n" * 50}.get)
    secrets = {f"SECRET_{at}": f"value-of-secret-{at}-{at * 7919}" for at in range(10)}
    return capture(Evidence(run=run, result=result, log=log, greens=greens), files, Redactor(secrets))


def measure(name: str, log: bytes, greens: tuple[bytes, ...]) -> None:
    """Print the median of three."""
    took = []
    for _ in range(3):
        start = time.perf_counter()
        bundle_of(log, greens)
        took.append(time.perf_counter() - start)
    print(f"{name:<40} {len(log) / 1e6:6.1f} MB  {statistics.median(took):6.2f} s")


def main() -> None:
    """Measure each style without and with a green log of the same size."""
    failure = (LOGS / "pytest" / "long.log").read_bytes()
    for style in ("plain", "colour", "progress"):
        log = make_noise(MEGABYTES * 500_000, 1, style=style) + b"\n" + failure + make_noise(MEGABYTES * 500_000, 2, style=style)
        green = make_noise(MEGABYTES * 800_000, 3, style=style)
        measure(f"{style}, no green log", log, ())
        measure(f"{style}, one green log of 8 MB", log, (green,))
    start = time.perf_counter()
    redactor = Redactor({"A": "some-secret-value"})
    redactor.text("\n".join(clean_lines(log, redactor)))
    print(f"{'the whole log redacted (read_log)':<40} {len(log) / 1e6:6.1f} MB  {time.perf_counter() - start:6.2f} s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
