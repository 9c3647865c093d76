import json

import pytest

READING = [
    ["study", "show", "x"],
    ["study", "best", "x"],
    ["study", "trials", "x"],
    ["study", "watch", "x"],
    ["study", "report", "x"],
    ["study", "compare", "x", "y"],
    ["study", "advise", "x"],
    ["study", "export", "x"],
    ["trial", "show", "x", "0"],
    ["trial", "log", "x", "0"],
]
CHANGING = [
    ["study", "pause", "x"],
    ["study", "resume", "x"],
    ["study", "stop", "x"],
    ["study", "delete", "x", "--yes"],
    ["study", "edit", "x", "--trials", "5"],
    ["study", "enqueue", "x", "a=1"],
    ["trial", "ask", "x"],
    ["trial", "tell", "x", "0", "1.0", "--lease", "l"],
    ["trial", "stop", "x", "0"],
    ["trial", "retry", "x", "0"],
    ["worker", "drain", "w"],
]


@pytest.mark.parametrize("args", READING + CHANGING, ids=" ".join)
def test_without_a_store_commands_say_so_and_create_nothing(tuner, folder, args):
    ran = tuner(*args)
    assert ran.code == 3
    assert "no store" in ran.err
    assert len(ran.err.splitlines()) <= 2
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "args",
    [
        ["study", "list"],
        ["worker", "list"],
        ["optimizers", "list"],
        ["samplers", "list"],
        ["pruners", "list"],
    ],
    ids=" ".join,
)
def test_lists_work_without_a_store_and_create_nothing(tuner, folder, args):
    plain = tuner(*args)
    ran = tuner(*args, "--json")
    assert (plain.code, ran.code) == (0, 0)
    page = json.loads(ran.out)
    assert page["next_cursor"] is None
    for entry in page["items"]:
        assert entry["name"] in plain.out
    assert list(folder.iterdir()) == []


def test_a_recommendation_needs_no_store(tuner, folder):
    found = json.loads(tuner("optimizers", "recommend", "--model", "mlp", "--json").out)
    assert found["optimizers"]
    assert list(folder.iterdir()) == []


def test_an_optimizer_is_shown_with_its_sources(tuner, folder):
    entry = json.loads(tuner("optimizers", "show", "adam", "--json").out)
    assert entry["name"] == "adam"
    text = tuner("optimizers", "show", "adam").out
    assert entry["parameters"][0]["source"].split(";")[0] in text
    ran = tuner("optimizers", "show", "adm")
    assert (ran.code, list(folder.iterdir())) == (3, [])
    assert "'adam'" in ran.err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["study", "create"], "needs a name"),
        (["study", "create", "x"], "search space is empty"),
        (["study", "create", "x", "--param", "lr=flot:0:1"], "did you mean 'float'"),
        (["study", "create", "x", "--param", "a=fixed:1", "--param", "a=fixed:2"], "twice"),
        (["study", "create", "x", "--optimizers", "adam", "--task", "digits"], "--task"),
        (["study", "create", "x", "--optimizers", "adam", "--set", "a=1"], "--set"),
        (["study", "create", "x", "--size", "small"], "--optimizers"),
        (["study", "create", "x", "--optimizers", "adam", "--gpus", "1"], "nothing to run"),
        (["study", "create", "x", "--param", "a=fixed:1", "--direction", "maximize",
          "--direction", "minimize"], "--direction"),
        (["study", "create", "--file", "f.yaml", "--sampler", "gp"], "--file"),
        (["study", "edit", "x"], "nothing to change"),
        (["study", "trials", "x", "--state", "done"], "--state"),
        (["study", "export", "x", "--format", "cvs"], "Did you mean 'csv'"),
        (["trial", "tell", "x", "0", "1"], "--lease"),
        (["worker", "start", "--executor", "ray"], "not available"),
        (["worker", "start", "--executor", "proces"], "Did you mean 'process'"),
        (["db", "check", "--database-url", "mysql://x/y"], "mysql"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_is_made(tuner, folder, args, words):
    ran = tuner(*args)
    assert ran.code == 2
    assert words in ran.err
    assert 1 <= len(ran.err.splitlines()) <= 2
    assert ran.out == ""
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", [["study", "run"], ["study", "create", "--file"]])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [a\n", "line"),
        ("name: a\nname: b\n", "twice"),
        ("- a\n", "a list"),
        ("", "nothing"),
    ],
)
def test_a_study_file_that_cannot_be_read_names_the_place(tuner, folder, command, text, words):
    (folder / "s.yaml").write_text(text)
    ran = tuner(*command, "s.yaml")
    assert ran.code == 2
    assert "s.yaml" in ran.err
    assert words in ran.err
    assert [file.name for file in folder.iterdir()] == ["s.yaml"]


def test_a_study_file_that_is_not_there_is_exit_3(tuner, folder):
    ran = tuner("study", "run", "none.yaml")
    assert ran.code == 3
    assert "none.yaml" in ran.err


def test_a_study_without_trial_cannot_be_run(tuner, folder):
    (folder / "s.yaml").write_text(
        "name: s\nobjective: loss\nspace: {x: {type: float, low: 0, high: 1}}\n"
    )
    ran = tuner("study", "run", "s.yaml")
    assert ran.code == 2
    assert "no key trial" in ran.err
    assert not (folder / "tuner.db").exists()
