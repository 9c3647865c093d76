from pathlib import Path

from typer.main import get_command

from tuner.cli import reference
from tuner.cli.main import app

ROOT = Path(__file__).parents[3]
CONTRACT = {
    "study": "create run list show best trials watch report advise compare export import edit confirm"
    " pause resume stop delete enqueue schema",
    "trial": "show ask tell stop retry log",
    "worker": "start list drain",
    "server": "start",
    "db": "upgrade current check",
    "optimizers": "list show recommend",
    "samplers": "list",
    "pruners": "list",
}


def test_the_page_is_what_help_prints():
    page = (ROOT / "docs" / "cli.md").read_text()
    assert page == reference.page(), "run: python -m tuner.cli.reference > docs/cli.md"


def test_every_command_of_the_contract_exists_and_no_other():
    root = get_command(app)
    context = root.make_context("tuner", [], resilient_parsing=True)
    found = {}
    for noun in root.list_commands(context):
        verbs = root.get_command(context, noun)
        found[noun] = " ".join(verbs.list_commands(context))
    assert found == CONTRACT


def test_every_option_and_command_has_help():
    root = get_command(app)
    context = root.make_context("tuner", [], resilient_parsing=True)
    for noun in root.list_commands(context):
        verbs = root.get_command(context, noun)
        for command in verbs.commands.values():
            assert command.help, command.name
            options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
            assert all(option.help for option in options), command.name
            # one line in the list of commands, not cut
            assert not command.get_short_help_str(60).endswith("..."), command.name
