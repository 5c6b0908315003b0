"""Starts, streams, limits, sandboxes and ends a process and all its descendants."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cicdctl.process.captured import run_captured
    from cicdctl.process.children import reap_detached, run_children, run_interactive, start_detached
    from cicdctl.process.control import Control
    from cicdctl.process.environment import account_name, build_environment, refused_names
    from cicdctl.process.kernel import prepare_runner_process
    from cicdctl.process.limits import LimitSupport, probe_limits
    from cicdctl.process.marks import sweep
    from cicdctl.process.ourselves import own_argv, own_environ
    from cicdctl.process.outputs import parse_outputs
    from cicdctl.process.pump import run_process
    from cicdctl.process.sandbox import SandboxSupport, choose_sandbox, path_folders, probe_sandbox
    from cicdctl.process.service import ServiceFailed, free_port, start_service
    from cicdctl.process.shared_network import shared_network
    from cicdctl.process.spec import Exit, Limits, ProcessSpec, Sandbox

__all__ = [
    "Control",
    "Exit",
    "LimitSupport",
    "Limits",
    "ProcessSpec",
    "Sandbox",
    "SandboxSupport",
    "ServiceFailed",
    "account_name",
    "build_environment",
    "choose_sandbox",
    "free_port",
    "own_argv",
    "own_environ",
    "parse_outputs",
    "path_folders",
    "prepare_runner_process",
    "probe_limits",
    "probe_sandbox",
    "reap_detached",
    "refused_names",
    "run_captured",
    "run_children",
    "run_interactive",
    "run_process",
    "shared_network",
    "start_detached",
    "start_service",
    "sweep",
]

# Loaded on first use: a run that finds everything in the cache starts no process at all.
_HOMES = {
    "Control": "control",
    "Exit": "spec",
    "LimitSupport": "limits",
    "Limits": "spec",
    "ProcessSpec": "spec",
    "Sandbox": "spec",
    "SandboxSupport": "sandbox",
    "ServiceFailed": "service",
    "account_name": "environment",
    "build_environment": "environment",
    "choose_sandbox": "sandbox",
    "free_port": "service",
    "parse_outputs": "outputs",
    "path_folders": "sandbox",
    "prepare_runner_process": "kernel",
    "probe_limits": "limits",
    "probe_sandbox": "sandbox",
    "reap_detached": "children",
    "refused_names": "environment",
    "run_captured": "captured",
    "run_children": "children",
    "run_interactive": "children",
    "own_argv": "ourselves",
    "own_environ": "ourselves",
    "run_process": "pump",
    "shared_network": "shared_network",
    "start_detached": "children",
    "start_service": "service",
    "sweep": "marks",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
