"""The state database: checked, copied, put back after it was damaged."""

from __future__ import annotations

import json


def test_damaged_state_is_put_back_from_its_backup(make_project):
    """A hole in the database is found, told with what to do, and `state restore` brings the runs back."""
    project = make_project(unit="true")
    project.cicdctl("run", "build").passes()
    project.cicdctl("state", "backup").passes()
    checked = json.loads(project.cicdctl("state", "check", "--json").passes().stdout)
    assert checked["ok"] is True and len(checked["backups"]) >= 1
    path = project.path / ".git/cicdctl/state.db"
    path.with_name("state.db-wal").unlink(missing_ok=True)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(bytes(data))
    broken = project.cicdctl("history").fails(3)
    assert "is damaged" in broken.stderr and "cicdctl state restore" in broken.stderr
    assert project.cicdctl("state", "check").status in (1, 3)
    assert "cicdctl state restore" not in project.cicdctl("state", "restore").fails(2).stdout
    restored = project.cicdctl("state", "restore", "--yes").passes()
    assert "restored; the files that were there are in" in restored.stdout
    assert [run["number"] for run in json.loads(project.cicdctl("history", "--json").passes().stdout)["runs"]] == [1]
    assert json.loads(project.cicdctl("run", "build", "--json").passes().stdout)["run"]["number"] == 2
