"""A first `.cicd.toml` from what a repository is: its files tell the tools, and those tell the stages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from cicdctl.config.detect_node import node_stages
from cicdctl.config.detect_others import go_stages, make_stages, rust_stages
from cicdctl.config.detect_python import python_stages
from cicdctl.config.sketch import Read, Sketch

HEADER = """\
# What cicdctl runs. All keys: `cicdctl config schema`, docs/configuration.md.
# Check it with `cicdctl config validate`, run it with `cicdctl run build`.

[pipelines.build]
trigger = "on_commit"
"""

NOTHING_KNOWN = """
[pipelines.build.stages]
hello = "echo 'write your build here'"
"""

KINDS: tuple[tuple[str, Callable[[Collection[str], Read], Iterator[Sketch]]], ...] = (
    ("python", python_stages),
    ("node", node_stages),
    ("rust", rust_stages),
    ("go", go_stages),
)


def detect(names: Collection[str], read: Read) -> str:
    """Return the text of a valid `.cicd.toml`.

    `names` are the files and folders at the top of the repository; `read(name)` gives a file's bytes, or
    None. Stages of several languages start at once. Make is asked only where nothing else is known,
    since most such Makefiles wrap the tools that are called here directly.
    """
    found = [(kind, list(stages(names, read))) for kind, stages in KINDS]
    found = [(kind, stages) for kind, stages in found if stages] or [("make", list(make_stages(names, read)))]
    several = len(found) > 1
    sketches = [
        stage.named(f"{kind}-{stage.name}") if several else stage for kind, stages in found for stage in stages
    ]
    if not sketches:
        return HEADER + NOTHING_KNOWN
    return HEADER + "".join(stage.toml(is_first=index == 0) for index, stage in enumerate(sketches))
