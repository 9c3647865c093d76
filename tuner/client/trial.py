"""A running trial, as the objective sees it."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tuner.client.checkpoints import Checkpoints, load
from tuner.client.familiar import REPORT, TRIAL, Familiar, step_first
from tuner.client.keeping import checkpoint_folder, let_go
from tuner.client.reporter import LEASE_LOST, Reporter
from tuner.core.names import METRIC_NAME
from tuner.errors import InvalidMetric, LeaseLost, TrialFinished, Unavailable

if TYPE_CHECKING:
    from tuner.client.client import Client

MAX_STEP: Final = 2**53


class Trial(Familiar):
    """One attempt at a trial: parameters in, reports and an outcome out.

    Made by `Study.ask`, `current_trial` or, by workers, `Trial.attach`. While it lives, reports are
    sent in batches and, given `lease_seconds`, the lease is renewed, both in the background.

    Attributes:
        study: The study's name.
        number: The trial's number in the study.
        params: The active parameters.
        attempt: Which attempt at the trial this is, from 1.
        user_attrs: Free attributes that were enqueued with it.
        data: The trial as the server handed it out.
    """

    familiar = TRIAL

    def __init__(
        self,
        client: Client,
        data: Mapping[str, Any],
        *,
        metrics: Sequence[str] | None = None,
        has_pruner: bool | None = None,
        checkpoint_dir: Path | None = None,
        lease_seconds: float | None = None,
    ) -> None:
        self.data = dict(data)
        self.study: str = data["study"]
        self.number: int = data["number"]
        self.params: dict[str, Any] = dict(data["params"])
        self.attempt: int = data.get("attempt", 1)
        self.user_attrs: dict[str, Any] = dict(data.get("user_attrs") or {})
        self.lease: str = data["lease"]
        self._client = client
        self._metrics = None if metrics is None else tuple(metrics)
        self._has_pruner = has_pruner
        self._dir_given = checkpoint_dir is not None
        self._checkpoints = Checkpoints(checkpoint_dir or checkpoint_folder(client, self.data))
        self._saved: Path | None = None
        self._tell_tried = False
        self._end: str | None = None
        self.seen_reason: str | None = None
        self.has_reported = False
        self._reporter = Reporter(
            client.transport,
            self.study,
            self.number,
            self.lease,
            None if lease_seconds is None else lease_seconds / 3,
        )
        known = self.data.get("checkpoint")
        self._reporter.known_checkpoint = Path(known["path"]) if known else None
        client.pump.watch(self._reporter)

    @classmethod
    def attach(
        cls,
        client: Client,
        study: str,
        leased_trial: Mapping[str, Any],
        checkpoint_dir: Path | None = None,
        *,
        metrics: Sequence[str] | None = None,
        has_pruner: bool | None = None,
    ) -> Trial:
        """A trial that somebody else has leased and keeps alive.

        Args:
            client: Sends the reports.
            study: The study's name.
            leased_trial: The trial as lease or ask handed it out.
            checkpoint_dir: A folder of this trial alone, the same for all its attempts.
            metrics: The objectives' metrics; None: asked from the server when needed.
            has_pruner: Whether reports await a decision; None: asked from the server when needed.
        """
        return cls(
            client,
            {**leased_trial, "study": study},
            metrics=metrics,
            has_pruner=has_pruner,
            checkpoint_dir=checkpoint_dir,
        )

    @property
    def metrics(self) -> tuple[str, ...]:
        """The objectives' metrics, in order."""
        if self._metrics is None:
            self._ask_study()
        return self._metrics or ()

    @property
    def replicate(self) -> int:
        """0 for a trial of the search; n for the n-th repetition of one on a fresh seed."""
        value = self.user_attrs.get("replicate")
        return value if type(value) is int and value > 0 else 0

    @property
    def stop_reason(self) -> str | None:
        """Why the trial is to stop, as far as is known; asks nobody."""
        return self._reporter.reason

    @property
    def checkpoint_dir(self) -> Path:
        """The folder of this trial's checkpoints, the same for all its attempts."""
        return self._checkpoints.folder

    @step_first(REPORT)
    def report(self, /, step: int, **metrics: float) -> None:
        """Report metrics at a step.

        Sent in batches; at once where the study has a pruner. A server that cannot be reached does
        not stop the training.

        Args:
            step: The work done so far, e.g. epochs; a whole number from 0.
            metrics: Names and values; numpy and torch scalars are taken, NaN and inf too.

        Raises:
            InvalidMetric: For a bad step, name or value.
            TrialFinished: After `tell` or `release`.
            AlreadyReported: If this attempt has reported another value for the step.
            Unavailable: If very many rows wait for a server that cannot be reached.
        """
        if self._end is not None:
            raise TrialFinished(
                f"Trial {self.number} of study {self.study!r} has been {self._end}, so it takes no"
                f" more reports (step {step}).",
                hint="Report before the end; ask for another trial to go on.",
            )
        if not metrics:
            raise InvalidMetric.at("report", "names no metric, e.g. report(3, val_loss=0.2).")
        row = {name: read_value(name, value) for name, value in metrics.items()}
        self._reporter.add(_read_step(step), row, self._awaits_decision())
        self.has_reported = True

    def should_stop(self) -> str | None:
        """None, or why the trial is to stop now.

        One of `pruned`, `budget`, `cancelled`, `paused`, `preempted`, `lease-lost`. Return from
        the objective, or raise `TrialStopped`; save a checkpoint before if the trial can go on.
        """
        self.seen_reason = self._reporter.poll()
        return self.seen_reason

    def ask_to_stop(self, reason: str) -> None:
        """Let `should_stop` answer `reason` from now on (a worker passes on what it was told)."""
        self._reporter.ask_to_stop(reason)

    def renew(self) -> str | None:
        """Renew the lease now; the reason to stop, if there is one.

        Raises:
            Unavailable: If the server cannot be reached.
        """
        self.seen_reason = self._reporter.renew()
        return self.seen_reason

    def log(self, message: str) -> None:
        """Append a line to the trial's log."""
        text = str(message).replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode()
        self._reporter.add_log(text if text.endswith("\n") else f"{text}\n")

    def save_checkpoint(self, state: Any, step: int) -> Path:
        """Keep a state to go on from, and send what was reported before it; the newest two are kept.

        Args:
            state: Plain data, `bytes`, or nested containers of tensors.
            step: The work done so far.

        Raises:
            Invalid: If the state holds what cannot be loaded safely.
            TunerError: If the file cannot be written.
        """
        number = _read_step(step)
        keep = self._reporter.known_checkpoint
        self._saved = self._checkpoints.save(state, number, keep).absolute()
        self._reporter.set_checkpoint(str(self._saved), number)
        return self._saved

    def load_checkpoint(self) -> Any:
        """The newest state of this or an earlier attempt; None if there is none to go on from.

        Raises:
            TunerError: If the file is there and cannot be read.
        """
        file = self._saved or self._known_checkpoint()
        return None if file is None else load(file)

    def tell(
        self,
        values: float | Mapping[str, float] | Sequence[float] | None = None,
        state: str = "complete",
        *,
        reason: str | None = None,
        message: str | None = None,
    ) -> dict[str, Any]:
        """End the trial.

        Args:
            values: The objective's value, values by metric, or None for what was reported.
            state: `complete`, `pruned` or `fail`.
            reason: Why it failed, with state `fail`.
            message: A line for people.

        Returns:
            The trial as it stands now.

        Raises:
            InvalidMetric: For a value that is none, or nothing told and nothing reported.
            LeaseLost: If the trial is another's by now.
            Unavailable: If the server cannot be reached; telling again is right.
        """
        named = self._named(values)
        self._finish_reports()
        self._tell_tried = True
        told = self._client.rest.tell(
            self.study, self.number, self.lease, state, named, reason, message
        )
        self._end = f"told: {told.get('state', state)}"
        self._close()
        let_go(self._checkpoints, told)
        return told

    def release(
        self, reason: str = "preempted", message: str | None = None
    ) -> dict[str, Any] | None:
        """Give the trial back to the queue; None if it is another's by now.

        Raises:
            Unavailable: If the server cannot be reached.
        """
        try:
            self._finish_reports()
            answer = self._client.rest.release(
                self.study, self.number, self.lease, reason, message
            )
        except LeaseLost:
            answer = None
        else:
            self._end = "given back"
        self._close()
        return answer

    def flush(self) -> None:
        """Send everything that waits.

        Raises:
            Unavailable: If the server cannot be reached; nothing is lost.
        """
        self._reporter.flush()

    def abandon(self) -> None:
        """Send nothing more: the trial is another's, or its process ends."""
        self._close()

    def __repr__(self) -> str:
        return f"Trial(study={self.study!r}, number={self.number}, attempt={self.attempt})"

    def _finish_reports(self) -> None:
        if self._tell_tried:
            return  # a repeat gets the first answer, whatever has become of the lease
        self._reporter.raise_error()
        self._reporter.flush()
        if self._reporter.reason == LEASE_LOST:
            self._close()
            raise LeaseLost(
                f"Trial {self.number} of study {self.study!r} has been given to another attempt.",
                hint="Send nothing more for it.",
            )

    def _close(self) -> None:
        self._tell_tried = True
        self._reporter.close()

    def _awaits_decision(self) -> bool:
        if self._has_pruner is None:
            try:
                self._ask_study()
            except Unavailable:
                return False
        return bool(self._has_pruner)

    def _ask_study(self) -> None:
        study = self._client.rest.get_study(self.study)
        self._metrics = tuple(objective["metric"] for objective in study["objectives"])
        self._has_pruner = study["pruner"]["name"] != "none"

    def _named(self, values: Any) -> dict[str, float] | None:
        """Values by metric, from any of the forms of `tell`."""
        if values is None:
            return None
        if isinstance(values, Mapping):
            return {str(name): read_value(str(name), value) for name, value in values.items()}
        given = list(values) if isinstance(values, list | tuple) else [values]
        if len(given) != len(self.metrics):
            raise InvalidMetric.at(
                "values",
                f"found {len(given)}, but the study has the objectives {', '.join(self.metrics)}.",
                found=len(given),
                allowed=list(self.metrics),
            )
        pairs = zip(self.metrics, given, strict=True)
        return {name: read_value(name, value) for name, value in pairs}

    def _known_checkpoint(self) -> Path | None:
        """What the server knows, else what lies in a folder that is this trial's alone."""
        known = self._reporter.known_checkpoint
        if known is not None and known.is_file():
            return known
        newest = self._checkpoints.newest() if self._dir_given else None
        if known is not None and newest is None:
            warnings.warn(
                f"The checkpoint {known} of trial {self.number} is not on this machine;"
                " the trial begins anew.",
                RuntimeWarning,
                stacklevel=3,
            )
        return newest


def read_value(name: str, value: Any) -> float:
    """A metric's value as a float.

    Raises:
        InvalidMetric: For a bad name, or a value that is not one number.
    """
    if not METRIC_NAME.fullmatch(name):
        raise InvalidMetric.at(
            name[:80], "is not a metric name: 1 to 128 characters, no outer spaces.", found=name
        )
    if type(value) is float:
        return value
    try:
        if isinstance(value, bool | str | bytes):
            raise TypeError
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError, RuntimeError):
        shown = f"{type(value).__name__} {str(value)[:60]!r}"
        raise InvalidMetric.at(
            name, f"found {shown}, expected a number.", found=shown, allowed="a number"
        ) from None


def _read_step(step: Any) -> int:
    try:
        if isinstance(step, bool):
            raise TypeError
        number = operator.index(step)
    except TypeError:
        number = -1
    if not 0 <= number <= MAX_STEP:
        raise InvalidMetric.at(
            "step", f"found {step!r}, expected a whole number from 0.", found=str(step)[:80]
        )
    return number
