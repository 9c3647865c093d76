"""Entry of the command line: global options, dispatch, exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.main import get_command

from tuner import __version__
from tuner.cli import errors
from tuner.cli.nouns import Nouns
from tuner.cli.options import Globals, hoist
from tuner.errors import TunerError
from tuner.settings import load

app = typer.Typer(
    cls=Nouns,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Global options may stand anywhere on the line. Exit codes: 0 done, 1 failed, 2 usage"
    " or invalid input, 3 not found, 4 not allowed, 5 conflict, 6 server or database"
    " unreachable, 130 interrupted.",
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"tuner {__version__}")
        raise typer.Exit


@app.callback()
def root(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The server; else TUNER_URL, else the embedded store."),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            help="Access token. Others on this machine can read it here: prefer TUNER_TOKEN.",
        ),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The embedded store, e.g. sqlite:///tuner.db; else TUNER_DATABASE_URL, else"
            " tuner.db in the current folder.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Config file; else ./tuner.toml, else the user's."),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print data and errors only.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Hyperparameter tuning for deep-learning training, specialised in optimizers."""
    del version
    ctx.obj = Globals(url, token, database_url, config, quiet, debug)


def _wants_debug() -> bool:
    """Whether environment or config file ask for tracebacks."""
    try:
        return load().debug
    except TunerError:
        return False


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: The words after the program's name; those of this process if None.

    Returns:
        The exit code.
    """
    args = hoist(list(sys.argv[1:] if argv is None else argv))
    debug = "--debug" in args
    try:
        code = get_command(app).main(args, prog_name="tuner", standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as end:
        if errors.is_closed_pipe(end):
            errors.silence()
            return 0
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException as error:  # noqa: BLE001 - the one place where every error ends
        return errors.answer(error, debug=debug or _wants_debug())
    return code if isinstance(code, int) else 0
