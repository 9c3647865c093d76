"""The entrance: studies by name, on a server or on the embedded store."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast

from tuner.client.calls import Retry, Timeouts
from tuner.client.embedded import Embedded
from tuner.client.endpoint import Endpoint, Fixed
from tuner.client.events import Event, read_events
from tuner.client.familiar import CREATE, keywords
from tuner.client.pages import every
from tuner.client.pump import Pump
from tuner.client.rest import Rest
from tuner.client.spec import study_data
from tuner.client.study import Study
from tuner.client.transport import Transport
from tuner.errors import StudyExists
from tuner.settings import Settings, embedded_store, load

# An owner that has to be started takes seconds; nobody else is waiting for a typing error.
_EMBEDDED_RETRY = Retry(seconds=60.0, first_seconds=60.0)


class Client:
    """Studies on a server, or on the embedded store.

    Args:
        url: Address of a server. None: `TUNER_URL` or the config file, else the embedded store.
        token: Access token; None: `TUNER_TOKEN` or the config file.
        database_url: Use the embedded store on this database (`sqlite:///FILE`,
            `postgresql://…`), whatever the settings say.
        timeout: Seconds to wait for an ordinary answer; answers that need computing get ten times
            as long.
        create: Whether an embedded store that is not there may be made.
        retry: How long calls are tried again.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        database_url: str | None = None,
        timeout: float | None = None,
        create: bool = True,
        retry: Retry | None = None,
    ) -> None:
        endpoint = find_endpoint(url, token, database_url, create)
        self.transport = Transport(endpoint, timeouts_of(timeout), retry or retry_of(endpoint))
        self.rest = Rest(self.transport)
        self.pump = Pump()

    @property
    def url(self) -> str:
        """The address in use (an embedded store is started if need be)."""
        return self.transport.endpoint.address().url

    @property
    def token(self) -> str | None:
        """The token in use, for handing to a child process."""
        return self.transport.endpoint.address().token

    @property
    def database_url(self) -> str | None:
        """The database of the embedded store; None on a server."""
        endpoint = self.transport.endpoint
        return endpoint.store.database_url if isinstance(endpoint, Embedded) else None

    @keywords(CREATE)
    def create_study(  # noqa: PLR0913  every key of the study file is a keyword
        self,
        name: str,
        *,
        space: Any = None,
        objective: Any = None,
        objectives: Sequence[Any] | None = None,
        constraints: Sequence[Mapping[str, Any]] | None = None,
        sampler: str | Mapping[str, Any] | None = None,
        pruner: str | Mapping[str, Any] | None = None,
        budget: Mapping[str, Any] | None = None,
        compare: Mapping[str, Any] | Sequence[str] | None = None,
        trial: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        exist_ok: bool = False,
    ) -> Study:
        """Create a study; every key of the study file is a keyword.

        Args:
            name: 1 to 128 of letters, digits, `_ . -`.
            space: A `Space`, or a mapping of names to parameters, or what the study file takes;
                may be left out where `compare` names optimizers.
            objective: A metric, `(metric, direction)` or a mapping; or several as `objectives`.
            objectives: Several objectives.
            constraints: Bounds on metrics, as `{"metric": …, "at_most": …}`.
            sampler: A name, or a mapping with `name` and options.
            pruner: A name, or a mapping with `name` and options.
            budget: `trials`, `seconds`, `target`.
            compare: Optimizers to compare fairly, or a mapping with `trials` or `seconds` of
                each, `seeds`, `target`.
            trial: How workers run a trial: `task`, `python` or `command`, and resources.
            tags: Free labels.
            exist_ok: Take the study of that name if it has the same specification.

        Raises:
            Invalid: For a mistake, with its path, what is allowed and the nearest name.
            StudyExists: If the name is taken (with `exist_ok`: by another specification).

        Warns:
            UserWarning: Of what may be trained, but hardly is what was meant.
        """
        data = {
            "name": name,
            "objective": objective,
            "objectives": objectives,
            "constraints": constraints,
            "space": space,
            "sampler": sampler,
            "pruner": pruner,
            "budget": budget,
            "compare": compare,
            "trial": trial,
            "tags": tags,
        }
        created, answer = self.rest.ensure_study(study_data(data))
        if not created and not exist_ok:
            raise StudyExists(
                f"A study {name!r} exists with this very specification.",
                hint="Give exist_ok=True to go on with it, or choose another name.",
            )
        for warning in answer.pop("warnings", ()):
            warnings.warn(warning, UserWarning, stacklevel=3)
        return Study(self, answer)

    def get_study(self, name: str) -> Study:
        """The study of that name.

        Raises:
            StudyNotFound: If there is none.
        """
        return Study(self, self.rest.get_study(name))

    def studies(self, state: str | None = None, q: str | None = None) -> list[Study]:
        """All studies by name; `state` and `q` (a part of the name) narrow it down."""
        pages = every(lambda cursor: self.rest.list_studies(1000, cursor, state, q))
        return [Study(self, item) for item in pages]

    def compare(self, studies: Sequence[str | Study], format: str = "json") -> Any:
        """Several studies of the same optimizers side by side, each one task.

        Args:
            studies: Their names, or the studies.
            format: `json` (a dict), `md` or `html` (text).

        Raises:
            StudyNotFound: If there is no study of a name.
            Invalid: If a study has no results of optimizers, or they have none in common.
        """
        names = [item.name if isinstance(item, Study) else item for item in studies]
        return self.rest.comparison(names, format)

    def recommend(  # noqa: PLR0913  every fact is a keyword
        self,
        model: str | None = None,
        *,
        dataset: str | None = None,
        examples: int | None = None,
        params: float | None = None,
        batch: int | str | None = None,
        trials: int | None = None,
        seconds: float | None = None,
        gpus: float | None = None,
    ) -> dict[str, Any]:
        """Which optimizers to compare, why, and the study file for it (key `study`).

        Args:
            model: mlp, cnn, rnn, gru, lstm, transformer, linear, autoencoder or other.
            dataset: A built-in data set; fills in `model` and `examples`.
            examples: Training examples.
            params: Trainable weights.
            batch: Examples a step, or `full`.
            trials: Trials over all optimizers.
            seconds: Seconds of training over all optimizers.
            gpus: GPUs of one trial.

        Raises:
            Invalid: For a number or a name that cannot be, with what is allowed.
        """
        return self.rest.recommend(
            model=model,
            dataset=dataset,
            examples=examples,
            params=params,
            batch=batch,
            trials=trials,
            seconds=seconds,
            gpus=gpus,
        )

    def events(
        self, study: str | None = None, last_event_id: int | None = None
    ) -> Iterator[Event]:
        """Events of one study or of all, as they happen, for ever; reconnects by itself.

        Args:
            study: A study's name; None for all.
            last_event_id: Begin after this event; None: with the next one.
        """
        return read_events(self.transport, study, last_event_id)

    @property
    def place(self) -> str:
        """What tells this service from another one: the address, or the database."""
        return self.database_url or self.url

    def close(self) -> None:
        """Stop the background work and close the connections."""
        self.pump.stop()
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        endpoint = self.transport.endpoint
        if isinstance(endpoint, Embedded):
            return f"Client(embedded {endpoint.store.file or 'PostgreSQL'})"
        return f"Client({endpoint.address().url!r})"


def find_endpoint(
    url: str | None, token: str | None, database_url: str | None, create: bool
) -> Endpoint:
    """The endpoint that arguments and settings name.

    Raises:
        Invalid: For an address, token or database URL that cannot be one.
    """
    settings = load() if url is None or token is None else Settings()
    if url is not None or (database_url is None and settings.url is not None):
        return Fixed(cast("str", url or settings.url), token or settings.token)
    return Embedded(embedded_store(database_url or settings.database_url), create)


def timeouts_of(timeout: float | None) -> Timeouts:
    """The limits for an ordinary answer of `timeout` seconds."""
    return Timeouts() if timeout is None else Timeouts(min(timeout, 5.0), timeout, 10 * timeout)


def retry_of(endpoint: Endpoint) -> Retry:
    """How long calls to `endpoint` are tried again unless the caller says so."""
    return _EMBEDDED_RETRY if isinstance(endpoint, Embedded) else Retry()
