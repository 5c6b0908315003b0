"""`.cicd.toml` in; typed values, or every problem at once with line and near word, out."""

from cicdctl.config.read import read_config, read_mapping, read_named, read_operator
from cicdctl.config.settings import (
    Config,
    FixerSettings,
    FixSettings,
    LoggingSettings,
    NotifierSettings,
    OrchestratorSettings,
    ProjectSettings,
    Settings,
    isolates,
)

__all__ = [
    "Config",
    "FixSettings",
    "FixerSettings",
    "LoggingSettings",
    "NotifierSettings",
    "OrchestratorSettings",
    "ProjectSettings",
    "Settings",
    "isolates",
    "read_config",
    "read_mapping",
    "read_named",
    "read_operator",
]
