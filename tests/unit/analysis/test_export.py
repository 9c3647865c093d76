"""Exports lose nothing and say what is what."""

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tuner.analysis.export import export
from tuner.errors import UnknownName


@pytest.fixture
def trials(make_trial):
    return [
        make_trial(1, "NaN", params={"lr": 1, "c": True}, diverged=True),
        make_trial(0, 0.1, params={"lr": 0.1, "c": 'a,\n"b"'}, user_attrs={"note": "é"}),
        make_trial(2, state="fail", reason="oom", params={"lr": 0.2, "c": 1}),
    ]


@pytest.fixture
def study(make_study):
    return make_study(expanded_space={"parameters": {"lr": {"type": "float"}, "c": {}}})


def test_jsonl_holds_each_trial_unchanged_in_order(study, trials):
    lines = export(study, trials, "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == sorted(trials, key=lambda t: t["number"])
    assert "é" in lines[0]


def test_csv_has_a_row_a_trial_and_typed_text(study, trials):
    rows = list(csv.DictReader(io.StringIO(export(study, trials, "csv"))))
    assert [row["number"] for row in rows] == ["0", "1", "2"]
    assert list(rows[0])[:2] == ["number", "state"]
    assert list(rows[0])[-3:] == ["params.lr", "params.c", "values.val_loss"]
    assert [row["params.c"] for row in rows] == ['a,\n"b"', "true", "1"]
    assert [row["values.val_loss"] for row in rows] == ["0.1", "NaN", ""]
    assert rows[2]["reason"] == "oom"
    assert float(rows[0]["params.lr"]) == 0.1


def test_parquet_has_the_same_columns_with_real_types(study, trials):
    table = pq.read_table(io.BytesIO(export(study, trials, "parquet")))
    header = export(study, trials, "csv").splitlines()[0]
    assert table.column_names == header.split(",")
    assert table.schema.field("number").type == pa.int64()
    assert table.schema.field("diverged").type == pa.bool_()
    assert table.schema.field("params.lr").type == pa.float64()
    assert table["params.lr"].to_pylist() == [0.1, 1.0, 0.2]
    values = table["values.val_loss"].to_pylist()
    assert values[0] == 0.1
    assert values[1] != values[1]
    assert values[2] is None
    # several kinds in one column stay apart as text
    assert table["params.c"].to_pylist() == ['a,\n"b"', "true", "1"]


def test_integers_beyond_64_bits_are_kept_as_text(study, make_trial):
    big = 2**80
    found = export(study, [make_trial(0, params={"seed": big})], "parquet")
    assert pq.read_table(io.BytesIO(found))["params.seed"].to_pylist() == [str(big)]


@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet"])
def test_a_study_without_trials_exports(study, format):
    found = export(study, [], format)
    if format == "parquet":
        assert pq.read_table(io.BytesIO(found)).num_rows == 0
    elif format == "csv":
        assert found.startswith("number,state,")
        assert found.count("\n") == 1
    else:
        assert found == ""


def test_an_unknown_format_lists_the_known_ones(study):
    with pytest.raises(UnknownName, match="jsonl, csv, parquet"):
        export(study, [], "xlsx")
