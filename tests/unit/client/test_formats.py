"""The format of a document follows from its file's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner.client.formats import EXPORTS, REPORTS, chosen
from tuner.errors import Invalid


@pytest.mark.parametrize(
    ("given", "file", "format_"),
    [
        (None, None, "md"),
        (None, "report", "md"),
        (None, "a.b/r.html", "html"),
        (None, "R.JSON", "json"),
        ("json", "r.html", "json"),
        ("html", "r.pdf", "html"),
    ],
)
def test_a_named_format_wins_over_the_end_of_the_name_and_that_over_the_default(
    given, file, format_
):
    path = None if file is None else Path(file)
    assert chosen(REPORTS, "md", given, path) == format_


def test_an_end_that_names_no_format_is_refused_with_those_that_do():
    with pytest.raises(Invalid, match=r"'r\.pdf'.*json, md, html") as caught:
        chosen(REPORTS, "md", None, Path("r.pdf"))
    assert ".html" in caught.value.hint
    with pytest.raises(Invalid, match="jsonl, csv, parquet"):
        chosen(EXPORTS, "jsonl", None, Path("r.html"))


def test_a_format_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(Invalid, match="'parket'") as caught:
        chosen(EXPORTS, "jsonl", "parket", Path("t.csv"))
    assert "'parquet'" in caught.value.hint
