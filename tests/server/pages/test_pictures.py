"""The pictures of the documentation are made by one command, from what the server shows now."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from pictures import PICTURES, ROOT

WANTED = {name: (width, height) for name, _, width, height, _ in PICTURES}


@pytest.mark.campaign
def test_pictures_are_made_anew(clean_env, tmp_path):
    """Each page of the list, in its size and not blank."""
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed here")
    command = [sys.executable, "tests/support/pictures.py", "--to", str(tmp_path / "made")]
    done = subprocess.run(command, cwd=ROOT, env=clean_env, capture_output=True, text=True, timeout=110)

    assert done.returncode == 0, done.stderr
    assert sizes(tmp_path / "made") == WANTED
    # A page of one colour takes a tenth of this.
    assert all(path.stat().st_size > 40_000 for path in (tmp_path / "made").iterdir())


def test_pictures_of_the_documentation_are_those_of_the_command():
    """No picture is left over, none is missing, none is of another size."""
    assert sizes(ROOT / "docs" / "pictures") == WANTED


def sizes(folder: Path) -> dict[str, tuple[int, int]]:
    """Return width and height of the pictures in a folder, by name."""
    return {path.stem: size(path.read_bytes()) for path in folder.iterdir()}


def size(picture: bytes) -> tuple[int, int]:
    """Return width and height of a PNG."""
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", picture[16:24])
    return width, height
