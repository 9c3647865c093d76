"""Process trees: tie them to their parent, find who descends from whom, end them all.

Process groups are POSIX. That orphans can be adopted, that a child dies with its parent, and that
descendants are found although they left their group, is Linux; elsewhere the group is all there is.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

_STOP: Final = int(getattr(signal, "SIGSTOP", signal.SIGTERM))
_PROC: Final = Path("/proc")
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_PAUSE_S: Final = 0.01
IS_LINUX: Final = sys.platform.startswith("linux")
# Windows has the module but not the number.
KILL: Final = int(getattr(signal, "SIGKILL", signal.SIGTERM))


def die_with(parent: int) -> None:
    """Let this process be killed when `parent`, which forked it, ends (Linux only)."""
    if not IS_LINUX:
        return
    _prctl(_PR_SET_PDEATHSIG, KILL)
    if os.getppid() != parent:  # it ended before the line above
        os.kill(os.getpid(), KILL)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends (Linux only)."""
    if IS_LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def parents(zombies: bool = False) -> dict[int, int]:
    """The parent of every process that can be seen; empty where there is no /proc."""
    found: dict[int, int] = {}
    if not IS_LINUX:
        return found
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        # The name, in parentheses, may hold anything; state and parent follow it.
        state, parent = stat.rpartition(")")[2].split()[:2]
        if zombies or state != "Z":
            found[int(folder.name)] = int(parent)
    return found


def descendants(root: int, tree: dict[int, int] | None = None) -> list[int]:
    """Living processes below `root`, near ones first, `root` not among them."""
    children: dict[int, list[int]] = {}
    for pid, parent in (parents() if tree is None else tree).items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(0), [])
        found += below
        queue += below
    return found


def children() -> list[int]:
    """The direct children of this process, zombies included; empty where there is no /proc."""
    try:
        text = (_PROC / "self" / "task" / str(os.getpid()) / "children").read_text()
    except OSError:  # a kernel without this file
        mine = os.getpid()
        return [pid for pid, parent in parents(zombies=True).items() if parent == mine]
    return [int(pid) for pid in text.split()]


def signal_tree(leader: int, number: int) -> None:
    """Send a signal to a leader's group and to descendants that left the group."""
    below = descendants(leader)
    send_group(leader, number)
    for pid in below:
        if _group(pid) != leader:
            send(pid, number)


def kill_tree(leader: int, seconds: float = 5.0) -> None:
    """Kill a leader's group and all its descendants; returns when none is left that can be seen.

    The leader is held still and its descendants go first, again until no new ones appear: a tree
    that keeps forking while it is killed would otherwise leave survivors. The leader's own end is
    for its parent to collect.
    """
    end = time.monotonic() + seconds
    send(leader, _STOP)
    while True:
        below = descendants(leader)
        for pid in below:
            send(pid, KILL)
        if not below or time.monotonic() > end:
            break
        time.sleep(_PAUSE_S)
    send_group(leader, KILL)


def send(pid: int, number: int) -> None:
    """Send a signal to one process that may have ended."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def send_group(leader: int, number: int) -> None:
    """Send a signal to a process group that may have ended."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        # Before the leader has its own group (the first moment of its life) it is alone.
        send(leader, number)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, PermissionError):
        return -1


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
