import subprocess
import sys

import pytest

from tuner.cli import errors
from tuner.cli.options import hoist
from tuner.errors import FieldError, Invalid, TunerError


def test_help_and_version_are_data(tuner):
    ran = tuner("--help")
    assert ran.code == 0
    assert "study" in ran.out
    assert "130 interrupted" in ran.out
    assert tuner("--version").out.startswith("tuner ")
    assert tuner("study", "create", "-h").code == 0


def test_help_loads_no_heavy_library(imported):
    loaded = imported("--help")
    assert loaded.isdisjoint({"httpx2", "rich", "pydantic", "ruamel.yaml", "tuner.client.client"})


def test_reading_commands_load_nothing_of_the_server_or_torch(imported):
    loaded = imported("study", "show", "x", "--database-url", "sqlite:///missing/none.db")
    assert loaded.isdisjoint({"torch", "sqlalchemy", "fastapi", "optuna", "numpy"})


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["studdy"], "Did you mean 'study'?"),
        (["study", "lst"], "Did you mean 'list'?"),
        (["study", "qqqq"], "Known: create, run"),
        (["study", "show"], "Missing argument 'STUDY'"),
        (["study", "show", "x", "--jsn"], "Did you mean '--json'?"),
        (["study", "trials", "x", "--limit", "many"], "--limit"),
        (["study", "trials", "x", "--limit", "0"], "--limit"),
        (["trial", "show", "x", "one"], "NUMBER"),
        (["--url"], "--url"),
    ],
)
def test_usage_mistakes_are_two_lines_and_exit_2(tuner, args, words):
    ran = tuner(*args)
    assert ran.code == 2
    assert words in ran.err
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 2
    assert ran.err.splitlines()[1].startswith("Try 'tuner")


def test_without_a_command_the_help_is_shown_and_exit_2(tuner):
    for args in ([], ["study"], ["samplers"]):
        ran = tuner(*args)
        assert ran.code == 2
        assert "Usage: tuner" in ran.err
        assert ran.out == ""


def test_global_options_may_stand_anywhere():
    args = ["study", "show", "x", "--url", "http://h", "--json", "--debug", "--token=t"]
    front = ["--url", "http://h", "--debug", "--token=t"]
    assert hoist(args) == [*front, "study", "show", "x", "--json"]
    assert hoist(["a", "--", "--url", "b"]) == ["a", "--", "--url", "b"]
    assert hoist(["a", "--url"]) == ["--url", "a"]


def test_an_unreachable_server_is_exit_6_in_two_lines(tuner):
    ran = tuner("study", "list", "--url", "http://127.0.0.1:9")
    assert ran.code == 6
    assert 1 <= len(ran.err.splitlines()) <= 2
    assert "127.0.0.1:9" in ran.err
    assert "Traceback" not in ran.err


def test_a_bad_address_is_invalid_input(tuner):
    ran = tuner("study", "list", "--url", "ftp://h")
    assert ran.code == 2
    assert "url" in ran.err


def test_an_unexpected_error_is_one_line_that_names_debug(capsys):
    assert errors.answer(ZeroDivisionError("by\nzero")) == 1
    err = capsys.readouterr().err
    assert err == "Error: ZeroDivisionError: by zero (--debug shows the traceback)\n"


def test_debug_shows_the_traceback(capsys):
    assert errors.answer(TunerError("it broke"), debug=True) == 1
    err = capsys.readouterr().err
    assert "TunerError: it broke" in err
    assert err.endswith("Error: it broke\n")


def test_an_interrupt_is_exit_130(capsys):
    assert errors.answer(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_several_mistakes_are_listed_on_two_lines():
    fields = [FieldError(f"space.p{i}", i, "a number", None) for i in range(5)]
    lines = errors.lines(Invalid("p0 is wrong. p1 is wrong.", errors=fields))
    assert len(lines) == 2
    assert lines[0].startswith("Error: space.p0: found 0")
    assert lines[1].endswith("(and 3 more)")


def test_one_mistake_is_its_sentence_and_the_hint():
    error = Invalid.at(
        "sampler.name", "found 'gpp'. Did you mean 'gp'?", found="gpp", hint="Look."
    )
    assert errors.lines(error) == [
        "Error: sampler.name: found 'gpp'. Did you mean 'gp'?",
        "Look.",
    ]


def test_a_closed_pipe_is_no_error(folder):
    command = [sys.executable, "-m", "tuner", "optimizers", "list", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (0, b"")
