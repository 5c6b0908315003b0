"""`tools = "sandboxed-shell"`: what a model's commands can see, what becomes of what they do, and where there are none."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

import pytest
from messages_api import tool

from cicdctl.fixers.claude.reading import ToolError
from cicdctl.fixers.claude.tools_shell import HEAD_BYTES, MOST_COMMANDS, TAIL_BYTES, Shell
from cicdctl.fixing.capture import distil
from cicdctl.git.folders import Trash
from cicdctl.project import open_project
from cicdctl.project_config import Invocation

KEY = "sk-ant-test-0123456789abcdef"
CONFIG = """
[fixers.claude]
on_unknown = true
[pipelines.build.stages]
unit = 'test "$(cat src/value.txt)" = 42 || { echo "src/value.txt:1: error: it is not 42"; exit 1; }'
"""
FILES = {
    "src/value.txt": "41\n",
    "src/other.txt": "other\n",
    "tests/test_it.py": "assert True\n",
    "src/deep/x.txt": "x\n",
}
SHELL = "[fixers.claude]\ntools = 'sandboxed-shell'\n"
SUBMIT = {"root_cause": "a wrong number", "explanation": "say 42", "confidence": "high"}


@pytest.fixture
def failing(make_project, messages_api):
    """A failure, a scripted model, and an operator who gives it a shell."""

    def make(files=FILES, config=CONFIG, operator=SHELL, **env: str):
        project = make_project(config=config, files=files)
        project.env |= {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": messages_api.url, **env}
        folder = project.path / ".git/cicdctl"
        folder.mkdir(mode=0o700)
        (folder / "config.toml").write_text(operator)
        project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
        return project

    return make


def ask(project, api, *commands: str, status: int = 1) -> list[str]:
    """Let the model run commands, one a turn, and give up; return the answers."""
    for command in commands:
        api.says(tool("shell", command=command))
    api.says(tool("give_up", reason="enough", category="unknown"))
    before = len(api.asked)
    project.cicdctl("fix", "1", "--fixer", "claude", "--again").fails(status)
    return [request.result() for request in api.asked[before + 1 :]]


def is_clean(project) -> None:
    """Nothing of a command is left on the disk, and none of its files in the repository."""
    (cache,) = (Path(project.env["XDG_CACHE_HOME"]) / "cicdctl").iterdir()
    assert os.listdir(cache / "scratch") == []
    assert project.git("status", "--porcelain") == ""


def test_change_of_a_command_is_an_edit(failing, messages_api):
    """Taken over, checked, verified and offered; the proof says that there was a shell, people see the commands."""
    project = failing()
    messages_api.says(tool("shell", command="grep -rn 41 src; sed -i s/41/42/ src/value.txt"))
    messages_api.says(tool("submit", **SUBMIT))  # too early: no check has passed since
    messages_api.says(tool("run_check"))
    messages_api.says(tool("submit", **SUBMIT))

    done = project.cicdctl("fix", "1", "--fixer", "claude").passes()

    first, *_ = messages_api.asked
    assert [one["name"] for one in first.body["tools"]][-1] == "shell"
    assert "# A shell" in first.body["system"][0]["text"]
    answer = messages_api.asked[1].result()
    assert answer.startswith("exit status 0 after ")
    assert "taken over as your edits:\n" in answer
    assert "src/value.txt" in answer
    assert "src/value.txt:1:41" in answer
    assert "no check has passed" in messages_api.asked[2].result()
    assert "    shell: grep -rn 41 src; sed -i" in done.stderr
    assert project.git("diff", "--name-only", "HEAD", "cicdctl/fix/1-unit") == "src/value.txt"
    proof = project.cicdctl("fix", "verify-proof", "cicdctl/fix/1-unit", "--json").passes().stdout
    assert "FAILS" not in proof
    assert '"tool": "shell"' in project.cicdctl("fix", "log", "1", "--transcript").passes().stdout
    is_clean(project)


def test_what_a_command_can_see(failing, messages_api, tmp_path):
    """Its copy and the system's programs: no key, no network, no git, no file of secrets, nothing of the user's."""
    secret = "qX7vN2mK9pL4sT8w"
    files = {**FILES, ".env": f"PASSWORD={secret}\n", "src/id_rsa": f"{secret}\n", "src/tell.txt": f"it is {secret}\n"}
    project = failing(files, MY_TOKEN=secret, CICDCTL_NOTE="seen")
    (tmp_path / "outside").write_text("outside\n")
    answers = ask(
        project,
        messages_api,
        "env; cat /proc/1/environ /proc/*/environ | tr '\\0' '\\n'; id -u",
        "ls -aR .; cat .env src/id_rsa; git log; ls -a .git",
        "cat src/tell.txt; printf 'it is qX7vN2mK\\033[31m9pL4sT8w\\n'",
        f"ls {project.path}; cat {project.path}/.git/config; cat {tmp_path}/outside; ls -a ~; ls {tmp_path}",
        "cat /proc/net/dev; (echo hi > /dev/tcp/127.0.0.1/1) 2>&1; pwd; ls -d $PWD",
        f"echo evil > {tmp_path}/outside; echo evil > /etc/evil; echo evil > /usr/evil; echo evil > {project.path}/evil",
    )
    assert "ANTHROPIC" not in answers[0]
    assert "MY_TOKEN" not in answers[0]
    assert "CICDCTL_NOTE" not in answers[0]
    assert "value.txt" in answers[1]
    for name in ("id_rsa\n", ".env\n", ".git\n", "first"):
        assert f"\n{name}" not in answers[1].partition("cat:")[0], answers[1]
    assert "[REDACTED:" in answers[2]
    assert "url" not in answers[3]
    assert "outside\n" not in answers[3].replace("outside:", "")
    assert "eth" not in answers[4]
    assert "lo:" in answers[4]
    assert str(tmp_path) not in answers[4]
    assert (tmp_path / "outside").read_text() == "outside\n"
    assert not any(Path(path).exists() for path in ("/etc/evil", "/usr/evil", project.path / "evil"))
    for request in messages_api.requests:
        assert secret.encode() not in request.raw
        assert KEY.encode() not in request.raw
    is_clean(project)


def test_where_there_is_no_bubblewrap(failing, messages_api, tmp_path):
    """Asked for by name it is status 3 with the reason; else a note, and nothing is ever sent."""
    project = failing()
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "sed", "grep", "git", "true", "cat", "test"):
        (folder / name).symlink_to(shutil.which(name))
    env = {"PATH": str(folder)}
    reason = 'tools = "sandboxed-shell" needs bubblewrap, and bwrap is not installed'
    named = project.cicdctl("fix", "1", "--fixer", "claude", env=env).fails(3)
    assert f"error: fixer claude: {reason}\n" in named.stderr
    assert "hint: cicdctl fix doctor" in named.stderr
    assert reason in project.cicdctl("fix", "doctor", env=env).passes().stdout
    unnamed = project.cicdctl("run", "build", "HEAD", env=env).fails(1)
    assert reason in unnamed.stdout + unnamed.stderr
    assert messages_api.requests == []


@pytest.mark.parametrize("value", ["shell", "none"])
def test_a_word_that_is_none_is_a_mistake_in_the_file(failing, messages_api, value):
    """Before anything runs."""
    with pytest.raises(AssertionError, match=r"exit status 2[\s\S]*fixers\.claude\.tools"):
        failing(operator=f"[fixers.claude]\ntools = '{value}'\n")
    assert messages_api.requests == []


@pytest.fixture
def shell(bench, clean_env):
    """The shell by itself, on the worktree of the bench, which is a repository too."""
    project = open_project(Invocation(directory=bench.worktree, environ=clean_env))
    bench.request["distil"] = lambda output: distil(output, bench.redactor, limit=8_000)
    yield Shell(project)
    scratch = project.cache_folder / "scratch"
    assert not scratch.exists() or os.listdir(scratch) == []
    Trash(project.cache_folder / "trash").empty()  # where what resists waits for the next run
    project.close()


@pytest.fixture
def answers(shell, bench):
    """Let the model run commands, one a turn, and give up; return what each is answered."""

    def ask(*commands: str) -> list[str]:
        bench.open_shell = lambda: shell
        bench.options = {"tools": "sandboxed-shell"}
        for command in commands:
            bench.api.says(tool("shell", command=command))
        bench.api.says(tool("give_up", reason="enough", category="unknown"))
        bench.fix()
        return [request.result() for request in bench.api.asked[1:]]

    return ask


def test_without_the_setting_there_is_none(bench):
    """A call of it is one of an unknown tool."""
    bench.api.says(tool("shell", command="touch ran"))
    bench.api.says(tool("give_up", reason="enough", category="unknown"))
    bench.fix()
    assert bench.api.asked[1].result().startswith("there is no such tool")
    assert "# A shell" not in bench.api.asked[0].body["system"][0]["text"]


def test_only_text_of_files_that_are_there_is_taken_over(answers, bench):
    """Protected, new, deleted, linked, binary, broken: none of it reaches the checkout, and the model is told."""
    for path, content in FILES.items():
        bench.write(path, content)
    bench.write(".cicd.toml", "")
    bench.write("src/app.py", "x = 1\n")
    bench.write("src/data.bin", b"\0\1")
    told = answers(
        "echo 'assert 1' > tests/test_it.py; sed -i s/41/42/ src/value.txt; echo '# x' >> .cicd.toml",
        "rm src/other.txt; echo new > src/new.txt; chmod +x src/value.txt",
        "rm -r src/deep; ln -s /etc src/deep; ln -sf /etc/passwd src/other.txt",
        "printf 'x = (' > src/app.py; printf '\\200' > src/other.txt; printf '\\1\\2' > src/data.bin",
        "ls src; cat src/value.txt src/app.py tests/test_it.py",
    )
    assert "taken over as your edits:" in told[0]
    assert "tests/test_it.py: test-files: files like this are protected" in told[0]
    assert ".cicd.toml: " in told[0].partition("not taken over:")[2]
    assert "taken over as your edits" not in "".join(told[1:])
    assert "src/other.txt: files are neither deleted nor replaced here" in told[1]
    assert "src/new.txt" not in told[1]
    assert "src/deep/x.txt: files are neither" in told[2]
    assert "src/app.py: not written, it would break the syntax" in told[3]
    assert "src/other.txt: it is not UTF-8 text" in told[3]
    assert "src/data.bin" in told[3].partition("not taken over:")[2]
    assert "deep" in told[4]
    assert "new.txt" not in told[4]
    assert "42\nx = 1\nassert True" in told[4]


def test_five_tries_at_protected_files_end_the_attempt(answers, bench):
    """As with edits."""
    assert len(answers(*(f"echo {number} > test_stats.py" for number in range(5)))) == 4
    assert bench.api.remaining == 1, "it was not asked again"


def test_long_output_is_distilled(answers):
    """What explains a failure is kept wherever it stands, as of a check; the rest is said to be left out."""
    noise = "seq -f 'compiling part number %g of it' 1500"
    (told,) = answers(f"{noise}; echo 'src/app.py:3:1: F401 unused'; {noise}; echo the end; exit 3")
    assert told.startswith("exit status 3 after")
    assert "src/app.py:3:1 flake8 lint [F401]" in told
    assert "the end" in told
    assert len(told) < 8_500


def is_running(*argv: str) -> bool:
    """Whether some process of the machine was started with just these words."""
    wanted = "".join(f"{word}\0" for word in argv).encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes() == wanted:
                return True
    return False


def test_it_ends_in_time_and_when_cancelled(shell, bench):
    """With everything it has started, and what it wrote before is told."""
    seconds = f"9{os.getpid()}"
    ran = shell.run(bench.make_request(deadline=time.monotonic() + 1), f"sleep {seconds} & sleep {seconds}")
    assert "it took too long" in ran.words
    ran = shell.run(bench.make_request(cancelled=lambda: is_running("sleep", seconds)), f"echo before; sleep {seconds}")
    assert (ran.words, ran.output) == ("ended: cancelled", b"before\n")
    assert not is_running("sleep", seconds)


def test_what_it_leaves_running_is_ended(shell, bench):
    """No process outlives its command."""
    seconds = f"8{os.getpid()}"
    ran = shell.run(bench.make_request(), f"sleep {seconds} & (setsid sleep {seconds} &) ; echo done")
    assert ran.output == b"done\n"
    assert ran.words.startswith("exit status 0 after")
    assert not is_running("sleep", seconds)


def test_memory_for_its_output_is_bounded(shell, bench):
    """The beginning and the end are kept, and how much is not."""
    ran = shell.run(bench.make_request(), "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last")
    assert len(ran.output) < HEAD_BYTES + TAIL_BYTES + 100
    assert ran.output.startswith(b"first\n")
    assert ran.output.endswith(b"last\n")
    assert f"{3_000_012 - HEAD_BYTES - TAIL_BYTES} bytes left out".encode() in ran.output


def test_forged_times_hide_no_change(shell, bench):
    """Nor does the same size."""
    before = bench.read()
    content = before.replace("sum", "max")
    bench.write("copy.txt", content)
    command = "touch -r stats.py when; cat copy.txt > stats.py; touch -r when stats.py"
    assert shell.run(bench.make_request(), command).changed == {"stats.py": content.encode()}
    assert bench.read() == before, "nothing is taken over here"


@pytest.mark.parametrize(
    "command",
    [
        "d=$(printf 'd/%.0s' $(seq 1500)); mkdir -p $d; cd $d; mkdir -p $d; touch $d/x",
        "mkdir -p a/b; touch a/b/c; chmod 0 a/b a; chmod 0 stats.py",
        "mkfifo pipe; rm README.md; mkfifo README.md; ln -s loop loop",
        "rm -rf ./* ./.[a-z]*; ln -s / everything",
        "cd ..; rm -rf checkout; mv home elsewhere; ls",
    ],
)
def test_whatever_it_makes_of_its_copy_is_gone(shell, bench, command):
    """Neither hangs nor leaves anything, and the checkout is as it was."""
    files = {path: path.read_bytes() for path in bench.worktree.rglob("*") if path.is_file()}
    shell.run(bench.make_request(), command)
    assert {path: path.read_bytes() for path in bench.worktree.rglob("*") if path.is_file()} == files


def test_links_of_the_repository_lead_nowhere(shell, bench, tmp_path):
    """One that points out of it shows nothing of the host, and what is written through it is not taken over."""
    (tmp_path / "outside.txt").write_text("host\n")
    (bench.worktree / "link.txt").symlink_to(tmp_path / "outside.txt")
    (bench.worktree / "folder").symlink_to(tmp_path)
    ran = shell.run(
        bench.make_request(), "cat link.txt; ls folder; echo evil > link.txt; echo evil > folder/outside.txt"
    )
    assert b"host" not in ran.output
    assert ran.changed == {}
    assert (tmp_path / "outside.txt").read_text() == "host\n"


def test_keys_of_the_system_are_hidden(shell, bench):
    """Root could read them; the names of users are no secret."""
    command = "(cat /etc/shadow /etc/gshadow; ls -A /etc/ssh /etc/sudoers.d | grep -v :) 2> errors; head -1 /etc/passwd"
    lines = [line for line in shell.run(bench.make_request(), command).output.splitlines() if line]
    assert lines == Path("/etc/passwd").read_bytes().splitlines()[:1]


def test_commands_are_counted(shell, bench):
    """And a command that is none costs nothing."""
    for command in ("", "  \n", "a\0b", "x" * 5_000):
        with pytest.raises(ToolError, match="a command has 1 to"):
            shell.run(bench.make_request(), command)
    shell._used = MOST_COMMANDS - 1
    assert shell.run(bench.make_request(), "echo last").output == b"last\n"
    with pytest.raises(ToolError, match="all 40 commands are used"):
        shell.run(bench.make_request(), "true")
