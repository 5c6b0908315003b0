"""The plugin through the real plugin manager; what it opens is tested by cicdctl's own suite."""

from __future__ import annotations

import cicdctl_redis
import pytest

from cicdctl.kinds import read_options
from cicdctl.plugin_api import ConfigError
from cicdctl.plugin_manager import PluginManager


def options(**written):
    manager = PluginManager()
    manager.register(cicdctl_redis, "redis", builtin=False)
    manager.check()
    (kind,) = manager.ask("cicdctl_state_stores")
    manager.close()
    return read_options(kind, written, where="orchestrator.persistence.options")


def test_it_is_found_and_has_the_options_of_the_guide():
    found = options(host="redis.example", port=6380, db=2)
    assert (found.host, found.port, found.db, found.start_check) == ("redis.example", 6380, 2, True)


def test_an_unknown_option_is_named():
    with pytest.raises(ConfigError, match='"redis" has no such option, did you mean "host"'):
        options(hsot="x")
