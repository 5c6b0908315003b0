"""What shows that a program did the work it was timed for. Each proof raises WrongResult when it did not."""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Callable
from pathlib import Path

from measure import Sample, WrongResult

MB = 1_000_000
LINE = "[1234/5678] Compiling package number-42 v1.2.3 (/home/user/project/crates/number-42)"
TALK_BYTES = 200 * MB
FILES, FILE_BYTES = 2000, 100_000
MAKE = f"""import os, random
numbers = random.Random(1)
for number in range({FILES}):
    folder = f"dist/part{{number // 100}}"
    os.makedirs(folder, exist_ok=True)
    with open(f"{{folder}}/file{{number}}.bin", "wb") as file:
        file.write(numbers.randbytes({FILE_BYTES}))
"""


def says(*words: str) -> Callable[[Sample], None]:
    def check(sample: Sample) -> None:
        for wanted in words:
            if wanted not in sample.output:
                raise WrongResult(f'did not say "{wanted}"')

    return check


def same_bytes(folder: Path) -> None:
    """The folder holds what `MAKE` makes, byte for byte."""
    found = {
        str(path.relative_to(folder)): hashlib.sha1(path.read_bytes()).hexdigest() for path in folder.rglob("*.bin")
    }
    if found != _expected():
        raise WrongResult(f"{folder} holds {len(found)} files, not the {FILES} that were made")


def log_is_whole(folder: Path) -> None:
    """There is one log of the stage `talk`, and it holds all that was printed."""
    logs = [*folder.glob(".git/cicdctl/logs/*/talk.*.log"), *folder.glob(".turbo/turbo-talk.log")]
    sizes = [path.stat().st_size for path in logs]
    if len(sizes) != 1 or not TALK_BYTES <= sizes[0] <= TALK_BYTES + 1000:
        raise WrongResult(f"the log holds {sizes} bytes, not {TALK_BYTES}")


@functools.cache
def _expected() -> dict[str, str]:
    numbers = random.Random(1)
    return {
        f"part{number // 100}/file{number}.bin": hashlib.sha1(numbers.randbytes(FILE_BYTES)).hexdigest()
        for number in range(FILES)
    }
