import os
import pickle
import stat

import pytest
import torch

from tuner.client.checkpoints import Checkpoints, load
from tuner.errors import Invalid, TunerError


def test_plain_data_and_bytes_come_back_equal(tmp_path):
    kept = Checkpoints(tmp_path / "ck")
    state = {"epoch": 3, "loss": float("inf"), "names": ["a", None, True]}
    assert load(kept.save(state, 1)) == state
    assert load(kept.save(b"\x00\xff", 2)) == b"\x00\xff"


def test_only_the_newest_two_are_kept_and_no_part_is_left(tmp_path):
    kept = Checkpoints(tmp_path)
    for step in (1, 2, 30):
        newest = kept.save({"step": step}, step)
    assert kept.newest() == newest
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-0000000000000002.json",
        "checkpoint-0000000000000030.json",
    ]


def test_a_checkpoint_saved_after_going_back_is_not_dropped(tmp_path):
    kept = Checkpoints(tmp_path)
    for step in (10, 20, 5):
        file = kept.save({"step": step}, step)
    assert load(file) == {"step": 5}


def test_clearing_deletes_what_was_saved_and_nothing_else(tmp_path):
    kept = Checkpoints(tmp_path / "trial")
    kept.clear()  # nothing was kept
    kept.save({"step": 1}, 1)
    kept.save(b"x", 2)
    (kept.folder / ".checkpoint-0000000000000003.pt.77.part").write_bytes(b"half")
    kept.clear()
    assert not kept.folder.exists()
    kept.save({"step": 1}, 1)
    mine = ["checkpoint-12", "checkpoint-best.pt", "model.pt"]
    for name in mine:
        (kept.folder / name).write_bytes(b"mine")
    kept.clear()
    assert sorted(path.name for path in kept.folder.iterdir()) == mine


def test_the_folder_is_for_its_user_only(tmp_path):
    folder = tmp_path / "deep" / "ck"
    Checkpoints(folder).save({}, 0)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_an_object_that_would_need_unpickling_is_refused_when_saved(tmp_path):
    with pytest.raises(Invalid, match=r"state\['model'\], a object"):
        Checkpoints(tmp_path).save({"model": object()}, 1)
    with pytest.raises(Invalid):
        Checkpoints(tmp_path).save((1, 2, {3: object()}), 1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_typed_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TunerError, match="cannot be written"):
        Checkpoints(tmp_path / "file" / "ck").save({}, 1)


@pytest.mark.parametrize(
    "name", ["x.json", "checkpoint-1.json", "checkpoint-0000000000000001.pkl"]
)
def test_only_files_named_as_ours_are_loaded(tmp_path, name):
    (tmp_path / name).write_text("{}")
    with pytest.raises(TunerError, match="is not a checkpoint"):
        load(tmp_path / name)


def test_tensors_come_back_and_a_planted_pickle_does_not_run(tmp_path):
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.state[model.weight] = {"step": torch.tensor(1.0), "exp_avg": torch.ones(1, 2)}
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 1}
    file = Checkpoints(tmp_path).save(state, 1)
    back = load(file)
    assert back["epoch"] == 1
    assert torch.equal(back["model"]["weight"], model.state_dict()["weight"])
    torch.optim.AdamW(model.parameters()).load_state_dict(back["optimizer"])

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "evil"),))

    file.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(TunerError, match="cannot be read"):
        load(file)
    assert not (tmp_path / "evil").exists()


def test_a_tensor_among_objects_is_refused_with_the_place(tmp_path):
    with pytest.raises(Invalid, match=r"state\['b'\]\[0\], a ndarray"):
        Checkpoints(tmp_path).save({"a": torch.ones(1), "b": [torch.ones(1).numpy()]}, 1)
