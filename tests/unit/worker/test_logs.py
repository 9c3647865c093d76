"""A trial's log: passed on as it grows, within limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.worker import logs
from tuner.worker.logs import LogFile


def test_a_log_is_passed_on_as_it_grows(tmp_path):
    log = LogFile(tmp_path / "log")
    assert log.read() == ""
    with log.file.open("ab") as stream:
        stream.write("häl".encode()[:2])
        stream.flush()
        assert log.read() == "h"
        stream.write("häl".encode()[2:] + b"\x00\n\n")
        stream.flush()
        assert log.read() == "äl\\0\n\n"
    assert log.last_line == "äl\\0"
    assert log.read(final=True) == ""


@pytest.mark.parametrize("final_only", [True, False])
def test_of_a_long_log_the_beginning_and_the_end_are_kept(tmp_path, monkeypatch, final_only):
    monkeypatch.setattr(logs, "HEAD", 100)
    monkeypatch.setattr(logs, "TAIL", 50)
    log = LogFile(tmp_path / "log")
    content = "".join(f"{i:09d}\n" for i in range(30_000))
    log.file.write_text(content)
    text = "" if final_only else log.read()
    text += log.read(final=True)
    assert text.startswith(content[:100])
    assert text.endswith(content[-50:])
    assert f"[{len(content) - 150} characters are left out here]" in text


@given(pieces=st.lists(st.binary(max_size=40), max_size=20))
def test_no_bytes_whatever_break_the_log_or_get_lost(tmp_path_factory, pieces):
    log = LogFile(tmp_path_factory.mktemp("log") / "log")
    text = ""
    with log.file.open("ab") as stream:
        for piece in pieces:
            stream.write(piece)
            stream.flush()
            text += log.read()
    text += log.read(final=True)
    assert text == b"".join(pieces).decode("utf-8", "replace").replace("\x00", "\\0")


def test_a_log_beyond_all_measure_does_not_fill_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "_FILE_LIMIT", 300_000)
    monkeypatch.setattr(logs, "HEAD", 1000)
    log = LogFile(tmp_path / "log")
    with log.file.open("ab") as stream:
        for _ in range(20):
            stream.write(b"x" * 99_999 + b"\n")
            stream.flush()
            log.read()
        assert log.file.stat().st_size < 700_000
        stream.write(b"the end\n")
        stream.flush()
    assert log.read(final=True).endswith("the end\n")


def test_a_log_that_grows_faster_than_it_is_read_is_emptied_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "_FILE_LIMIT", 1_000_000)
    monkeypatch.setattr(logs, "_A_LOOK", 2 * logs._CHUNK)
    monkeypatch.setattr(logs, "HEAD", 1000)
    log = LogFile(tmp_path / "log")
    text = ""
    with log.file.open("ab") as stream:
        for _ in range(5):
            stream.write(b"\xc3\xa4" * 999_999 + b"\n")
            stream.flush()
            text += log.read()
        assert log.file.stat().st_size < 5_000_000
        stream.write(b"the end\n")
        stream.flush()
    assert text == "ä" * 1000
    assert log.read(final=True).endswith("ä\nthe end\n")
