"""A study, seen from Python."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tuner.client import formats
from tuner.client.events import Event, follow
from tuner.client.familiar import OPTIMIZE, STUDY, Familiar, TrialRow, keywords
from tuner.client.importing import import_trials
from tuner.client.keeping import delete_study
from tuner.client.optimize import Progress, optimize_here, optimize_with_workers
from tuner.client.pages import every
from tuner.client.runner import Objective
from tuner.client.spec import study_data
from tuner.client.trial import Trial
from tuner.core.wire import decode_metric, dumps
from tuner.errors import Invalid, NoResultYet, NotAvailable, StudyNotFound

if TYPE_CHECKING:
    from tuner.client.client import Client

DEFAULT_LEASE_S = 60.0
_ENDS = frozenset({"study.finished", "study.deleted"})


class Study(Familiar):
    """A study; `Client.create_study` and `Client.get_study` make it.

    Attributes:
        name: The study's name.
        client: Where it lives.
        data: The study as it was last read; `refresh` reads it again.
    """

    familiar = STUDY

    def __init__(self, client: Client, data: Mapping[str, Any]) -> None:
        self.client = client
        self.data: dict[str, Any] = dict(data)
        self.name: str = data["name"]

    def refresh(self) -> Self:
        """Read the study again.

        Raises:
            StudyNotFound: If it has been deleted.
        """
        self.data = self.client.rest.get_study(self.name)
        return self

    @property
    def spec(self) -> dict[str, Any]:
        """The specification, written out, as last read."""
        keys = ("name", "objectives", "constraints", "space", "sampler", "pruner", "budget")
        all_keys = (*keys, "compare", "trial", "tags")
        return {key: self.data[key] for key in all_keys if self.data.get(key)}

    @property
    def state(self) -> str:
        """`active`, `paused` or `finished`, read now."""
        return str(self.refresh().data["state"])

    @property
    def counts(self) -> dict[str, int]:
        """Number of trials by state, as last read."""
        return dict(self.data["counts"])

    @property
    def best(self) -> dict[str, Any] | None:
        """The best trial, read now; None while there is none.

        Raises:
            Conflict: If the study has several objectives: see `pareto`.
        """
        try:
            return TrialRow(self.client.rest.best(self.name))
        except NoResultYet:
            return None

    @property
    def pareto(self) -> list[dict[str, Any]]:
        """The trials that no other one beats in every objective, read now."""
        return [TrialRow(row) for row in self.client.rest.pareto(self.name)["items"]]

    def trials(
        self, states: str | Sequence[str] | None = None, sort: str | None = None
    ) -> list[dict[str, Any]]:
        """All trials, by number unless `sort` (`value`, `-value`, `-number`).

        Args:
            states: Only trials in these states.
            sort: Another order.
        """
        return list(self.iter_trials(states, sort))

    def iter_trials(
        self, states: str | Sequence[str] | None = None, sort: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """As `trials`, read page by page while it is consumed."""
        rest, name = self.client.rest, self.name
        rows = every(lambda cursor: rest.list_trials(name, states, sort, cursor, 1000))
        return map(TrialRow, rows)

    def trial(self, number: int) -> dict[str, Any]:
        """One trial.

        Raises:
            TrialNotFound: If there is none of that number.
        """
        return TrialRow(self.client.rest.get_trial(self.name, number))

    def measurements(self, number: int) -> list[dict[str, Any]]:
        """What a trial has reported: rows of `{attempt, step, values}`."""
        rest, name = self.client.rest, self.name
        return list(every(lambda cursor: rest.measurements(name, number, cursor, 1000)))

    def ask(self, lease_seconds: float = DEFAULT_LEASE_S) -> Trial | None:
        """The next trial to run, or None when nothing is left (or the study is paused).

        Its lease is renewed in the background until it is told, or garbage.

        Args:
            lease_seconds: How long the trial is kept for a process that is not heard of.
        """
        trials = self.ask_many(1, lease_seconds)
        return trials[0] if trials else None

    def ask_many(self, count: int, lease_seconds: float = DEFAULT_LEASE_S) -> list[Trial]:
        """Up to `count` trials to run."""
        answer = self.client.rest.ask(self.name, count, None, lease_seconds)
        self.data["state"] = answer.get("study_state", self.data.get("state"))
        metrics = tuple(objective["metric"] for objective in self.data["objectives"])
        return [
            Trial(
                self.client,
                {**item, "study": self.name},
                metrics=metrics,
                has_pruner=self.data["pruner"]["name"] != "none",
                lease_seconds=lease_seconds,
            )
            for item in answer["trials"]
        ]

    def enqueue(
        self, params: Mapping[str, Any] | Sequence[Mapping[str, Any]], **user_attrs: Any
    ) -> list[dict[str, Any]]:
        """Queue parameters to be tried next; partial ones are completed by the sampler.

        Args:
            params: One mapping or several.
            user_attrs: Free attributes for each of them.

        Returns:
            The new trials.

        Raises:
            InvalidParameter: For parameters that do not fit the space.
            BudgetSpent: If all numbers are taken.
        """
        many = [params] if isinstance(params, Mapping) else list(params)
        extra = {"user_attrs": user_attrs} if user_attrs else {}
        return self._add([{"params": dict(item), **extra} for item in many])

    def import_trials(self, trials: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Add trials that were run elsewhere.

        They go in batches of 500, each of which is taken whole or not at all, so that a long
        import holds nobody up.

        Args:
            trials: Mappings with `params`, `values`, and `state` (`complete` unless given), as in
                the REST API.

        Returns:
            The new trials.

        Raises:
            Invalid: For a mistake in any of them, with its path; the batches before are in, and
                the hint says how many trials these are.
        """
        given = [study_data({"state": "complete", **item}) for item in trials]
        return import_trials(self.client.rest, self.name, given)

    def confirm(self, seeds: int = 5, top: int = 1) -> list[dict[str, Any]]:
        """Queue the best setting to be run again on fresh seeds; again: on further ones.

        A finished study becomes active; what its budget of trials lacks is added to it. The
        trials have `user_attrs` `{"confirms": number, "replicate": 1, 2, …}`.

        Args:
            seeds: How many fresh seeds for each setting.
            top: How many settings; in a comparison of optimizers so many of each.

        Returns:
            The new trials, which wait to be run.

        Raises:
            NoResultYet: If there is nothing to confirm.
            Conflict: If the study has several objectives.
        """
        return list(self.client.rest.confirm_study(self.name, seeds, top)["trials"])

    def pause(self, now: bool = False) -> Self:
        """Hand out no more trials; with `now` ask the running ones to stop too."""
        return self.change(state="paused", now=True if now else None)

    def resume(self) -> Self:
        """Go on after `pause` or `stop`."""
        return self.change(state="active")

    def stop(self) -> Self:
        """Finish the study: nothing more is handed out, running trials are asked to stop."""
        return self.change(state="finished")

    def change(
        self,
        *,
        state: str | None = None,
        now: bool | None = None,
        budget: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        compare: Mapping[str, Any] | None = None,
    ) -> Self:
        """Change state, budget (`trials`, `seconds`, `target`), tags, or a comparison's budget.

        `compare` takes the `trials` or `seconds` of each optimizer.
        """
        change = self.client.rest.change_study
        self.data = change(self.name, state, now, budget, tags, compare)
        return self

    def delete(self) -> None:
        """Delete the study with all its trials, and their checkpoints on this machine."""
        delete_study(self.client, self.name)

    def watch(self) -> Iterator[Event]:
        """Events as they happen, until the study is finished or deleted."""
        has_place = False
        for event in follow(self.client.transport, self.name, None):
            if event is not None:
                has_place = True
                yield event
                if event["event"] in _ENDS:
                    return
            # Connected again after an event, it gets all that it missed, the end among it.
            elif not has_place and self._has_ended():
                return

    def report(self, format: str | None = None, path: Path | str | None = None) -> Any:
        """The study's report.

        Args:
            format: `html`, `md` (text) or `json` (a dict); None: by the end of `path`, else html.
            path: Where to write it as well.

        Raises:
            Invalid: For a format that does not exist, or a path whose end names none.
        """
        target = None if path is None else Path(path)
        kind = formats.chosen(formats.REPORTS, "html", format, target)
        content = self.client.rest.study_report(self.name, kind)
        if target is not None:
            if isinstance(content, str):
                target.write_text(content, encoding="utf-8")
            else:
                target.write_text(dumps(content), encoding="utf-8")
        return content

    def export(self, format: str | None = None, path: Path | str | None = None) -> str | bytes:
        """All trials as `jsonl` or `csv` (text) or `parquet` (bytes).

        Args:
            format: The format; None: by the end of `path`, else jsonl.
            path: Where to write it as well.

        Raises:
            Invalid: For a format that does not exist, or a path whose end names none.
        """
        target = None if path is None else Path(path)
        kind = formats.chosen(formats.EXPORTS, "jsonl", format, target)
        content: str | bytes = self.client.rest.export(self.name, kind)
        if target is not None:
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        return content

    def advice(self) -> list[dict[str, Any]]:
        """What to do next, the most important first; also while the study runs.

        Each is `{code, severity, title, evidence, action, command, study_file}`; `study_file` is
        None or `{name, yaml}`, a study ready to run.
        """
        return list(self.client.rest.advice(self.name)["advice"])

    def importance(self) -> dict[str, Any]:
        """How much each parameter matters."""
        return self.client.rest.importance(self.name)

    def to_dataframe(self, states: str | Sequence[str] | None = None) -> Any:
        """All trials as a pandas DataFrame: one row a trial, `params.<name>`, `values.<metric>`.

        Raises:
            NotAvailable: If pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError:
            raise NotAvailable(
                "to_dataframe needs pandas, which is not installed.",
                hint="Install it with `pip install pandas`, or use study.export('csv').",
            ) from None
        return pandas.DataFrame([_row(trial) for trial in self.iter_trials(states)])

    @keywords(OPTIMIZE)
    def optimize(
        self,
        objective: Objective,
        trials: int | None = None,
        workers: int = 1,
        *,
        raise_errors: bool = False,
        progress: Progress | None = None,
    ) -> Self:
        """Run trials until the study has `trials` numbers or its budget is spent.

        Ctrl-C gives the running trials back to the queue; call again to go on.

        Args:
            objective: Takes a `Trial`; returns the objective's value, values by metric, or None
                for what was reported.
            trials: How many numbers the study is to have; None: only its budget counts
                (without one it goes on until it is stopped).
            workers: 1: in this process, one after the other; more: in that many processes.
            raise_errors: With one worker: raise when the objective fails, after telling it.
            progress: Called with each trial that has ended.

        Raises:
            Invalid: If the objective cannot go to other processes.
            ObjectiveFailed: With `raise_errors`.
        """
        if not callable(objective):
            raise Invalid.at("objective", "is not callable; it takes a trial.")
        for name, value in (("workers", workers), ("trials", trials)):
            if value is not None and (type(value) is not int or value < 1):
                raise Invalid.at(name, f"found {value!r}, expected a whole number from 1.")
        if workers == 1:
            optimize_here(self, objective, trials, raise_errors, progress)
        else:
            optimize_with_workers(self, objective, trials, workers, progress)
        return self.refresh()

    def __repr__(self) -> str:
        return f"Study({self.name!r} on {self.client!r})"

    def _add(self, trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not trials:
            return []
        answer = self.client.rest.add_trials(self.name, [study_data(trial) for trial in trials])
        return list(answer["trials"])

    def _has_ended(self) -> bool:
        try:
            return self.state == "finished"
        except StudyNotFound:
            return True


def _row(trial: Mapping[str, Any]) -> dict[str, Any]:
    nested = ("params", "values", "user_attrs", "sampler")
    row = {key: value for key, value in trial.items() if key not in nested}
    row.update({f"params.{name}": value for name, value in trial["params"].items()})
    for name, value in trial["values"].items():
        row[f"values.{name}"] = decode_metric(value)
    return row
