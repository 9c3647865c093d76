"""Folders of images and torchvision's sets; of these two only torchvision may be missing."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from tuner.errors import BadData
from tuner.tasks.check import complete
from tuner.training import run_task
from tuner.training.own import Params
from tuner.training.sources import load_data


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def draw(folder):
    """Writes an image of one brightness and some noise."""
    random = np.random.default_rng(3)

    def write(name, level, size=(8, 8), mode="L"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shape = (size[1], size[0], *((3,) if mode == "RGB" else ()))
        pixels = random.integers(level, level + 60, shape).astype(np.uint8)
        Image.fromarray(pixels).save(file)
        return file

    return write


def load(task):
    return load_data(complete(task), Params({}), "cpu")


def refused(task):
    with pytest.raises(BadData) as caught:
        load(task)
    return str(caught.value)


def test_every_folder_is_a_class_and_a_network_learns_them(draw, make_trial):
    for i in range(20):
        draw(f"photos/cat/{i}.png", 0)
        draw(f"photos/dog/{i}.jpg", 150)
    task = {"dataset": "photos/", "model": "cnn", "epochs": 4, "channels": 4, "batch_size": 8}
    data = load(task)
    assert (data.spec.kind, data.spec.outputs, data.spec.image) == ("classification", 2, (1, 8, 8))
    assert load(task) is not data  # flattened anew, from the same examples
    trial = make_trial({"optimizer": "adam", "lr": 1e-2})
    run_task(task, trial)
    assert trial.rows[4]["val_accuracy"] == 1.0


def test_parts_may_be_given_as_folders_and_sizes_made_alike(draw):
    for part, count in (("train", 4), ("val", 2), ("test", 3)):
        for i in range(count):
            draw(f"p/{part}/a/{i}.png", 0, (9, 7), "RGB")
            draw(f"p/{part}/b/{i}.png", 90, (6, 5))
    data = load({"dataset": "p/", "model": "nets:build", "image_size": 4, "standardise": "none"})
    assert data.train_x.shape == (8, 3, 4, 4)
    assert (len(data.val_x), len(data.test_x)) == (4, 6)
    assert data.train_x.min() >= 0
    assert data.train_x.max() <= 1
    assert "not of one size" in refused({"dataset": "p/"})


def test_bad_folders_are_refused(draw, folder):
    (folder / "photos").mkdir()
    assert "it has no images" in refused({"dataset": "photos/"})
    draw("photos/cat/0.png", 0)
    (folder / "photos" / "dog").mkdir()
    assert "its folder 'dog' has no images" in refused({"dataset": "photos/"})
    (folder / "photos" / "dog" / "1.png").write_bytes(b"no image")
    assert "1.png: it cannot be read" in refused({"dataset": "photos/"})
    good = draw("photos/dog/1.png", 90, (40, 40)).read_bytes()
    (folder / "photos" / "dog" / "1.png").write_bytes(good[: len(good) // 2])
    assert "1.png: it cannot be read" in refused({"dataset": "photos/", "image_size": 8})
    draw("photos/dog/1.png", 90)
    assert "class 'cat' has 1 example" in refused({"dataset": "photos/"})


@pytest.fixture
def torchvision():
    pytest.importorskip("torchvision", reason="the extra 'vision' is not installed")


def idx(file, array):
    """A file in the format of MNIST."""
    file.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    file.write_bytes(header + array.astype(np.uint8).tobytes())
    with gzip.open(file.with_name(file.name + ".gz"), "wb") as packed:
        packed.write(file.read_bytes())


def test_a_set_of_torchvision_is_read_from_its_files_with_its_own_test_set(
    torchvision, folder, make_trial
):
    raw = folder / "sets" / "MNIST" / "raw"
    for name, count in (("train", 60), ("t10k", 12)):
        labels = np.arange(count) % 3
        idx(raw / f"{name}-images-idx3-ubyte", np.repeat(labels * 80, 784).reshape(count, 28, 28))
        idx(raw / f"{name}-labels-idx1-ubyte", labels)
    task = {"dataset": "torchvision:MNIST", "root": "sets", "model": "cnn", "channels": 2}
    data = load(task)
    assert data.spec.image == (1, 28, 28)
    assert [len(part) for part in (data.train_x, data.val_x, data.test_x)] == [48, 12, 12]
    assert load({**task, "image_size": 8}).spec.image == (1, 8, 8)
    trial = make_trial({"optimizer": "adam", "lr": 1e-2})
    run_task({**task, "epochs": 3, "batch_size": 8}, trial)
    assert trial.rows[3]["val_accuracy"] > 0.6


def test_a_set_that_is_not_there_or_has_no_name_is_refused(torchvision, folder):
    task = {"dataset": "torchvision:MNIST", "root": "sets"}
    assert "there is no folder sets" in refused(task)
    (folder / "sets").mkdir()
    assert "give download: true" in refused(task)
    assert "did you mean 'MNIST'?" in refused({**task, "dataset": "torchvision:MNITS"})
    assert "no set 'np'" in refused({**task, "dataset": "torchvision:np"})


def test_what_is_not_installed_is_said(monkeypatch, folder):
    import sys

    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    assert "needs torchvision" in refused({"dataset": "torchvision:MNIST"})
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    (folder / "photos").mkdir()
    assert "need Pillow" in refused({"dataset": "photos/"})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (folder / "t.parquet").write_bytes(b"")
    assert "need pyarrow" in refused({"dataset": "t.parquet"})
    assert torch.is_tensor(load({"dataset": "wine"}).train_x)
