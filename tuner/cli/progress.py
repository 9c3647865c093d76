"""The live view of a study: trials by state, best so far, rate, time left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuner.cli import views
from tuner.cli.output import Output, cell

_WINDOW_S: Final = 120.0
_LINE_EVERY_S: Final = 10.0
_SHOWN_PARAMS: Final = 6


class Progress:
    """What is worth saying about a study that runs, from the study objects seen so far.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()
        self.study: Mapping[str, Any] = {}

    def update(self, study: Mapping[str, Any]) -> None:
        """Take in the newest state."""
        self.study = study
        now = self._clock()
        self._seen.append((now, self.finished))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW_S:
            self._seen.popleft()

    @property
    def finished(self) -> int:
        """How many trials have ended."""
        counts = self.study.get("counts", {})
        return sum(counts.get(state, 0) for state in ("complete", "pruned", "fail"))

    @property
    def total(self) -> int | None:
        """How many trials there will be, if the budget says so."""
        total = (self.study.get("budget") or {}).get("trials")
        return None if total is None else max(int(total), self.finished)

    @property
    def per_second(self) -> float | None:
        """Trials ended a second, over the last two minutes."""
        if len(self._seen) < 2:
            return None
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        return (after - before) / (end - start) if end > start and after > before else None

    @property
    def seconds_left(self) -> float | None:
        """Until the budget of trials is spent at the present rate."""
        rate, total = self.per_second, self.total
        if rate is None or total is None:
            return None
        return (total - self.finished) / rate

    def rate_text(self) -> str:
        """Rate and time left as words; empty before there is a rate."""
        rate = self.per_second
        if rate is None:
            return ""
        text = f"{rate:.1f} trials/s" if rate >= 1 else f"{rate * 60:.1f} trials/min"
        left = self.seconds_left
        return f"{text} · {views.duration(left)} left" if left else text

    def phase_text(self) -> str:
        """`searching 37/80` or `confirming 5/20` for a comparison, else empty."""
        at = self.study.get("comparison")
        if not at or at["phase"] == "complete":
            return ""
        keys = ("searched", "search_trials")
        if at["phase"] == "confirming":
            keys = ("confirmed", "confirm_trials")
        done, all_of_them = (at[key] for key in keys)
        return f"{at['phase']} {done}" + (f"/{all_of_them}" if all_of_them is not None else "")

    def best_text(self) -> str:
        """The best trial so far with its parameters."""
        best = self.study.get("best")
        if not best:
            return "no result yet" if len(self.study.get("objectives", ())) < 2 else ""
        metric = self.study["objectives"][0]["metric"]
        params = list(best["params"].items())
        shown = " ".join(f"{name}={cell(value)}" for name, value in params[:_SHOWN_PARAMS])
        more = " …" if len(params) > _SHOWN_PARAMS else ""
        value = views.values(best, self.study)
        return f"best {metric} {value} (trial {best['number']}) {shown}{more}"

    def line(self) -> str:
        """Everything on one line, for logs."""
        total = f"/{self.total}" if self.total is not None else ""
        parts = [
            f"{self.study['name']}: {self.finished}{total} trials",
            self.phase_text(),
            views.counts(self.study),
            self.best_text(),
            self.rate_text(),
        ]
        return " | ".join(part for part in parts if part)

    def render(self) -> RenderableType:
        """The panel for a terminal."""
        study, total = self.study, self.total
        head = Table.grid(padding=(0, 1), expand=False)
        bar = ProgressBar(
            total=total,
            completed=self.finished,
            width=40,
            pulse=total is None,
            complete_style="cyan",
        )
        numbers = f"{self.finished}/{total}" if total is not None else str(self.finished)
        head.add_row(Text(study["name"], style="bold"), bar, Text(numbers), Text(self.rate_text()))
        parts = [
            (f"{state} {study['counts'].get(state, 0)}", _COLOURS[state]) for state in views.STATES
        ]
        spaced = [piece for part in parts for piece in (part, "  ")]
        state = study["state"] if study["state"] != "active" else ""
        reason = study.get("state_reason") or ""
        rows: list[RenderableType] = [head, Text.assemble(*spaced[:-1])]
        if self.phase_text():
            rows.append(Text(self.phase_text(), style="cyan"))
        if self.best_text():
            rows.append(Text(self.best_text(), style="green", overflow="ellipsis", no_wrap=True))
        if state or reason:
            rows.append(Text(": ".join(part for part in (state, reason) if part), style="yellow"))
        return Group(*rows)


_COLOURS: Final = {
    "running": "cyan",
    "waiting": "dim",
    "complete": "green",
    "pruned": "yellow",
    "fail": "red",
}


class Display:
    """Shows a study's progress on stderr: redrawn on a terminal, else a line now and then.

    Args:
        out: Whose stderr; a quiet one shows nothing.
        clock: Seconds that only grow.
    """

    def __init__(self, out: Output, clock: Callable[[], float] = time.monotonic) -> None:
        self.progress = Progress(clock)
        self._out = out
        self._clock = clock
        self._live: Live | None = None
        self._last = ("", -_LINE_EVERY_S)

    def __enter__(self) -> Display:
        if self._out.is_live:
            self._live = Live(console=self._out.talk, auto_refresh=False, transient=False)
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        elif self.progress.study:
            self._line(final=True)

    def show(self, study: Mapping[str, Any]) -> None:
        """Show the newest state."""
        self.progress.update(study)
        if self._live is not None:
            self._live.update(self.progress.render(), refresh=True)
        else:
            self._line()

    def _line(self, *, final: bool = False) -> None:
        text, at = self._last
        now = self._clock()
        new = self.progress.line()
        if now - at >= _LINE_EVERY_S or final:
            if new != text:
                self._out.say(new)
            self._last = (new, now)
