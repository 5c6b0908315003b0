"""CI/CD that lives in your git repository. The public API is loaded when it is first asked for."""

TYPE_CHECKING = False  # what type checkers take for `typing.TYPE_CHECKING`; nothing is imported before Ctrl-C is heard
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "CICDOrchestrator": "cicdctl.python_api",
    "Plan": "cicdctl.model",
    "RemoteOrchestrator": "cicdctl.remote_api",
    "Run": "cicdctl.model",
    "RunRequest": "cicdctl.runner",
    "RunSummary": "cicdctl.model",
    "StageResult": "cicdctl.model",
    "Verdict": "cicdctl.model",
    "hookimpl": "cicdctl.plugin_api",
    "open_project": "cicdctl.project",
    "run_pipeline": "cicdctl.runner",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
