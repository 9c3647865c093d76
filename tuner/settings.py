"""The only reader of environment variables and config files.

Precedence: what the caller gives > environment > config file > default. The config file is
`./tuner.toml`, else `config.toml` in the user's config folder; only one of the two is read, so
that a token kept at home never travels to an address that a folder names.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tuner.core.names import nearest
from tuner.errors import Invalid, UnknownName

DEFAULT_DATABASE: Final = "sqlite:///tuner.db"
URL: Final = "TUNER_URL"
TOKEN: Final = "TUNER_TOKEN"  # noqa: S105  the variable's name, not a secret
DATABASE_URL: Final = "TUNER_DATABASE_URL"
DEBUG: Final = "TUNER_DEBUG"
STUDY: Final = "TUNER_STUDY"
TRIAL: Final = "TUNER_TRIAL"
LEASE: Final = "TUNER_LEASE"
PARAMS: Final = "TUNER_PARAMS"
CHECKPOINT_DIR: Final = "TUNER_CHECKPOINT_DIR"
STORE: Final = "TUNER_STORE"
REPLICATE: Final = "TUNER_REPLICATE"
FROM_ENVIRONMENT: Final = f"env:{DATABASE_URL}"
_KEYS: Final[dict[str, type]] = {"url": str, "token": str, "database_url": str, "debug": bool}
_TRIAL_VARIABLES: Final = (STUDY, TRIAL, LEASE, PARAMS, CHECKPOINT_DIR, STORE, REPLICATE)
_TRUE: Final = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True)
class Settings:
    """Where the service is and how to talk to it; secrets stay out of the repr.

    Args:
        url: Address of a server; None: the embedded store.
        token: The access token for `url`.
        database_url: What the embedded store (or a server that is started) works on.
        config_file: The config file that was read, if one was there.
        debug: Whether commands show tracebacks.
    """

    url: str | None = None
    token: str | None = field(default=None, repr=False)
    database_url: str | None = field(default=None, repr=False)
    config_file: Path | None = None
    debug: bool = False


@dataclass(frozen=True)
class TrialEnvironment:
    """What a worker tells the process that runs a trial.

    `store` is the embedded store's database, if that is where the trial lives: its owner may end
    and come back at another address than `url`.
    """

    url: str
    study: str
    number: int
    lease: str = field(repr=False)
    params_file: Path
    checkpoint_dir: Path | None = None
    token: str | None = field(default=None, repr=False)
    store: str | None = field(default=None, repr=False)
    replicate: int = 0


@dataclass(frozen=True)
class EmbeddedStore:
    """A database that an embedded owner serves, and the files that stand for the owner.

    Args:
        database_url: What the owner opens.
        argument: What `server start --embedded` takes; a URL that may hold a password goes through
            the environment, since every user of the machine sees a command line.
        base: The path that the owner's files are named after.
        file: The SQLite file; None for PostgreSQL.
    """

    database_url: str = field(repr=False)
    argument: str = field(repr=False)
    base: Path
    file: Path | None

    @property
    def lock_file(self) -> Path:
        """Held by the owner as long as it lives."""
        return self.base.with_name(f"{self.base.name}.lock")

    @property
    def owner_file(self) -> Path:
        """The owner's `{"url", "token", "pid", "started_at"}`."""
        return self.base.with_name(f"{self.base.name}.owner.json")

    @property
    def log_file(self) -> Path:
        """What an owner that a client started wrote to stderr."""
        return self.base.with_name(f"{self.base.name}.owner.log")


def load(
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    home: Path | None = None,
    config_file: Path | None = None,
) -> Settings:
    """Read the settings.

    Args:
        config_file: The config file to read, in place of the usual ones.
        env: Environment variables; those of this process if None.
        cwd: The folder whose `tuner.toml` counts; the current one if None.
        home: The home folder; the user's if None.

    Raises:
        Invalid: For a malformed config file, with file, line, key and the nearest valid key.
    """
    variables = _environment(env)
    config_file = config_file or _config_file(variables, cwd or Path.cwd(), home)
    config = _read_config(config_file) if config_file else {}
    url = variables.get(URL)
    database_url = variables.get(DATABASE_URL)
    if url is None and database_url is None:
        url, database_url = config.get("url"), config.get("database_url")
    debug = variables.get(DEBUG)
    return Settings(
        url=url,
        token=variables.get(TOKEN) or config.get("token"),
        database_url=database_url or config.get("database_url"),
        config_file=config_file,
        debug=bool(config.get("debug", False)) if debug is None else debug.lower() in _TRUE,
    )


def load_trial(env: Mapping[str, str] | None = None) -> TrialEnvironment | None:
    """What the worker said about the trial that this process runs; None outside a trial.

    Raises:
        Invalid: If only some of the variables are there, or the number is none.
    """
    variables = _environment(env)
    if TRIAL not in variables:
        return None
    missing = [name for name in (URL, STUDY, LEASE, PARAMS) if name not in variables]
    if missing:
        raise Invalid(
            f"{TRIAL} is set, but {', '.join(missing)} is not; a worker sets all of them.",
            hint=f"Unset {TRIAL}, or start the script through a worker.",
        )
    number = variables[TRIAL]
    if not number.isascii() or not number.isdigit():
        raise Invalid.at(TRIAL, f"found {number[:80]!r}, expected a trial number.", found=number)
    folder, replicate = variables.get(CHECKPOINT_DIR), variables.get(REPLICATE, "0")
    return TrialEnvironment(
        url=variables[URL],
        study=variables[STUDY],
        number=int(number),
        lease=variables[LEASE],
        params_file=Path(variables[PARAMS]),
        checkpoint_dir=Path(folder) if folder else None,
        token=variables.get(TOKEN),
        store=variables.get(STORE),
        replicate=int(replicate) if replicate.isascii() and replicate.isdigit() else 0,
    )


def embedded_store(
    target: str | None, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> EmbeddedStore:
    """The store behind a database URL or a file name.

    Args:
        target: `sqlite:///FILE`, `postgresql://…`, a file name, `env:TUNER_DATABASE_URL` for
            what that variable names, or None for `tuner.db`.
        cwd: The folder that relative files are in; the current one if None.
        env: Environment variables; those of this process if None.

    Raises:
        Invalid: For a URL of another kind, or an SQLite URL without a file.
    """
    if target == FROM_ENVIRONMENT:
        target = _environment(env).get(DATABASE_URL)
    target = target or DEFAULT_DATABASE
    scheme, separator, rest = target.partition("://")
    kind = scheme.partition("+")[0]
    if separator and kind in ("postgresql", "postgres"):
        name = hashlib.sha256(target.encode()).hexdigest()[:16]
        base = state_folder(env) / "embedded" / f"postgresql-{name}"
        return EmbeddedStore(target, FROM_ENVIRONMENT, base, None)
    if separator and kind != "sqlite":
        raise Invalid.at(
            "database_url",
            f"found a URL that starts with {scheme}://, expected sqlite:///FILE or"
            " postgresql://user@host/name.",
            found=scheme,
            allowed=["sqlite", "postgresql"],
            nearest=nearest(scheme, ["sqlite", "postgresql"]),
        )
    name = rest.removeprefix("/") if separator else target
    if not name or name == ":memory:":
        raise Invalid.at(
            "database_url",
            "names no file; an embedded store lives in one, e.g. sqlite:///tuner.db.",
            found=target[:80],
        )
    file = ((cwd or Path.cwd()) / Path(name).expanduser()).resolve()
    return EmbeddedStore(f"sqlite:///{file}", str(file), file, file)


def state_folder(env: Mapping[str, str] | None = None, home: Path | None = None) -> Path:
    """The user's folder for files that outlive a run (checkpoints, owners of databases)."""
    given = _environment(env).get("XDG_STATE_HOME")
    return (Path(given) if given else (home or Path.home()) / ".local" / "state") / "tuner"


def child_environment(
    extra: Mapping[str, str] | None = None, env: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment for a Python child that imports this very package.

    The trial's variables and the address and token of a server are left out (they belong to this
    process); `extra` is laid over.
    """
    variables = dict(os.environ if env is None else env)  # noqa: TID251  the one place that reads it
    for name in (*_TRIAL_VARIABLES, URL, TOKEN, DATABASE_URL):
        variables.pop(name, None)
    home = str(Path(__file__).resolve().parent.parent)
    search = [part for part in variables.get("PYTHONPATH", "").split(os.pathsep) if part]
    variables["PYTHONPATH"] = os.pathsep.join([home, *(p for p in search if p != home)])
    return {**variables, **(extra or {})}


def visible_gpus(env: Mapping[str, str] | None = None) -> str | None:
    """The GPUs that this process is allowed, as set; an empty text allows none, None all."""
    source = os.environ if env is None else env  # noqa: TID251  the one place that reads it
    return source.get("CUDA_VISIBLE_DEVICES")


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    """The variables that are set; an empty one counts as not set."""
    source = os.environ if env is None else env  # noqa: TID251  the one place that reads it
    return {name: value for name, value in source.items() if value}


def _config_file(env: Mapping[str, str], cwd: Path, home: Path | None) -> Path | None:
    local = cwd / "tuner.toml"
    if local.is_file():
        return local
    given = env.get("XDG_CONFIG_HOME")
    try:
        folder = Path(given) if given else (home or Path.home()) / ".config"
    except RuntimeError:  # an account without a home
        return None
    file = folder / "tuner" / "config.toml"
    return file if file.is_file() else None


def _read_config(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"The config file {file} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"The config file {file} is not TOML: {error}.") from error
    for key, value in data.items():
        where = f"{file}, line {_line(text, key)}: {key}"
        if key not in _KEYS:
            near = nearest(key, _KEYS)
            known = f"did you mean {near!r}?" if near else f"known: {', '.join(_KEYS)}."
            raise UnknownName.at(
                where, f"unknown key; {known}", found=key, allowed=list(_KEYS), nearest=near
            )
        expected = _KEYS[key]
        if not isinstance(value, expected) or value == "":
            words = "true or false" if expected is bool else "a text that is not empty"
            kind = type(value).__name__
            raise Invalid.at(where, f"found {kind}, expected {words}.", found=kind, allowed=words)
    return data


def _line(text: str, key: str) -> int:
    """The line on which a top-level key or table stands (1 if it is written in an unusual way)."""
    pattern = re.compile(rf"\s*\[*\s*[\"']?{re.escape(key)}[\"']?\s*[\].=]")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line):
            return number
    return 1
