"""The history of environments: `deployment:RUN` is a document, sorted sets have the order in which deploys ended."""

from __future__ import annotations

from msgspec.structs import replace

from cicdctl.plugin_api import Deployment, Run, deployment_rules, documents
from cicdctl_redis.ledger import Ledger, Transaction

clean = documents.clean


def write(change: Transaction, run: Run, is_due: bool) -> None:
    """Record the deploy of a run in the transaction of its end; one that ends again is recorded anew."""
    assert run.deploy is not None
    key, environment = change.ledger.key, clean(run.deploy.environment)
    green = ("deployments", "green", environment)
    newest = [number for number in change.ask("ZREVRANGE", green, 0, 1) if int(number) != run.number]
    deployment = deployment_rules.deployment_of(run, environment, replaced=int(newest[0]) if newest else None)
    place = change.count("deployment")
    change.put(("deployment", run.number), documents.encode(deployment))
    for name in (("deployments", "all"), ("deployments", "of", environment)):
        change.write("ZADD", key(*name), place, run.number)
    change.write("SADD", key("environments"), environment)
    for name, belongs in ((green, deployment.is_green), (("deployments", "due"), is_due)):
        if belongs:
            change.write("ZADD", key(*name), place, run.number)
        else:
            change.write("ZREM", key(*name), run.number)


def take_due(change: Transaction, run: int) -> bool:
    """Note that the rollback of a failed deploy is seen to; False when somebody else has."""
    if change.ask("ZSCORE", ("deployments", "due"), run) is None:
        return False
    change.write("ZREM", change.ledger.key("deployments", "due"), run)
    return True


def link_rollback(change: Transaction, run: Run) -> None:
    """Note with a deployment that a rollback of it is queued."""
    if not deployment_rules.is_rollback(run):
        return
    document = change.text("deployment", run.parent)
    if document is not None:
        undone = replace(_read(document), rolled_back_by=run.number)
        change.put(("deployment", run.parent), documents.encode(undone))
        change.write("ZREM", change.ledger.key("deployments", "due"), run.parent)


class RedisDeployments:
    """Keeps the contract of `DeploymentStore`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def of(self, environment: str, *, limit: int = 1000) -> list[Deployment]:
        """See `DeploymentStore.of`."""
        return self._newest(("deployments", "of", clean(environment)), limit)

    def current(self) -> dict[str, Deployment]:
        """See `DeploymentStore.current`."""
        found: dict[str, Deployment] = {}
        for name in sorted(self._environments(), key=str.encode):
            for deployment in self.of(name, limit=1):
                found[deployment.environment] = deployment
        return found

    def of_run(self, run: int) -> Deployment | None:
        """See `DeploymentStore.of_run`."""
        document = self._ledger.ask(("GET", self._ledger.key("deployment", run)))[0]
        return None if document is None else _read(document)

    def due(self) -> list[int]:
        """See `DeploymentStore.due`."""
        return [int(run) for run in self._ledger.ask(("ZRANGE", self._ledger.key("deployments", "due"), "0", "-1"))[0]]

    def settle(self, run: int) -> None:
        """See `DeploymentStore.settle`."""
        self._ledger.change(lambda change: take_due(change, run))

    def runs(self) -> frozenset[int]:
        """See `DeploymentStore.runs`."""
        found = self._ledger.ask(("ZRANGE", self._ledger.key("deployments", "all"), "0", "-1"))[0]
        return frozenset(int(run) for run in found)

    def keeps(self, commit: str) -> bool:
        """See `DeploymentStore.keeps`."""
        wanted = clean(commit)
        for name in self._environments():
            newer: set[str] = set()
            for deployment in self._newest(("deployments", "green", name), 1000):
                if deployment.commit == wanted:
                    return True
                newer.add(deployment.commit)
                if len(newer) == deployment_rules.COMMITS_KEPT:
                    break
        return False

    def _environments(self) -> list[str]:
        return list(self._ledger.ask(("SMEMBERS", self._ledger.key("environments")))[0])

    def _newest(self, name: tuple[str, ...], limit: int) -> list[Deployment]:
        if limit < 1:
            return []
        runs = self._ledger.ask(("ZREVRANGE", self._ledger.key(*name), "0", str(limit - 1)))[0]
        if not runs:
            return []
        found = self._ledger.ask(("MGET", *(self._ledger.key("deployment", run) for run in runs)))[0]
        return [_read(document) for document in found if document is not None]


def _read(document: str) -> Deployment:
    return documents.decode(document, Deployment, what="a deployment")
