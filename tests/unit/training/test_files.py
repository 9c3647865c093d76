"""Data from files and folders: what is read, and every bad input with its answer."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pytest
import torch
from pyarrow import parquet

from tuner.errors import BadData
from tuner.tasks.check import complete
from tuner.training import run_task
from tuner.training.own import Params
from tuner.training.sources import load_data

X = np.random.default_rng(3).normal(size=(60, 4))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 1)
CSV = "height,colour,weight,price\n1.5,red,3,10.5\n2.5,blue,4,11.5\n3.5,red,5,12\n4,red,6,13\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def random():
    return np.random.default_rng(4)


def load(task):
    return load_data(complete(task), Params({}), "cpu")


def csv_file(text, name="t.csv"):
    Path(name).write_text(text, encoding="utf-8")
    return {"dataset": name}


def npz_file(**arrays):
    np.savez("a.npz", **arrays)
    return {"dataset": "a.npz"}


def refused(task):
    with pytest.raises(BadData) as caught:
        load(task)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_table_has_a_column_for_each_text_and_its_last_one_is_the_target():
    data = load({**csv_file(CSV), "standardise": "none", "test": 0.0})
    assert data.spec.kind == "regression"
    assert (data.spec.features, data.spec.outputs, data.spec.rows) == (4, 1, 4)
    rows = torch.cat([data.train_x, data.val_x]).tolist()
    assert sorted(rows)[0] == [1.5, 0.0, 1.0, 3.0]
    assert sorted(torch.cat([data.train_y, data.val_y])[:, 0].tolist()) == [10.5, 11.5, 12, 13]


def test_the_target_may_be_any_column_and_texts_or_whole_numbers_are_classes():
    text = "".join(f"{i / 10},{'ab'[i % 2]},{i % 3 + 5}\n" for i in range(30))
    task = csv_file("x,letter,number\n" + text)
    for target, outputs in (("letter", 2), ("number", 3)):
        data = load({**task, "target": target})
        assert (data.spec.kind, data.spec.outputs) == ("classification", outputs)
        assert set(data.train_y.tolist()) == set(range(outputs))
    assert load({**task, "kind": "regression"}).spec.kind == "regression"
    assert load({**task, "target": "x"}).spec.kind == "regression"


@pytest.mark.parametrize(
    ("text", "change", "said"),
    [
        ("", {}, "t.csv: it is empty"),
        ("a,b\n", {}, "no examples"),
        ("1,2\n3,4\n", {}, "first line must name the columns"),
        ("a,a\n1,2\n", {}, "two columns are named 'a'"),
        ("a,,c\n1,2,3\n", {}, "column 2 has no name"),
        ("a,b\n1,2\n1,2,3\n", {}, "line 3 has 3 cells, the first line 2"),
        ("a,b\n1,2\n,2\n", {}, "line 3, column 'a', is empty"),
        ("a,b\n1,2\nn/a,2\n", {}, "line 3, column 'a', is 'n/a' among numbers"),
        ("a,b\n1,2\nnan,1\n", {}, "nan in example 1, column 'a'"),
        ("a,b\n1,2.5\n3,inf\n4,1.5\n5,1.5\n", {}, "y is inf"),
        ("b\n1\n2\n", {}, "no column beside the target"),
        ("a,price\n1,2\n", {"target": "prise"}, "did you mean 'price'?"),
        ("a,b\n1,x\n2,x\n3,x\n", {}, "only one class, x"),
        ("a,b\n1,x\n2,y\n3,x\n4,x\n", {}, "class 'y' has 1 example"),
        ("a,b\n1,x\n2,y\n", {"kind": "regression"}, "target is text"),
        ("a,b\n1,0.5\n2,1\n", {"kind": "classification"}, "whole number or a text"),
        ('a,b\n"1,2\n', {}, "cannot be read"),
        (
            "a,b\n" + "".join(f"{i / 7},{i}\n" for i in range(50)),
            {},
            "50 different values in 50 examples",
        ),
        (
            "a,b\n" + "".join(f"name{i},{i % 2}\n" for i in range(70)),
            {},
            "column 'a' has 70 different texts",
        ),
    ],
)
def test_a_bad_table_is_refused_with_its_place(text, change, said):
    error = refused({**csv_file(text), **change})
    assert said in str(error)
    assert error.errors[0].path in ("trial.task.dataset", "trial.task.target")


def test_a_file_that_is_not_utf_8_or_not_there_is_refused(folder):
    (folder / "t.csv").write_bytes(b"a,b\n\xff,2\n")
    assert "cannot be read" in str(refused({"dataset": "t.csv"}))
    for name in ("gone.csv", "gone.npz", "gone.parquet", "gone/"):
        error = refused({"dataset": name})
        assert str(folder) in str(error)
        assert "relative to the folder of the worker" in error.hint


def test_arrays_are_read_in_their_parts():
    parts = {"x_val": X[:7], "y_val": Y[:7], "x_test": X[:5], "y_test": Y[:5]}
    data = load(npz_file(x=X, y=Y, **parts))
    assert [len(p) for p in (data.train_x, data.val_x, data.test_x)] == [60, 7, 5]
    assert data.train_x.mean(0).abs().max() < 1e-6
    data = load({**npz_file(x=X, label=Y), "target": "label"})
    assert [len(p) for p in (data.train_x, data.val_x, data.test_x)] == [36, 12, 12]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": X}, "no array 'y'"),
        ({"y": Y, "X": X}, "no array 'x'"),
        ({"x": X, "y": Y[:-1]}, "x has 60 examples and y 59"),
        ({"x": X, "y": Y, "x_val": X}, "it has no y_val"),
        ({"x": X, "y": Y, "z": X}, "an array 'z'"),
        ({"x": X[:0], "y": Y[:0]}, "no examples"),
        (
            {"x": X, "y": Y, "x_val": X[:, :2], "y_val": Y},
            "x_val has shape (2,), in training (4,)",
        ),
        ({"x": np.where(X > 2, np.nan, X), "y": Y}, "x is nan in example"),
        ({"x": X, "y": np.full(60, np.inf)}, "y is inf in example 0"),
        ({"x": X, "y": np.zeros(60, int)}, "only one class, 0"),
        ({"x": X.astype(str), "y": Y}, "x has type <U"),
        ({"x": X, "y": X + 1j}, "y has type complex128"),
        ({"x": np.float64(3), "y": Y}, "shape ()"),
    ],
)
def test_bad_arrays_are_refused_with_their_name(arrays, said):
    assert said in str(refused(npz_file(**arrays)))


def test_pickles_and_corrupt_files_are_refused(folder):
    odd = np.array([{"a": 1}], dtype=object)
    assert "arrays of objects" in str(refused(npz_file(x=odd, y=odd)))
    for content in (b"", b"PK\x03\x04 and no more", b"something else"):
        (folder / "b.npz").write_bytes(content)
        assert "b.npz: it cannot be read" in str(refused({"dataset": "b.npz"}))


@pytest.mark.parametrize("seed", range(12))
def test_a_split_takes_every_example_once_and_keeps_the_shares_of_classes(seed):
    random = np.random.default_rng(seed)
    rows, classes = int(random.integers(12, 300)), int(random.integers(2, 5))
    y = np.concatenate([np.arange(classes).repeat(3), random.integers(0, classes, rows)])
    x = np.arange(len(y), dtype=float)[:, None]
    shares = {"validation": 0.05 + 0.4 * random.random(), "test": 0.4 * random.random()}
    task = {**npz_file(x=x, y=y), **shares, "standardise": "none"}
    data = load(task)
    parts = [(data.train_x, data.train_y), (data.val_x, data.val_y), (data.test_x, data.test_y)]
    taken = torch.cat([part[:, 0] for part, _ in parts])
    assert sorted(taken.tolist()) == list(range(len(y)))
    for part, labels in parts:
        assert (labels.numpy() == y[part[:, 0].long().numpy()]).all()
        assert set(labels.tolist()) == set(range(classes))
    for (_, labels), share in zip(parts[1:], shares.values(), strict=True):
        assert len(labels) == pytest.approx(share * len(y), abs=classes)
    again = load({**task, "seed": 9})
    assert torch.equal(again.train_x, data.train_x)


def test_a_file_is_read_once_while_it_stays_the_same(folder):
    task = npz_file(x=X, y=Y)
    first = load({**task, "model": "nets:build"})
    assert load({**task, "model": "nets:build"}) is first
    npz_file(x=X + 1, y=Y)
    os.utime("a.npz", ns=(1, 1))
    assert load({**task, "model": "nets:build"}) is not first


def test_whole_numbers_that_an_own_model_looks_up_stay_what_they_are(random):
    tokens = random.integers(0, 50, (40, 6))
    task = {**npz_file(x=tokens, y=Y[:40]), "validation": 0.3}
    assert load({**task, "model": "nets:build"}).train_x.dtype == torch.int64
    assert load({**task, "model": "mlp"}).train_x.dtype == torch.float32


@pytest.mark.parametrize(
    ("shape", "image"),
    [((4,), None), ((6, 3), (1, 6, 3)), ((2, 6, 6), (2, 6, 6)), ((2, 3, 4, 4), None)],
)
def test_the_shape_of_an_example_says_whether_it_is_an_image(random, shape, image):
    x = random.normal(size=(60, *shape))
    data = load(npz_file(x=x, y=Y))
    assert data.spec.image == image
    assert data.train_x.shape[1:] == (int(np.prod(shape)),)
    assert load({**npz_file(x=x, y=Y), "model": "nets:build"}).train_x.shape[1:] == shape


@pytest.mark.parametrize("model", ["cnn", "rnn", "gru", "lstm", "transformer"])
def test_models_of_images_and_sequences_train_on_files(random, make_trial, model):
    x = random.normal(size=(60, 8, 5))
    x[:, 3] += Y[:, None]
    trial = make_trial({"optimizer": "adam", "lr": 1e-2})
    task = {**npz_file(x=x, y=Y), "model": model, "epochs": 4, "width": 8, "batch_size": 16}
    run_task(task, trial)
    assert trial.rows[4]["train_loss"] < trial.rows[1]["train_loss"]


@pytest.mark.parametrize(
    ("shape", "said"), [((4,), "takes images only"), ((3, 3), "4 by 4 at least")]
)
def test_a_model_of_images_refuses_what_turns_out_to_be_none(random, make_trial, shape, said):
    task = {**npz_file(x=random.normal(size=(60, *shape)), y=Y), "model": "cnn", "epochs": 1}
    with pytest.raises(BadData, match=said) as caught:
        run_task(task, make_trial({"optimizer": "sgd"}))
    assert caught.value.errors[0].path == "trial.task.model"


def test_label_smoothing_needs_classes_in_the_file(make_trial):
    task = {**csv_file(CSV * 1), "label_smoothing": 0.1, "test": 0.0, "epochs": 1}
    with pytest.raises(BadData, match="no labels to smooth"):
        run_task(task, make_trial({"optimizer": "sgd"}))


def test_a_parquet_file_is_read_like_a_csv_one():
    rows = list(csv.DictReader(CSV.splitlines()))
    columns = {
        name: [row[name] if name == "colour" else float(row[name]) for row in rows]
        for name in rows[0]
    }
    parquet.write_table(arrow.table(columns), "t.parquet")
    options = {"standardise": "none", "test": 0.0}
    one, other = load({**csv_file(CSV), **options}), load({"dataset": "t.parquet", **options})
    assert torch.equal(one.train_x, other.train_x)
    assert torch.equal(one.val_y, other.val_y)
    columns["colour"][1] = None
    parquet.write_table(arrow.table(columns), "u.parquet")
    assert "row 1, column 'colour', is empty" in str(refused({"dataset": "u.parquet"}))
    parquet.write_table(arrow.table({"a": [[1], [2]], "b": [1, 2]}), "v.parquet")
    assert "values of type list" in str(refused({"dataset": "v.parquet"}))
    Path("w.parquet").write_bytes(b"no table")
    assert "cannot be read" in str(refused({"dataset": "w.parquet"}))
