"""The nouns of the command line, each loaded when it is used: `tuner --help` imports none."""

from __future__ import annotations

import importlib
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command

from tuner.core.names import nearest


class Noun(NamedTuple):
    """A noun's module (with an `app`) and what stands beside it in the help."""

    module: str
    help: str


NOUNS: Final[dict[str, Noun]] = {
    "study": Noun("tuner.cli.study", "Create, run, read and change studies."),
    "trial": Noun("tuner.cli.trial", "Read and drive single trials; ask and tell."),
    "worker": Noun("tuner.cli.worker", "Run trials on this machine for any study."),
    "server": Noun("tuner.cli.server", "Serve studies over HTTP."),
    "db": Noun("tuner.cli.db", "Create, upgrade and check a database."),
    "optimizers": Noun("tuner.cli.optimizers", "What is known about optimizers."),
    "samplers": Noun("tuner.cli.samplers", "What proposes parameters."),
    "pruners": Noun("tuner.cli.pruners", "What stops trials early."),
}


class Verbs(TyperGroup):
    """A group that answers a mistyped command with the nearest one, else with all of them."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; the error for an unknown one names what there is."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            known = self.list_commands(ctx)
            near = nearest(name, known)
            guess = f"Did you mean {near!r}?" if near else f"Known: {', '.join(known)}."
            ctx.fail(f"No such command {name!r}. {guess}")
        return super().resolve_command(ctx, args)


class Nouns(Verbs):
    """The root: knows names and one line of help of each noun without loading it."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The nouns in the order of the help."""
        del ctx
        return list(NOUNS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Load a noun's module; None for an unknown noun."""
        del ctx
        noun = NOUNS.get(cmd_name)
        if noun is None:
            return None
        if cmd_name not in self.commands:
            command = get_command(importlib.import_module(noun.module).app)
            command.name = cmd_name
            self.commands[cmd_name] = command
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of nouns, from the table."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, noun.help) for name, noun in NOUNS.items()])


def group(help: str) -> typer.Typer:
    """The Typer app of one noun."""
    return typer.Typer(
        cls=Verbs,
        help=help,
        no_args_is_help=True,
        rich_markup_mode=None,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
