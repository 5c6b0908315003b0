"""Opens the fixers that may be asked: those that are configured, and those that need no configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Literal

from cicdctl.config import FixerSettings
from cicdctl.errors import CicdError, ConfigError, UsageError, describe
from cicdctl.fixing.work import FixOptions, OpenFixer
from cicdctl.kinds import Fixer, FixerKind, read_options
from cicdctl.model import Run
from cicdctl.model.fixing import Applicability, FailureBundle, FixBudget, FixRequest, FixResult
from cicdctl.near_words import near_word
from cicdctl.project import Project

COMMAND = "command"
NO_AI_VARIABLE = "CICDCTL_NO_AI"


def open_fixers(project: Project, run: Run | None, options: FixOptions) -> list[OpenFixer]:
    """Return every fixer that is not switched off; one that does not open has a `problem`.

    Raises UsageError for `options.only` that names none, ConfigError for options that are wrong, and CicdError when
    the one that was asked for by name cannot work.
    """
    found = list(_open_each(project, options))
    if options.only is None:
        return found
    chosen = [one for one in found if one.name == options.only]
    if not chosen:
        known = [one.name for one in found]
        raise UsageError(f'there is no fixer "{options.only}"{near_word(options.only, known)}', hint=", ".join(known))
    if chosen[0].problem is not None:
        raise CicdError(f"fixer {options.only}: {chosen[0].problem}", hint="cicdctl fix doctor")
    return chosen


def _open_each(project: Project, options: FixOptions) -> Iterator[OpenFixer]:
    kinds = {kind.name: kind for kind in project.plugins.ask("cicdctl_fixers") if isinstance(kind, FixerKind)}
    sections = {section.name: section for section in project.settings.fixers}
    used = {section.uses for section in sections.values()}
    for name in kinds:
        if name != COMMAND and name not in used:
            sections.setdefault(name, FixerSettings(name=name, uses=name))
    for section in sections.values():
        if section.enabled is False:
            continue
        kind = kinds.get(section.uses)
        if kind is None:
            where = f"fixers.{section.name}.uses"
            raise ConfigError((f'{where}: there is no fixer "{section.uses}"{near_word(section.uses, kinds)}',))
        yield _open(project, section, kind, options)


def _open(project: Project, section: FixerSettings, kind: FixerKind, options: FixOptions) -> OpenFixer:
    where = f"fixers.{section.name}"
    written: dict[str, Any] = dict(section.options)
    own = {field for field in kind.options_type.__struct_fields__}
    for name in ("name", "run", "paths", "timeout_s", "network"):
        if name in own and name not in written:
            written[name] = getattr(section, name)
    if options.model is not None and "model" in own:
        written["model"] = options.model
    checked = read_options(kind, written, where=where)
    problem = None
    try:
        fixer: Fixer = kind.open(checked)
        problem = getattr(fixer, "problem", None)
    except ConfigError:
        raise
    except Exception as error:  # a plugin may raise anything: the others are asked
        fixer, problem = _Broken(section.name), f"it does not open: {describe(error)}"
    if fixer.kind == "ai" and problem is None:
        problem = _why_no_ai(project)
    return OpenFixer(
        name=section.name, fixer=fixer, settings=section, budget=_budget(checked, options), problem=problem
    )


def _why_no_ai(project: Project) -> str | None:
    """Say why no model is asked on this machine, although there is a key."""
    from cicdctl.process import probe_sandbox

    if project.environ.get(NO_AI_VARIABLE):
        return f"{NO_AI_VARIABLE} is set"
    if project.settings.fix.sandbox == "off" or probe_sandbox().bwrap:
        return None
    if project.settings.fix.sandbox == "required":
        return "fix.sandbox is required, and bubblewrap is not to be had"
    # Only a pid namespace hides the key of a process of root from its children.
    return "as root it needs bubblewrap" if os.geteuid() == 0 else None


def _budget(checked: Any, options: FixOptions) -> FixBudget:
    """Return the limits of a model's options under the names the guide has for them, lowered by the command line."""
    defaults = FixBudget()
    cost = float(getattr(checked, "max_cost_usd", defaults.cost_usd))
    return FixBudget(
        turns=int(getattr(checked, "max_turns", defaults.turns)),
        checks=int(getattr(checked, "max_checks", defaults.checks)),
        cost_usd=cost if options.budget_usd is None else min(cost, options.budget_usd),
        day_usd=float(getattr(checked, "daily_cost_usd", defaults.day_usd)),
    )


class _Broken:
    """Stands for a fixer that did not open; it is never asked."""

    kind: Literal["command", "ai"] = "command"
    version = ""
    priority = 100

    def __init__(self, name: str) -> None:
        self.name = name

    def can_fix(self, bundle: FailureBundle) -> Applicability:
        """Never."""
        return Applicability(answer="no", reason="it does not open")

    def fix(self, request: FixRequest) -> FixResult:
        """Never called."""
        raise NotImplementedError
