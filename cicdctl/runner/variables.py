"""The CI_… and CICD_… variables that tell a stage what it runs for."""

from __future__ import annotations

import time
from collections.abc import Mapping

from cicdctl.git import Commit
from cicdctl.model import PlannedStage, Run

# The system takes at most 128 KB for one variable.
_MAX_MESSAGE_BYTES = 32_768
_MAX_AUTHOR_BYTES = 1_024


def run_variables(run: Run, commit: Commit, *, default_branch: str | None) -> dict[str, str]:
    """Return the variables that are equal for all stages of a run (configuration.md section 2)."""
    branch, tag = branch_and_tag(run.ref)
    return {
        "CI": "true",
        "CICD_RUN": str(run.number),
        "CICD_PIPELINE": run.pipeline,
        "CICD_TRIGGER": run.trigger.value,
        "CICD_LOCAL": "true" if run.trigger == "manual" else "false",
        "CI_COMMIT_SHA": commit.oid,
        "CI_COMMIT_SHORT_SHA": commit.oid[:8],
        "CI_COMMIT_BRANCH": branch or "",
        "CI_COMMIT_TAG": tag or "",
        "CI_COMMIT_REF": run.ref or "",
        "CI_COMMIT_BEFORE_SHA": run.base or "",
        "CI_COMMIT_MESSAGE": _first_bytes(commit.message, _MAX_MESSAGE_BYTES),
        "CI_COMMIT_AUTHOR": _first_bytes(f"{commit.author_name} <{commit.author_email}>", _MAX_AUTHOR_BYTES),
        "CI_COMMIT_TIMESTAMP": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(commit.time)),
        "CI_DEFAULT_BRANCH": default_branch or "",
        **{f"CICD_PARAM_{variable_name(name)}": value for name, value in run.params.items()},
    }


def _first_bytes(text: str, most: int) -> str:
    """Return what an environment can hold of a text: no NUL, and no letter cut in two."""
    data = text.replace("\0", "").encode("utf-8", "surrogateescape")
    return text.replace("\0", "") if len(data) <= most else data[:most].decode("utf-8", "ignore")


def stage_variables(planned: PlannedStage, outputs: Mapping[str, str]) -> dict[str, str]:
    """Return what one stage adds: outputs of its needs, its own env, its matrix cell, its name."""
    return {
        **outputs,
        **planned.stage.env,
        **{f"CICD_MATRIX_{variable_name(name)}": value for name, value in planned.cell.items()},
        "CICD_STAGE": planned.id,
    }


def branch_and_tag(ref: str | None) -> tuple[str | None, str | None]:
    """Split a full ref into the branch or the tag it names."""
    if ref is None:
        return None, None
    if ref.startswith("refs/tags/"):
        return None, ref[len("refs/tags/") :]
    if ref.startswith("refs/heads/"):
        return ref[len("refs/heads/") :], None
    return None, None


def variable_name(name: str) -> str:
    """Turn a parameter or axis name into the end of an environment name: `node-version` → `NODE_VERSION`."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name).upper()
