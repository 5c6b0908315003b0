"""Secrets that reach a text other than the log: reasons, reports, outputs, summaries."""

from __future__ import annotations

import json
from pathlib import Path

SECRET = "hunter2-correct-horse"


def everywhere(project, *finished) -> str:
    """Return all that a user or a thief could read: the shown documents, the state folder, the cache."""
    texts = [one.stdout + one.stderr for one in finished]
    texts.append(project.cicdctl("show", "--json").passes().stdout)
    for folder in (project.path / ".git" / "cicdctl", Path(project.env["XDG_CACHE_HOME"])):
        for path in folder.rglob("*"):
            if path.is_file() and path.name != "secrets.toml":
                texts.append(path.read_bytes().decode("latin-1"))
    return "\n".join(texts)


def with_secret(make_project, body: str, files=None):
    project = make_project(f'[pipelines.build.stages.one]\nsecrets = ["TOKEN"]\n{body}', files=files)
    project.cicdctl("secrets", "set", "TOKEN", stdin=SECRET + "\n").passes()
    return project


def test_junit_failures_and_names_are_masked(make_project):
    """A test that asserts on a secret prints it into its report; neither the record nor the export shows it."""
    report = '<testsuite><testcase name="t[$TOKEN]"><failure message="%s$TOKEN"/></testcase></testsuite>' % ("x" * 490)
    body = f"run = '''echo '{report}' | sed \"s/.TOKEN/$TOKEN/g\" > r.xml; false'''\nreports.junit = [\"r.xml\"]\n"
    project = with_secret(make_project, body)
    ran = project.cicdctl("run", "build", "--junit", "out.xml").fails(1)
    assert json.loads(project.cicdctl("show", "--json").passes().stdout)["stages"][0]["tests"]["failed"] == 1
    text = everywhere(project, ran) + (project.path / "out.xml").read_text()
    assert SECRET not in text and SECRET[:8] not in text


def test_output_that_holds_a_secret_fails_the_stage(make_project):
    """Outputs are recorded, shown and part of keys; a secret has no place in them."""
    project = with_secret(make_project, 'run = "echo URL=https://u:$TOKEN@host >> $CICD_OUTPUT"\n')
    ran = project.cicdctl("run", "build").fails(1)
    assert 'the value of "URL" holds a secret' in ran.stdout
    assert SECRET not in everywhere(project, ran)


def test_summary_is_masked_before_it_is_cut(make_project):
    """The cut at 64 KiB goes through the middle of the secret: no part of it is left."""
    body = "run = '''head -c 65530 /dev/zero | tr '\\0' x > $CICD_SUMMARY; echo $TOKEN >> $CICD_SUMMARY'''\n"
    project = with_secret(make_project, body)
    ran = project.cicdctl("run", "build").passes()
    text = everywhere(project, ran)
    assert "xxxxxxxx" in text and SECRET not in text and SECRET[:5] not in text


def test_last_words_of_a_service_are_masked(make_project):
    """A service that never gets ready is quoted in the reason; its own log is masked to the last byte."""
    body = """run = "true"
[pipelines.build.stages.one.services.db]
run = "printf 'password %s' $TOKEN; sleep 60"
ready = "false"
ready_timeout = "1s"
"""
    project = with_secret(make_project, body)
    ran = project.cicdctl("run", "build").fails(3)
    text = everywhere(project, ran)
    assert "password ***" in text and SECRET not in text


def test_log_of_a_service_is_whole_and_masked(make_project):
    """What a service printed last, without an end of line and like the beginning of the secret, is in its log."""
    body = f"""run = "sleep 0.3"
[pipelines.build.stages.one.services.db]
run = "printf 'password %s, %s' $TOKEN {SECRET[:4]}; sleep 60"
"""
    project = with_secret(make_project, body)
    project.cicdctl("run", "build").passes()
    log = (project.path / ".git/cicdctl/logs/1/one.1.db.log").read_text()
    assert log == f"password ***, {SECRET[:4]}"


def test_output_file_that_became_a_link_is_not_read(make_project, tmp_path):
    """A stage may replace the two files; neither a link out of its folder nor a pipe is followed."""
    (tmp_path / "foreign").write_text("STOLEN=1\n")
    project = make_project(one=f'ln -sf {tmp_path}/foreign "$CICD_OUTPUT"; rm "$CICD_SUMMARY"; mkfifo "$CICD_SUMMARY"')
    ran = project.cicdctl("run", "build").fails(1)
    assert "STOLEN" not in everywhere(project, ran)


def test_warnings_about_what_a_stage_left_are_masked(make_project, tmp_path):
    """The name of a pipe among the artifacts holds a secret: the warning about it does not."""
    project = with_secret(make_project, 'run = \'mkdir out; mkfifo "out/$TOKEN"\'\nartifacts = ["out/**", "out"]\n')
    ran = project.cicdctl("run", "build", "--events", str(tmp_path / "events"))
    assert "artifact 'out/***' is neither file, link nor folder" in ran.stderr
    assert SECRET not in everywhere(project, ran) + (tmp_path / "events").read_text()
