"""The program that searches the working folder. Imports nothing of cicdctl: it starts in 20 ms, killed at will."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

MOST_BYTES = 400_000
WIDTH = 200
# A secret that the edge of what is shown cuts in two is still seen whole by who looks for secrets.
MARGIN = 1_000


def main() -> None:
    """Search what the only argument says; write a JSON document."""
    asked = json.loads(sys.argv[1])
    try:
        wanted = re.compile(asked["pattern"])
    except (re.error, RecursionError, OverflowError) as error:
        json.dump({"error": str(error)}, sys.stdout)
        return
    found: list[Any] = []
    for path in files("", asked["glob"], asked["skip"]):
        for row in matches(path, wanted):
            found.append([path, *row])
            if len(found) >= asked["most"]:
                break
        if len(found) >= asked["most"]:
            break
    json.dump({"found": found}, sys.stdout)


def files(prefix: str, glob: str, skip: list[str]) -> Iterator[str]:
    """Yield the files below a folder in order; links are not followed, git's folder and secrets left out."""
    rows = sorted(os.scandir(prefix or "."), key=lambda row: row.name)
    for row in rows:
        path = prefix + row.name
        if row.name.lower() == ".git":
            continue
        if row.is_dir(follow_symlinks=False):
            yield from files(f"{path}/", glob, skip)
        elif row.is_file(follow_symlinks=False) and not fits(path, skip) and (not glob or fits(path, [glob])):
            yield path


def fits(path: str, globs: list[str]) -> bool:
    """Whether a path, or its name, matches a glob; `*` crosses folders."""
    path = path.lower()
    names = (path, path.rpartition("/")[2])
    plain = [glob.lower().replace("**/", "*") for glob in globs]
    return any(fnmatch.fnmatchcase(name, glob) for name in names for glob in plain)


def matches(path: str, wanted: re.Pattern[str]) -> Iterator[tuple[int, str, int]]:
    """Yield number and text of the lines that match, never one of a private key, and where the shown part begins."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError:
        return
    if b"\0" in data or len(data) > MOST_BYTES:
        return
    is_key = False
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        if "-----BEGIN" in line and "PRIVATE KEY" in line:
            is_key = True
        if not is_key and (hit := wanted.search(line)):
            start = max(0, hit.start() - WIDTH // 2)
            begin = max(0, start - MARGIN)
            yield number, line[begin : start + WIDTH + MARGIN], start - begin
        if "-----END" in line:
            is_key = False


if __name__ == "__main__":
    main()
