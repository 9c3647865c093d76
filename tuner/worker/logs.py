"""A trial's log: what it writes goes to a file, and from there to the server, with a limit."""

from __future__ import annotations

import codecs
from collections import deque
from pathlib import Path
from typing import Final

HEAD: Final = 200_000
TAIL: Final = 50_000
_CHUNK: Final = 65_536
_A_LOOK: Final = 16 * _CHUNK
_FILE_LIMIT: Final = 64 * 1024 * 1024


class LogFile:
    """The file that a trial writes to, read as it grows.

    The first `HEAD` characters are passed on as they come, then only the last `TAIL` are kept for
    the end. A file that grows beyond all measure is emptied: a trial must not fill the disk.

    Args:
        file: The file; need not be there yet.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._at = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._sent = 0
        self._tail: deque[str] = deque()
        self._tail_size = 0
        self._cut = 0
        self._line = ""

    @property
    def last_line(self) -> str:
        """The last line that is not blank, of what has been read."""
        return self._line

    def read(self, final: bool = False) -> str:
        """What is to be sent now; with `final` the end of the log too.

        Args:
            final: The trial has ended and nothing more comes.
        """
        pieces = []
        for _ in range(_A_LOOK // _CHUNK if not final else _FILE_LIMIT // _CHUNK + 1):
            data = self._next()
            if not data:
                break
            pieces.append(self._take(self._decoder.decode(data)))
        if final:
            pieces.append(self._take(self._decoder.decode(b"", final=True)))
            if self._cut:
                pieces.append(f"\n[{self._cut} characters are left out here]\n")
            pieces += self._tail
            self._tail.clear()
        self._shorten()
        return "".join(pieces)

    def _next(self) -> bytes:
        try:
            with self.file.open("rb") as stream:
                size = stream.seek(0, 2)
                behind = size - self._at - 2 * TAIL
                if self._sent >= HEAD and behind > 0:
                    # Nobody will see it: go on near the end, however fast the trial writes.
                    self._cut += behind + self._tail_size
                    self._at += behind
                    self._tail.clear()
                    self._tail_size = 0
                    self._decoder.reset()
                stream.seek(self._at)
                data = stream.read(_CHUNK)
        except OSError:
            return b""
        self._at += len(data)
        return data

    def _take(self, text: str) -> str:
        """Note a piece; the part of it that belongs to the head."""
        text = text.replace("\x00", "\\0")
        line = next((part for part in reversed(text.splitlines()) if part.strip()), "")
        self._line = line.strip()[:1000] or self._line
        head = text[: max(0, HEAD - self._sent)]
        self._sent += len(head)
        rest = text[len(head) :]
        if rest:
            self._tail.append(rest)
            self._tail_size += len(rest)
        while self._tail_size > TAIL:
            over = self._tail_size - TAIL
            first = self._tail.popleft()
            if len(first) > over:
                self._tail.appendleft(first[over:])
            gone = min(over, len(first))
            self._tail_size -= gone
            self._cut += gone
        return head

    def _shorten(self) -> None:
        if self._at < _FILE_LIMIT:
            return
        try:
            with self.file.open("r+b") as stream:
                self._cut += max(0, stream.seek(0, 2) - self._at)
                stream.truncate(0)
        except OSError:
            return
        self._at = 0
