"""Stages of Rust and Go projects, and of what only a Makefile knows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from cicdctl.config.sketch import Read, Sketch

_TARGET = re.compile(r"^([A-Za-z0-9][A-Za-z0-9_-]*)(?: [A-Za-z0-9_ -]+)? *:(?![:=])", re.MULTILINE)
MAKEFILES = ("GNUmakefile", "makefile", "Makefile")


def rust_stages(names: Collection[str], read: Read) -> Iterator[Sketch]:
    """Yield format where rustfmt is configured, and the tests."""
    if "Cargo.toml" not in names:
        return
    if {"rustfmt.toml", ".rustfmt.toml"} & set(names):
        yield Sketch(name="format", run=("cargo fmt --all --check",))
    has_lock = "Cargo.lock" in names
    workspace = " --workspace" if b"[workspace" in (read("Cargo.toml") or b"") else ""
    flags = workspace + (" --locked" if has_lock else "")
    caches = (("Cargo.lock", "target"),) if has_lock else ()
    yield Sketch(name="test", run=(f"cargo build{flags}", f"cargo test{flags}"), caches=caches)


def go_stages(names: Collection[str], read: Read) -> Iterator[Sketch]:
    """Yield build and test of every package."""
    if "go.mod" in names:
        yield Sketch(name="build", run=("go build ./...",))
        yield Sketch(name="test", run=("go vet ./...", "go test ./..."))


def make_stages(names: Collection[str], read: Read) -> Iterator[Sketch]:
    """Yield a stage for each of the usual targets, else for the first one."""
    name = next((name for name in MAKEFILES if name in names), None)
    if name is None:
        return
    targets = _TARGET.findall((read(name) or b"").decode("utf-8", "replace").replace("\r\n", "\n"))
    build = next((target for target in ("build", "all") if target in targets), None)
    if "lint" in targets:
        yield Sketch(name="lint", run=("make lint",))
    if build is not None:
        yield Sketch(name="build", run=(f"make {build}",))
    tests = next((target for target in ("test", "check", "tests") if target in targets), None)
    if tests is not None:
        yield Sketch(name="test", run=(f"make {tests}",))
    if tests is None and build is None and "lint" not in targets:
        yield Sketch(name="build", run=("make",))
