"""One notifier of the configuration: what it wants to hear, and one try to tell it that cannot hang."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from cicdctl.config import NotifierSettings
from cicdctl.errors import CicdError, ConfigError, NotSent, PluginError, UsageError
from cicdctl.kinds import Notice, Notifier, NotifierKind, read_options
from cicdctl.masking import Masker
from cicdctl.model import Run
from cicdctl.near_words import near_word
from cicdctl.notifiers.builtin import BuiltinNotifiers
from cicdctl.notifiers.events import FOR_PEOPLE, choose, wants
from cicdctl.orchestrator.culprit import CULPRIT
from cicdctl.plugin_contract import describe_error
from cicdctl.plugin_thread import PluginThread
from cicdctl.project import Project
from cicdctl.project_config import CONFIG_NAME

LIMIT_S = 10.0
_TARGETS = ("url", "host")
_SECRET = re.compile(r"url|token|secret|passw|key|auth|header|cookie|dsn", re.IGNORECASE)


class Channel:
    """Opens its notifier when the first notice is due. A notifier that hangs is left behind and opened anew."""

    def __init__(self, project: Project, settings: NotifierSettings) -> None:
        self.settings = settings
        self.name = settings.name
        self._project = project
        self._where = f"notifiers.{settings.name}"
        self._thread: PluginThread | None = None
        self._notifier: Notifier | None = None
        self._masker = Masker([*_secret_texts(settings.options)])

    @property
    def kind(self) -> NotifierKind:
        """The kind its `uses` names. Raises ConfigError when nobody provides it, PluginError when a plugin fails."""
        kind = self._project.plugins.find("cicdctl_notifiers", self.settings.uses, where=f"{self._where}.uses")
        assert isinstance(kind, NotifierKind)
        return kind

    @property
    def keeps_record(self) -> bool:
        """Whether it is told of every run that starts or ends."""
        return self._flag("every_run")

    def why_not(self) -> CicdError | None:
        """Return what is wrong with its configuration; None when it could send."""
        try:
            self._open()
        except CicdError as error:
            return error
        return None

    def problem(self) -> str | None:
        """Say what is wrong with its configuration in one line, masked."""
        error = self.why_not()
        return None if error is None else self._masker.text(error.message)

    def event_for(self, run: Run, events: tuple[str, ...], *, tells_failures: bool) -> str | None:
        """Return which of the events of a run it is to be told, if any."""
        settings = self.settings
        keeps_record = self.keeps_record
        event = events[0] if events else ""
        if keeps_record and event in FOR_PEOPLE and not (event == CULPRIT and self._flag("culprits")):
            return None
        if run.snapshot and (keeps_record or not self._flag("uncommitted")):
            return None
        if not keeps_record:
            wanted = wants(settings.on, settings.pipelines, settings.branches, run)
            return choose(events, wanted, tells_failures=tells_failures)
        is_meant = wants(events[:1], settings.pipelines, settings.branches, run)
        return choose(events[:1], is_meant)

    def topic_for(self, run: Run, event: str) -> str:
        """Return what a later letter replaces an earlier one for: a record of one commit has one newest state."""
        return f"{run.commit} {run.pipeline}" if self.keeps_record and event != CULPRIT else ""

    def send(self, notice: Notice) -> None:
        """Try once, for 10 s at most. Raises NotSent, its text masked."""
        try:
            notifier = self._open()
            assert self._thread is not None
            self._thread.call(notifier.send, (notice,))
        except NotSent as error:
            raise self._masked(error) from error
        except TimeoutError as error:
            self.close()
            raise NotSent(f"no end after {LIMIT_S:g} s") from error
        except CicdError as error:
            raise self._masked(NotSent(error.message, hint=error.hint)) from error
        except Exception as error:  # a plugin may raise anything
            self.close()
            raise self._masked(NotSent(describe_error(error))) from error

    def close(self) -> None:
        """Let go of the notifier; never waits."""
        if self._thread is not None:
            self._thread.close()
        self._thread = self._notifier = None

    def _open(self) -> Notifier:
        if self._notifier is None:
            self._project.configuration.resolved.require("notifiers", self.name)
            options = read_options(self.kind, self.settings.options, where=self._where)
            thread = PluginThread(f"notifier {self.name}", LIMIT_S)
            try:
                notifier = thread.call(self.kind.open, (options,))
            except ConfigError as error:
                raise ConfigError(
                    tuple(f"{self._where}: {text}" for text in error.problems), hint=error.hint
                ) from error
            except Exception as error:  # a plugin may raise anything, or hang
                thread.close()
                raise PluginError(f'"{self.settings.uses}" does not open: {describe_error(error)}') from error
            endpoint = getattr(notifier, "endpoint", None)
            if endpoint is not None:
                notifier.endpoint = replace(endpoint, may_be_private=self._is_own_target())
            self._thread, self._notifier = thread, notifier
        assert self._notifier is not None
        return self._notifier

    def _is_own_target(self) -> bool:
        """Whether the address comes from the operator; one in `.cicd.toml` may be anybody's who can push."""
        origins = self._project.configuration.resolved.origins
        named = [origins.get(("notifiers", self.name, option)) for option in _TARGETS]
        return CONFIG_NAME not in named

    def _flag(self, name: str) -> bool:
        try:
            return bool(getattr(self.kind, name))
        except CicdError:
            return False  # its letters wait until the configuration is mended

    def _masked(self, error: NotSent) -> NotSent:
        return NotSent(
            self._masker.text(error.message),
            hint=error.hint,
            retry_after_s=error.retry_after_s,
            is_final=error.is_final,
        )


def open_channels(project: Project) -> dict[str, Channel]:
    """Return the notifiers of the configuration by name, also those that are switched off. Call it once a project."""
    project.plugins.register(BuiltinNotifiers(project), "notifiers")
    return {settings.name: Channel(project, settings) for settings in project.settings.notifiers}


def find_channel(channels: Mapping[str, Channel], name: str) -> Channel:
    """Return the notifier of that name. Raises UsageError with the near word."""
    if name in channels:
        return channels[name]
    known = f"notifiers: {', '.join(channels)}" if channels else "[notifiers.NAME] in the configuration makes one"
    raise UsageError(f'there is no notifier "{name}"{near_word(name, channels)}', hint=known)


def _secret_texts(value: Any, key: str = "") -> Iterator[str]:
    """Every text in the options that no message may repeat; of an address its path too."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _secret_texts(part, f"{key} {name}")
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _secret_texts(part, key)
    elif isinstance(value, str) and _SECRET.search(key):
        yield value
        if "://" in value:
            path = value.partition("://")[2].partition("/")[2]
            yield from (path,) * (len(path) > 8)
