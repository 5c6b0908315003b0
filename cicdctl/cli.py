"""The door: the list of commands, and the one place where errors become exit codes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cicdctl.commands import COMMANDS, HIDDEN, REMOTE
from cicdctl.errors import CicdError, UsageError
from cicdctl.near_words import near_word
from cicdctl.streams import flush_output, prepare_streams, silence

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class LazyCommands(TyperGroup):
    """Imports the module of a command only when that command is asked for, since start-up is felt on every use."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands from their table, so that `--help` imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what typer would end with status 1, or leaves unexplained, is told apart here."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise CicdError(f"cannot write: {error.strerror}") from error
            raise
        except typer.Abort:  # Ctrl-C or Ctrl-D at a question
            sys.exit(130)
        except Exception as error:  # typer does not export the class for an option that does not exist
            option = getattr(error, "option_name", None)
            if any(option in parameter.opts for parameter in self.params):
                raise UsageError(
                    f'"{option}" goes before the command', hint=f"cicdctl {option} {ctx.invoked_subcommand} …"
                ) from error
            raise

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands:
            known = COMMANDS.get(cmd_name) or HIDDEN.get(cmd_name)
            found = import_module(f"cicdctl.commands.{known[0]}").app if known else _find_in_plugins(cmd_name)
            if found is None:
                raise UsageError(
                    f'there is no command "{cmd_name}"{near_word(cmd_name, COMMANDS)}', hint="cicdctl --help lists them"
                )
            self.add_command(typer.main.get_command(found), cmd_name)
            self.commands[cmd_name].name = cmd_name
        return self.commands[cmd_name]


def _find_in_plugins(name: str) -> Any:
    """Return the application of a command that an installed plugin provides, or None."""
    from cicdctl.kinds import CommandKind
    from cicdctl.plugin_manager import PluginManager

    plugins = PluginManager()
    plugins.load_installed()
    for kind in plugins.ask("cicdctl_commands"):
        if isinstance(kind, CommandKind) and kind.name == name:
            return kind.load()
    return None


app = typer.Typer(
    cls=LazyCommands,
    name="cicdctl",
    help="CI/CD that lives in your git repository.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from cicdctl import __version__

        typer.echo(f"cicdctl {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    ctx: typer.Context,
    directory: Annotated[
        Path, typer.Option("-C", metavar="DIR", show_default=False, help="Work as if started in DIR.")
    ] = Path(),
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Use this file instead of the commit's .cicd.toml.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Ask this server, not a repository here; CICDCTL_SERVER does the same."),
    ] = None,
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, show_default=False, help="Say more; -vv shows hook calls.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only results and problems.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours; NO_COLOR does the same.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """CI/CD that lives in your git repository."""
    from cicdctl.project_config import Invocation  # `--version` and `--help` do without the engine

    ctx.obj = Invocation(
        directory=directory,
        config_file=config,
        server=_server_for(ctx.invoked_subcommand or "", server),
        verbosity=-1 if quiet else verbose,
        color=False if no_color or os.environ.get("NO_COLOR") else True if os.environ.get("FORCE_COLOR") else None,
        environ=dict(os.environ),
    )


def _server_for(command: str, named: str | None) -> str | None:
    """Return the server a command is to ask: only those that look at runs, or start and end them, can ask one."""
    if command in REMOTE:
        return named or os.environ.get("CICDCTL_SERVER") or None
    if named is not None:
        hint = f"these can: {', '.join(REMOTE)}"
        raise UsageError(f'"{command}" works on a repository here, not with --server', hint=hint)
    return None


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command; explain what the user can fix, admit what only we can."""
    prepare_streams()
    try:
        _run(argv)
    except BrokenPipeError:
        # The reader of our output (`| head`) is gone; Python would complain again while it flushes at exit.
        silence(sys.stdout, sys.stderr)
        sys.exit(141)


def _run(argv: Sequence[str] | None) -> None:
    try:
        try:
            app(argv, prog_name="cicdctl")
        except SystemExit as ended:
            if isinstance(ended.__context__, BrokenPipeError):
                raise ended.__context__ from None  # typer has made status 1 of it
            flush_output()
            raise
    except CicdError as error:
        from cicdctl.reports import problems

        problems.explain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        raise
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # Python's own wrapping, within the import of a command
            sys.exit(130)
        from cicdctl.reports import problems

        problems.bug(sys.argv if argv is None else list(argv))
        sys.exit(70)
