"""`/caches`: how much is kept, how often it helps, what is largest, and making room."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from cicdctl.errors import StoreError
from cicdctl.model import RunFilter, RunState, RunSummary, Value
from cicdctl.runner.housekeeping import clear_cache, collect_garbage
from cicdctl.server.pages.forms import Fields, back_to, form
from cicdctl.server.pages.render import render
from cicdctl.server.pages.words import plain
from cicdctl.server.route import ADMIN, Route
from cicdctl.server.site import Site
from cicdctl.store.cache import CacheStats, ResultCache
from cicdctl.store.result_index import BadRow

_FRESH_S = 30.0
HIT_RUNS = 100
TOP = 20
# Rows are read and checked one by one: of more than this the newest are looked at.
_MOST_ROWS = 5_000


class Entry(Value, frozen=True, kw_only=True):
    """A result that is kept: what it stands for, and what goes with it."""

    stage: str
    key: str
    bytes: int
    artifacts: int
    stored_at: float
    used_at: float
    trust: str


class Kept(Value, frozen=True, kw_only=True):
    """What the cache folder holds. `top` are the largest results, `folders` (name, bytes, used at) of dependencies."""

    folder: str
    stats: CacheStats
    top: tuple[Entry, ...] = ()
    folders: tuple[tuple[str, int, float], ...] = ()


class Hits(Value, frozen=True, kw_only=True):
    """How many stages of the last runs were taken from the cache, and what that saved."""

    runs: int = 0
    stages: int = 0
    hits: int = 0
    saved_s: float = 0.0

    @property
    def percent(self) -> float:
        """The share of stages that were hits, 0 to 100."""
        return 100.0 * self.hits / self.stages if self.stages else 0.0


def show_caches(request: Request) -> Response:
    """What is kept between runs."""
    site: Site = request.state.site
    return render(
        request,
        "caches.html",
        title="Caches",
        kept=site.remember("caches", _FRESH_S, lambda: _measure(site)),
        hits=site.remember("hits", _FRESH_S, lambda: _hits(site)),
        settings=site.project.settings.orchestrator.cache,
    )


def _measure(site: Site) -> Kept:
    with site.open() as project:
        cache = project.cache
        stats = cache.stats()
        if not isinstance(cache, ResultCache):  # a plugin keeps the results elsewhere
            return Kept(folder=str(project.cache_folder), stats=stats)
        from cicdctl.store.dependency_cache import DependencyCaches

        found = DependencyCaches(cache.folder).list_all()
        folders = sorted(((one.name, one.size_bytes, one.used_at) for one in found), key=lambda one: -one[1])
        return Kept(folder=str(project.cache_folder), stats=stats, top=_top(cache), folders=tuple(folders[:TOP]))


def _top(cache: ResultCache) -> tuple[Entry, ...]:
    rows = sorted(cache.index.rows(), key=lambda row: -row[3])[:_MOST_ROWS]
    entries = []
    for name, value, stored_at, used_at in rows:
        if value is None:
            continue
        try:
            entry, _ = cache.decode(name, value)
        except (BadRow, StoreError):
            continue  # whoever uses it deals with it
        result = entry.result
        entries.append(
            Entry(
                stage=plain(result.stage, 80),
                key=name[2:].decode("utf-8", "replace"),
                bytes=len(value) + result.artifact_bytes + entry.log_size,
                artifacts=result.artifact_count,
                stored_at=stored_at,
                used_at=used_at,
                trust=entry.trust,
            )
        )
    return tuple(sorted(entries, key=lambda one: -one.bytes)[:TOP])


def _hits(site: Site) -> Hits:
    state = site.project.state
    runs = state.runs(RunFilter(active=False, limit=HIT_RUNS))
    loaded = [state.load(run.number) for run in runs if run.state is RunState.DONE]
    return hits_of([summary for summary in loaded if summary is not None])


def hits_of(summaries: Sequence[RunSummary]) -> Hits:
    """Add up what the cache did in these runs; a hit saves what the stage took when it was executed."""
    results = [result for summary in summaries for result in summary.stages if result.verdict.is_green]
    hits = [result for result in results if result.cached]
    return Hits(
        runs=len(summaries), stages=len(results), hits=len(hits), saved_s=sum(result.seconds for result in hits)
    )


def _collect(request: Request, fields: Fields) -> Response:
    """Remove what is expired or over the limit."""
    site: Site = request.state.site
    with site.open() as project:
        collect_garbage(project, dry_run=False)
    site.forget()
    return back_to(fields, "/caches")


def _clear(request: Request, fields: Fields) -> Response:
    """Forget every result and artifact."""
    site: Site = request.state.site
    with site.open() as project:
        clear_cache(project)
    site.forget()
    return back_to(fields, "/caches")


ROUTES = (
    Route("GET", "/caches", show_caches, is_page=True),
    Route("POST", "/caches/collect", form(_collect), scope=ADMIN, is_page=True),
    Route("POST", "/caches/clear", form(_clear), scope=ADMIN, is_page=True),
)
