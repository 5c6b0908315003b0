"""The orchestrator's own log, as `[logging]` says; every logger's name begins with "cicdctl"."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from logging.handlers import RotatingFileHandler
from pathlib import Path

from msgspec.structs import replace

from cicdctl.config.settings import LoggingSettings, LogHandlerSettings
from cicdctl.errors import ConfigError, StoreError

ROOT = "cicdctl"
PROJECT: ContextVar[str] = ContextVar("project", default="-")  # which of several this thread is about
_FORMAT_OF_MANY = "%(asctime)s - %(project)s - %(name)s - %(levelname)s - %(message)s"


def set_up_logging(settings: LoggingSettings, folder: Path, *, of_many: bool = False) -> None:
    """Log to what the settings name, and to nothing else any more. Relative files lie in `folder`.

    `of_many`: lines say which project they are about, unless a format says otherwise.
    Raises ConfigError for a format that cannot be used, StoreError for a file that cannot be written; the handlers
    are then as they were.
    """
    if of_many and settings.format == LoggingSettings().format:
        settings = replace(settings, format=_FORMAT_OF_MANY)
    handlers = [_open(one, settings, folder) for one in settings.handlers]
    logger = logging.getLogger(ROOT)
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel(settings.level)
    logger.propagate = False


def _open(settings: LogHandlerSettings, common: LoggingSettings, folder: Path) -> logging.Handler:
    try:
        formatter = logging.Formatter(settings.format or common.format)
        formatter.format(logging.makeLogRecord({"msg": "trial", "run": "-", "project": "-"}))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError((f"logging.format: {error}",)) from error
    handler: logging.Handler
    if settings.type == "console":
        handler = logging.StreamHandler(sys.stderr)
    else:
        path = folder / (settings.filename or "orchestrator.log")
        try:
            handler = RotatingFileHandler(
                path, maxBytes=settings.max_bytes, backupCount=settings.backup_count, encoding="utf-8", errors="replace"
            )
        except OSError as error:
            raise StoreError(f'cannot write the log "{path}": {error.strerror}', hint="check owner and mode") from error
    handler.setFormatter(formatter)
    handler.addFilter(_with_run)
    if settings.level is not None:
        handler.setLevel(settings.level)
    return handler


def _with_run(record: logging.LogRecord) -> bool:
    """Give each record a run and a project, so that a format may name them; lets every one through."""
    record.project = PROJECT.get()
    if not hasattr(record, "run"):
        record.run = "-"
    return True
