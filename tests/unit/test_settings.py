from pathlib import Path

import pytest

from tuner.errors import Invalid, UnknownName
from tuner.settings import (
    Settings,
    child_environment,
    embedded_store,
    load,
    load_trial,
    state_folder,
)

TRIAL = {
    "TUNER_URL": "http://h",
    "TUNER_STUDY": "digits",
    "TUNER_TRIAL": "7",
    "TUNER_LEASE": "secret-lease",
    "TUNER_PARAMS": "p.json",
}


def write(folder: Path, text: str, name: str = "tuner.toml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_without_anything_the_defaults_hold(tmp_path):
    assert load({}, tmp_path, tmp_path) == Settings()


def test_the_environment_beats_the_config_file(tmp_path):
    file = write(tmp_path, 'url = "http://file"\ntoken = "file"\ndebug = true\n')
    from_file = load({}, tmp_path, tmp_path)
    assert (from_file.url, from_file.token, from_file.debug) == ("http://file", "file", True)
    assert from_file.config_file == file
    env = {"TUNER_URL": "http://env", "TUNER_TOKEN": "env", "TUNER_DEBUG": "0"}
    from_env = load(env, tmp_path, tmp_path)
    assert (from_env.url, from_env.token, from_env.debug) == ("http://env", "env", False)


def test_a_database_in_the_environment_beats_an_address_in_the_file(tmp_path):
    write(tmp_path, 'url = "http://file"\n')
    settings = load({"TUNER_DATABASE_URL": "sqlite:///x.db"}, tmp_path, tmp_path)
    assert (settings.url, settings.database_url) == (None, "sqlite:///x.db")


def test_an_empty_variable_counts_as_not_set(tmp_path):
    assert load({"TUNER_URL": ""}, tmp_path, tmp_path).url is None


def test_only_the_nearest_config_file_is_read(tmp_path):
    home, here = tmp_path / "home", tmp_path / "here"
    here.mkdir()
    write(home, 'url = "http://home"\ntoken = "of-home"\n', ".config/tuner/config.toml")
    assert load({}, here, home).url == "http://home"
    write(here, 'url = "http://here"\n')
    settings = load({}, here, home)
    assert (settings.url, settings.token) == ("http://here", None)


def test_a_config_file_can_be_named(tmp_path):
    file = write(tmp_path, 'url = "http://named"\n', "other.toml")
    assert load({}, tmp_path, tmp_path, file).url == "http://named"
    with pytest.raises(Invalid, match=r"none\.toml cannot be read"):
        load({}, tmp_path, tmp_path, tmp_path / "none.toml")


def test_an_unknown_key_names_file_line_and_the_nearest(tmp_path):
    write(tmp_path, 'url = "http://h"\n\ndatabase_ur = "x"\n')
    with pytest.raises(UnknownName) as caught:
        load({}, tmp_path, tmp_path)
    assert f"{tmp_path / 'tuner.toml'}, line 3: database_ur" in caught.value.message
    assert caught.value.errors[0].nearest == "database_url"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("url = 3\n", "line 1: url: found int"),
        ("# x\ndebug = 'yes'\n", "line 2: debug: found str, expected true or false"),
        ('token = ""\n', "not empty"),
        ("url = \n", r"not TOML: .*line 1"),
        ("[server]\nport = 1\n", "line 1: server: unknown key"),
    ],
)
def test_a_malformed_config_says_where(tmp_path, text, message):
    write(tmp_path, text)
    with pytest.raises(Invalid, match=message):
        load({}, tmp_path, tmp_path)


def test_secrets_stay_out_of_the_repr():
    shown = repr(Settings("http://h", "secret", "postgresql://u:secret@h/d"))
    shown += repr(load_trial({**TRIAL, "TUNER_TOKEN": "secret"}))
    shown += repr(embedded_store("postgresql://u:secret@h/d", env={"XDG_STATE_HOME": "state"}))
    assert "secret" not in shown


def test_the_trial_of_a_process_is_read_from_its_environment():
    assert load_trial({}) is None
    trial = load_trial({**TRIAL, "TUNER_CHECKPOINT_DIR": "ck"})
    assert trial is not None
    assert (trial.study, trial.number, trial.lease) == ("digits", 7, "secret-lease")
    assert (trial.params_file, trial.checkpoint_dir) == (Path("p.json"), Path("ck"))


def test_an_incomplete_trial_environment_is_refused():
    with pytest.raises(Invalid, match="TUNER_LEASE is not"):
        load_trial({key: value for key, value in TRIAL.items() if key != "TUNER_LEASE"})
    with pytest.raises(Invalid, match="expected a trial number"):
        load_trial({**TRIAL, "TUNER_TRIAL": "-1"})


@pytest.mark.parametrize(
    ("target", "file"),
    [
        (None, "tuner.db"),
        ("sqlite:///tuner.db", "tuner.db"),
        ("sqlite:///sub/x.db", "sub/x.db"),
        ("x.db", "x.db"),
    ],
)
def test_a_file_is_relative_to_the_folder(tmp_path, target, file):
    store = embedded_store(target, tmp_path)
    assert store.file == tmp_path.resolve() / file
    assert store.database_url == f"sqlite:///{store.file}"
    assert store.owner_file.name == f"{Path(file).name}.owner.json"
    assert store.lock_file.parent == store.file.parent


def test_an_absolute_sqlite_url_names_that_file(tmp_path):
    file = tmp_path.resolve() / "a.db"
    assert embedded_store(f"sqlite:///{file}", Path.cwd()).file == file


def test_a_link_and_its_target_are_one_store(tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    assert embedded_store("link.db", tmp_path) == embedded_store("real.db", tmp_path)


def test_the_owner_of_a_postgresql_database_lives_in_the_users_folder(tmp_path):
    env = {"XDG_STATE_HOME": str(tmp_path)}
    store = embedded_store("postgresql://u:secret@h/d", env=env)
    other = embedded_store("postgresql://u:secret@h/e", env=env)
    assert store.file is None
    assert store.owner_file.is_relative_to(state_folder(env))
    assert "secret" not in str(store.owner_file)
    assert store.owner_file != other.owner_file


def test_a_url_that_may_hold_a_password_goes_through_the_environment(tmp_path):
    env = {"XDG_STATE_HOME": str(tmp_path)}
    store = embedded_store("postgresql://u:secret@h/d", env=env)
    assert store.argument == "env:TUNER_DATABASE_URL"
    env["TUNER_DATABASE_URL"] = store.database_url
    assert embedded_store(store.argument, env=env) == store


@pytest.mark.parametrize(
    "target", ["mysql://h/d", "sqlite://", "sqlite:///", "sqlite:///:memory:"]
)
def test_a_database_that_cannot_be_embedded_is_refused(target):
    with pytest.raises(Invalid, match="database_url"):
        embedded_store(target)


def test_a_child_finds_this_package_and_none_of_the_parents_addresses():
    env = {**TRIAL, "TUNER_TOKEN": "t", "PATH": "bin", "PYTHONPATH": "mine"}
    child = child_environment({"EXTRA": "1"}, env)
    assert not [name for name in child if name.startswith("TUNER_")]
    assert child["PATH"] == "bin"
    assert child["EXTRA"] == "1"
    assert child["PYTHONPATH"].endswith("mine")
