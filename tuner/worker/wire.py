"""Messages between agent, fork server and trials: a length, then JSON; file descriptors beside.

The sockets connect processes of one worker only. Metric values may be NaN, which Python's JSON
takes on both sides.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final

_LENGTH: Final = struct.Struct("!I")
_CHUNK: Final = 65_536
_SPACE: Final = socket.CMSG_SPACE(4 * array.array("i").itemsize) if os.name == "posix" else 0
_SEND_S: Final = 30.0


def send(channel: socket.socket, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one message, with file descriptors if there are any.

    Raises:
        OSError: If the other side has ended, or does not read for half a minute.
    """
    content = json.dumps(message).encode()
    packet = _LENGTH.pack(len(content)) + content
    channel.settimeout(_SEND_S)
    sent = socket.send_fds(channel, [packet], list(fds)) if fds else 0
    channel.sendall(packet[sent:])


class Inbox:
    """Messages that arrive on a socket.

    Args:
        channel: The socket; it is read without waiting.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._buffer = bytearray()
        self.fds: list[int] = []
        self.is_closed = False

    def read(self) -> Iterator[dict[str, Any]]:
        """The messages that are complete by now; descriptors gather in `fds` in order."""
        if not self.is_closed:
            self._channel.settimeout(0)
        while not self.is_closed:
            try:
                # `socket.recv_fds` ignores its flags.
                data, control, _, _ = self._channel.recvmsg(_CHUNK, _SPACE)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self.is_closed = True
                break
            for level, kind, content in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    self._take_fds(content)
            self.is_closed = not data
            self._buffer += data
        while (message := self._next()) is not None:
            yield message

    def _take_fds(self, content: bytes) -> None:
        fds = array.array("i")
        fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
        for fd in fds:
            os.set_inheritable(fd, False)  # noqa: FBT003  it takes no keywords
        self.fds += fds

    def _next(self) -> dict[str, Any] | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if len(self._buffer) < _LENGTH.size + length:
            return None
        content = bytes(self._buffer[_LENGTH.size : _LENGTH.size + length])
        del self._buffer[: _LENGTH.size + length]
        message: dict[str, Any] = json.loads(content)
        return message


def receive(channel: socket.socket) -> dict[str, Any]:
    """Wait for one message.

    Raises:
        EOFError: If the other side has ended.
    """
    channel.settimeout(None)
    (length,) = _LENGTH.unpack(_exactly(channel, _LENGTH.size))
    message: dict[str, Any] = json.loads(_exactly(channel, length))
    return message


def _exactly(channel: socket.socket, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        data = channel.recv(min(_CHUNK, size - len(content)))
        if not data:
            raise EOFError
        content += data
    return bytes(content)
