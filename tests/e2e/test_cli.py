"""Command lines over a real store, which a process of its own serves."""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tuner.cli.main import main

STUDY = """
name: quad
objective: [loss, minimize]
space: {x: {type: float, low: -1, high: 1}, kind: {type: categorical, choices: [a, b]}}
sampler: random
budget: {trials: 6}
"""


@pytest.fixture
def folder(shared_folder: Path) -> Path:
    return shared_folder


@pytest.fixture
def tuner(
    folder: Path,
    ran: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Runs command lines in the folder: here, because a process each would take minutes."""
    for name in ("TUNER_URL", "TUNER_TOKEN", "TUNER_DATABASE_URL", "TUNER_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))

    def run(*args: str, stdin: str = "", cwd: Path = folder) -> Any:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = main(args)
        captured = capsys.readouterr()
        return ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def study(tuner) -> Iterator[str]:
    """A study named quad, without trials."""
    assert tuner("study", "create", "--file", "-", stdin=STUDY).code == 0
    yield "quad"
    assert tuner("study", "delete", "quad", "--yes").code == 0


def tell(tuner, value: str) -> int:
    trial = tuner("trial", "ask", "quad", "--json").json["trials"][0]
    number = trial["number"]
    assert tuner("trial", "tell", "quad", str(number), value, "--lease", trial["lease"]).code == 0
    return number


def test_a_study_is_created_listed_shown_and_created_again(tuner, study):
    page = tuner("study", "list", "--json").json
    assert [item["name"] for item in page["items"]] == ["quad"]
    assert page["next_cursor"] is None
    shown = tuner("study", "show", "quad", "--json").json
    assert shown["state"] == "active"
    assert list(shown["expanded_space"]["parameters"]) == ["x", "kind"]
    assert "-1 to 1" in tuner("study", "show", "quad").out
    again = tuner("study", "create", "--file", "-", stdin=STUDY)
    assert again.code == 5
    same = tuner("study", "create", "--file", "-", "--exist-ok", stdin=STUDY)
    assert (same.code, same.out) == (0, "quad\n")
    other = tuner("study", "create", "--file", "-", stdin=STUDY.replace("high: 1", "high: 2"))
    assert other.code == 5
    assert "space" in other.err


def test_trials_are_asked_told_ranked_and_shown(tuner, study):
    assert tuner("study", "best", "quad").code == 3
    for value in ("0.5", "0.25", "nan"):
        tell(tuner, value)
    best = tuner("study", "best", "quad", "--json").json
    assert (best["number"], best["values"]) == (1, {"loss": 0.25})
    assert "0.25" in tuner("study", "best", "quad").out
    listed = tuner("study", "trials", "quad", "--sort", "value", "--limit", "1", "--json").json
    assert [trial["number"] for trial in listed["items"]] == [1]
    assert listed["next_cursor"] is not None
    page = tuner("study", "trials", "quad", "--limit", "2")
    assert len(page.out.splitlines()) == 3
    assert "more" in page.err
    assert len(tuner("study", "trials", "quad", "--limit", "1", "--all").out.splitlines()) == 4
    assert tuner("trial", "show", "quad", "2", "--json").json["diverged"] is True


@pytest.mark.parametrize(
    ("value", "stored"), [("-0.5", -0.5), ("-1e-3", -0.001), ("-inf", "-Infinity"), ("-3", -3.0)]
)
def test_a_value_may_be_negative(tuner, study, value, stored):
    lease = tuner("trial", "ask", "quad", "--json").json["trials"][0]["lease"]
    told = tuner("trial", "tell", "quad", "0", value, "--lease", lease, "--json")
    assert told.json["values"] == {"loss": stored}


def test_an_integer_that_no_float_holds_is_not_rounded(tuner, study):
    lease = tuner("trial", "ask", "quad", "--json").json["trials"][0]["lease"]
    args = ("trial", "tell", "quad", "0", "--lease", lease)
    ran = tuner(*args, "9007199254740993")
    assert ran.code == 2
    assert "Give 9007199254740993.0" in ran.err
    assert tuner(*args, "9007199254740993.0", "--json").json["values"] == {"loss": 2.0**53}


def test_a_mistyped_option_is_no_value(tuner, study):
    ran = tuner("trial", "tell", "quad", "0", "0.5", "--leas", "x")
    assert ran.code == 2
    assert "No such option '--leas'. Did you mean '--lease'?" in ran.err


def test_a_trial_is_told_once(tuner, study):
    trial = tuner("trial", "ask", "quad", "--json").json["trials"][0]
    args = ["trial", "tell", "quad", "0", "--lease", trial["lease"]]
    assert [tuner(*args, "0.5").code for _ in range(2)] == [0, 0]
    assert tuner(*args, "0.6").code == 5
    assert tuner("trial", "stop", "quad", "0").code == 5
    assert tuner("trial", "retry", "quad", "0").code == 5


def test_a_failed_trial_is_retried(tuner, study):
    trial = tuner("trial", "ask", "quad", "--json").json["trials"][0]
    args = ["--lease", trial["lease"], "--state", "fail", "--reason", "error", "--message", "boom"]
    told = tuner("trial", "tell", "quad", "0", *args, "--json").json
    assert (told["state"], told["reason"]) == ("fail", "error")
    assert tuner("trial", "retry", "quad", "0", "--json").json["state"] == "waiting"
    assert tuner("trial", "stop", "quad", "0", "--json").json["reason"] == "cancelled"


def test_enqueued_parameters_come_first_and_bad_ones_are_refused(tuner, study):
    assert tuner("study", "enqueue", "quad", "x=0.5", "kind=b").out == "0\n"
    assert tuner("study", "enqueue", "quad", '{"x": -0.5}').out == "1\n"
    bad = tuner("study", "enqueue", "quad", "kind=c")
    assert bad.code == 2
    assert "'c'" in bad.err
    trial = tuner("trial", "ask", "quad", "--json").json["trials"][0]
    assert trial["params"] == {"x": 0.5, "kind": "b"}


def test_states_and_budget_are_changed(tuner, study):
    def state(verb: str, *args: str) -> str:
        return tuner("study", verb, "quad", *args, "--json").json["state"]

    assert state("pause") == "paused"
    asked = tuner("trial", "ask", "quad")
    assert asked.code == 1
    assert "paused" in asked.err
    assert state("resume") == "active"
    assert state("pause", "--now") == "paused"
    assert state("resume") == "active"
    assert state("stop") == "finished"
    told = tuner("study", "pause", "quad")
    assert (told.code, told.out) == (0, "")
    assert "is finished" in told.err
    assert "nothing to pause" in told.err
    assert state("resume") == "active"
    edited = tuner("study", "edit", "quad", "--trials", "9", "--tag", "team=vision", "--json").json
    assert edited["budget"] == {"trials": 9}
    assert edited["tags"] == {"team": "vision"}
    edited = tuner("study", "edit", "quad", "--target", "-1.5", "--seconds", "60", "--json").json
    assert edited["budget"] == {"trials": 9, "seconds": 60, "target": -1.5}
    edited = tuner("study", "edit", "quad", "--trials", "none", "--target", "none", "--json").json
    assert edited["budget"] == {"seconds": 60}
    refused = tuner("study", "edit", "quad", "--trials", "many")
    assert refused.code == 2
    assert "--trials none" in refused.err


def test_what_is_exported_can_be_imported(tuner, study, folder):
    for value in ("0.5", "inf"):
        tell(tuner, value)
    lines = tuner("study", "export", "quad")
    (folder / "trials.jsonl").write_text(lines.out)
    copy = STUDY.replace("quad", "copy")
    assert tuner("study", "create", "--file", "-", stdin=copy).code == 0
    assert tuner("study", "import", "copy", "trials.jsonl").out == "2\n"
    assert tuner("study", "import", "copy", "-", stdin=lines.out).out == "2\n"
    kept = ("params", "values", "state", "diverged")

    def rows(name: str) -> list[list[object]]:
        page = tuner("study", "trials", name, "--json").json
        return [[trial[key] for key in kept] for trial in page["items"]]

    assert rows("copy") == rows("quad") * 2
    broken = tuner("study", "import", "copy", "-", stdin=f"{lines.out}{{\n")
    assert broken.code == 2
    assert "line 3" in broken.err
    assert len(rows("copy")) == 4
    assert tuner("study", "delete", "copy", "--yes").code == 0


def test_an_import_says_what_it_leaves_out(tuner, study):
    params = '"params": {"x": 0.5, "kind": "b"}'
    states = ("complete", "running", "waiting", "running")
    values = '"values": {"loss": 1}'
    lines = "\n".join(f'{{{params}, "state": "{state}", {values}}}' for state in states)
    told = tuner("study", "import", "quad", "-", stdin=lines)
    assert told.out == "1\n"
    assert "Left out 3 that are not finished (2 running, 1 waiting)" in told.err


def test_studies_of_the_same_optimizers_are_compared(tuner, folder):
    lines = "".join(
        f'{{"params": {{"optimizer": "{name}", "{name}.lr": 0.01}}, "state": "complete",'
        f' "values": {{"val_loss": {value}}}}}\n'
        for name, value in (("sgd", 0.5), ("adam", 0.4))
    )
    for task in ("one", "two"):
        options = ["--optimizers", "sgd,adam", "--metric", "val_loss", "--trials", "9"]
        assert tuner("study", "create", task, *options).code == 0
        assert tuner("study", "import", task, "-", stdin=lines).out == "2\n"
    assert "adam has the best mean rank" in tuner("study", "compare", "one", "two").out
    assert tuner("study", "compare", "one", "two", "--json").json["studies"] == ["one", "two"]
    for name, start in (("c.html", b"<!doctype html"), ("c.md", b"# "), ("c.json", b"{")):
        assert tuner("study", "compare", "one", "two", "--output", name).code == 0
        assert (folder / name).read_bytes().lower().startswith(start)
    assert tuner("study", "compare", "one", "three").code == 3
    assert tuner("study", "compare").code == 2
    assert tuner("study", "compare", "one", "--format", "pdf").code == 2
    for task in ("one", "two"):
        assert tuner("study", "delete", task, "--yes").code == 0


def test_reports_and_exports_are_written_to_files(tuner, study, folder):
    tell(tuner, "0.5")
    for name, start in (("r.html", b"<!doctype html"), ("r.md", b"# "), ("r.json", b"{")):
        assert tuner("study", "report", "quad", "--output", name).code == 0
        assert (folder / name).read_bytes().lower().startswith(start)
    for name, start in (("t.csv", b"number,"), ("t.parquet", b"PAR1"), ("t.jsonl", b"{")):
        assert tuner("study", "export", "quad", "-o", name).code == 0
        assert (folder / name).read_bytes().startswith(start)
    refused = tuner("study", "compare", "quad", "quad")
    assert refused.code == 2
    assert "'quad' has no result of any optimizer" in refused.err
    for verb, name in (("report", "r.pdf"), ("export", "t.html")):
        refused = tuner("study", verb, "quad", "-o", name)
        assert (refused.code, name in refused.err, (folder / name).exists()) == (2, True, False)
    assert tuner("study", "report", "quad", "-o", "r.pdf", "--format", "md").code == 0
    missing = tuner("study", "export", "quad", "-o", "none/t.csv")
    assert missing.code == 2
    assert "none/t.csv" in missing.err


@pytest.mark.parametrize(
    "given",
    [
        ["--optimizers", "adam,sgd", "--trials", "3"],
        ["--param", "n=int:1:3", "--param", 'c=categorical:1,"1",true,off', "--sampler", "grid"],
    ],
)
def test_a_dry_run_prints_a_study_file_and_stores_nothing(tuner, folder, tmp_path, given):
    args = ["study", "create", "dry", *given, "--dry-run"]
    empty = tmp_path / "empty"
    empty.mkdir()
    ran = tuner(*args, cwd=empty)
    assert ran.code == 0
    assert list(empty.iterdir()) == []
    (tmp_path / "dry.yaml").write_text(ran.out)
    expanded = tuner(*args, "--json").json["expanded_space"]
    again = tuner("study", "create", "--file", str(tmp_path / "dry.yaml"), "--json").json
    assert again["expanded_space"] == expanded
    assert tuner("study", "delete", "dry", "--yes").code == 0


def test_a_creation_warns_on_stderr(tuner, study):
    task = ["--optimizers", "adam,lbfgs", "--task", "wine/mlp", "--set", "batch_size=16"]
    for more in (["--dry-run"], [], ["--exist-ok"]):
        ran = tuner("study", "create", "warned", *task, *more)
        assert ran.code == 0
        assert "Warning: trial.task.batch_size: lbfgs is meant for" in " ".join(ran.err.split())
    assert tuner("study", "delete", "warned", "--yes").code == 0


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["study", "create", "n", "--optimizers", "adm"], 2, "Did you mean 'adam'?"),
        (["study", "create", "n", "--param", "x=float:1:0"], 2, "space.parameters.x.low"),
        (["study", "create", "n", "--optimizers", "adam", "--sampler", "gpp"], 2, "'gp'"),
        (["study", "create", "n", "--optimizers", "adam", "--task", "digit/mlp"], 2, "'digits'"),
        (["study", "create", "a b", "--optimizers", "adam"], 2, "name"),
        (["study", "show", "n"], 3, "'n'"),
        (["study", "trials", "quad", "--sort", "vlaue"], 2, "sort"),
        (["trial", "show", "quad", "99"], 3, "99"),
        (["worker", "drain", "nobody"], 3, "nobody"),
        (["optimizers", "show", "adm"], 3, "'adam'"),
        (["db", "upgrade"], 5, "owned"),
        (["server", "start"], 5, "owned"),
        (["study", "delete", "quad"], 2, "--yes"),
    ],
)
def test_bad_input_is_answered_in_two_lines_and_changes_nothing(tuner, study, args, code, words):
    before = tuner("study", "list", "--json").out
    ran = tuner(*args)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err
    assert 1 <= len(ran.err.splitlines()) <= 2
    assert tuner("study", "list", "--json").out == before


def test_registries_are_those_of_the_store(tuner, study):
    for noun in ("optimizers", "samplers", "pruners"):
        page = tuner(noun, "list", "--json").json
        text = tuner(noun, "list").out
        assert page["items"]
        assert all(entry["name"] in text for entry in page["items"])
    assert tuner("study", "schema").json["title"]
    assert tuner("db", "check", "--json").json["status"] == "current"
