"""Checkpoints of a trial: files that are safe to load and never half written.

Nothing here unpickles. A state of plain JSON data is kept as JSON, `bytes` as they are, and one
with tensors by `torch.save`, which is only ever read with `weights_only=True`; any other object is
refused when it is saved, not when a resumed trial needs it.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tuner.client.familiar import TrialRow
from tuner.errors import Invalid, NotAvailable, TunerError

KEEP: Final = 2
_NAME: Final = re.compile(r"checkpoint-(\d{16})\.(json|bin|pt)")
_OURS: Final = re.compile(rf"{_NAME.pattern}|\.{_NAME.pattern}\.\d+\.part")
_HINT: Final = "Give plain data, tensors (`model.state_dict()`), or bytes that you encode and decode yourself."


class Checkpoints:
    """The checkpoints in one folder, which belongs to one trial.

    Args:
        folder: Made at the first save, for this user only.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, state: Any, step: int, keep: Path | None = None) -> Path:
        """Write a checkpoint in one piece and drop all but the newest two.

        Args:
            state: Plain JSON data, `bytes`, or nested containers of tensors and plain values.
            step: The work done so far; names the file.
            keep: A file that is not dropped however old it is.

        Raises:
            Invalid: If `state` holds something that cannot be loaded safely, with its place.
            TunerError: If the file cannot be written.
        """
        suffix, write = _writer(state)
        target = self.folder / f"checkpoint-{step:016d}.{suffix}"
        draft = self.folder / f".{target.name}.{os.getpid()}.part"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with draft.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            raise TunerError(f"The checkpoint {target} cannot be written: {error}.") from error
        kept = {target.name, keep.name if keep is not None else target.name}
        for old in self._files()[:-KEEP]:
            if old.name not in kept:
                old.unlink(missing_ok=True)
        return target

    def newest(self) -> Path | None:
        """The checkpoint of the highest step in the folder."""
        files = self._files()
        return files[-1] if files else None

    def clear(self) -> None:
        """Delete the checkpoints, and the folder unless it holds files that are not ours."""
        try:
            ours = [path for path in self.folder.iterdir() if _OURS.fullmatch(path.name)]
        except OSError:
            return
        with suppress(OSError):  # what cannot be deleted harms nobody
            for path in ours:
                path.unlink(missing_ok=True)
            self.folder.rmdir()

    def _files(self) -> list[Path]:
        try:
            found = [path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)]
        except OSError:
            return []
        return sorted(found, key=lambda path: (path.name.partition(".")[0], path.stat().st_mtime))


def load(file: Path) -> Any:
    """The state in a checkpoint; tensors come to the CPU.

    Raises:
        TunerError: If the file is no checkpoint of ours or cannot be read.
        NotAvailable: If it holds tensors and torch is not installed.
    """
    match = _NAME.fullmatch(file.name)
    if match is None or not file.is_file():
        raise TunerError(f"{file} is not a checkpoint.")
    try:
        if match[2] == "bin":
            return file.read_bytes()
        if match[2] == "json":
            return json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise TunerError(f"The checkpoint {file} cannot be read: {error}.") from error
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        raise NotAvailable(f"{file} holds tensors, and torch is not installed here.") from None
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TunerError(f"The checkpoint {file} cannot be read: {error}.") from error


def _writer(state: Any) -> tuple[str, Callable[[Any], None]]:
    """The kind of file for a state, and what writes it."""
    if isinstance(state, bytes):
        return "bin", lambda file: _put(file, state)
    problem = _not_plain(state, "state")
    if problem is None:
        text = json.dumps(state).encode()
        return "json", lambda file: _put(file, text)
    torch = sys.modules.get("torch")
    if torch is None:
        raise Invalid(f"{problem} cannot be kept in a checkpoint.", hint=_HINT)
    _check_tensors(state, "state", torch)
    return "pt", lambda file: torch.save(state, file)


def _put(file: Any, content: bytes) -> None:
    file.write(content)


def _not_plain(value: Any, path: str) -> str | None:
    """The first thing that JSON would not give back equal; None if there is none."""
    if value is None or type(value) in (bool, int, float, str):
        return None
    if type(value) is list:
        problems = (_not_plain(item, f"{path}[{i}]") for i, item in enumerate(value))
    elif type(value) in (dict, TrialRow) and all(type(key) is str for key in value):
        problems = (_not_plain(item, f"{path}[{key!r}]") for key, item in value.items())
    else:
        return f"{path}, a {type(value).__name__},"
    return next((problem for problem in problems if problem is not None), None)


def _check_tensors(value: Any, path: str, torch: Any) -> None:
    """Refuse what `torch.load(weights_only=True)` would refuse later."""
    plain = (bool, int, float, complex, str, bytes, type(None))
    if type(value) in plain or isinstance(value, torch.Tensor | torch.dtype | torch.Size):
        return
    if isinstance(value, torch.device):
        return
    if type(value) in (list, tuple, set):
        for i, item in enumerate(value):
            _check_tensors(item, f"{path}[{i}]", torch)
    elif isinstance(value, Mapping) and type(value).__name__ in ("dict", "OrderedDict"):
        for key, item in value.items():
            _check_tensors(key, f"the key {key!r} of {path}", torch)
            _check_tensors(item, f"{path}[{key!r}]", torch)
    else:
        raise Invalid(
            f"{path}, a {type(value).__name__}, cannot be kept in a checkpoint.", hint=_HINT
        )
