"""Arithmetic of devices: nothing is given out twice, nothing is lost."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.errors import Invalid, NotAvailable
from tuner.worker.devices import Gpu, choose, cores, visible
from tuner.worker.resources import ResourcePool, exact

GPUS = tuple(Gpu(f"GPU-{letter}000") for letter in "abcd")
NEED = st.fixed_dictionaries(
    {
        "gpus": st.sampled_from([0, 0, 0.1, 0.25, 0.3, 0.5, 1, 2, 4]),
        "cpus": st.sampled_from([0.5, 1, 2, 3]),
    }
)
STEPS = st.lists(st.one_of(NEED, st.integers(0, 20)), max_size=60)


@given(
    cpus=st.integers(1, 8),
    gpus=st.integers(0, 4),
    slots=st.none() | st.integers(1, 6),
    steps=STEPS,
)
def test_whatever_is_taken_and_given_back_nothing_is_shared_beyond_its_size(
    cpus, gpus, slots, steps
):
    pool = ResourcePool(cpus, GPUS[:gpus], slots)
    held = []
    for step in steps:
        if isinstance(step, int):
            if held:
                pool.release(held.pop(step % len(held)))
        elif (allocation := pool.try_allocate(step)) is not None:
            wanted = min(exact(step["cpus"]), exact(max(cpus, slots or 0)))
            assert exact(allocation.cpus) == wanted
            assert len(allocation.gpus) == (
                step["gpus"] if step["gpus"] >= 1 else step["gpus"] > 0
            )
            assert len(set(allocation.gpus)) == len(allocation.gpus)
            held.append(allocation)
        assert len(held) <= (slots or len(held))
        assert sum(exact(a.cpus) for a in held) <= max(cpus, slots or 0)
        for gpu in GPUS[:gpus]:
            assert sum((a.share for a in held if gpu in a.gpus), Fraction(0)) <= 1
    for allocation in held:
        pool.release(allocation)
    assert pool.is_idle
    assert (pool.free_cpus, pool.free_gpus) == (max(cpus, slots or 0), gpus)


def test_two_halves_share_one_gpu_and_leave_the_other_whole():
    pool = ResourcePool(8, GPUS[:2])
    first, second = (pool.try_allocate({"gpus": 0.5, "cpus": 1}) for _ in range(2))
    assert first.gpus == second.gpus
    assert pool.try_allocate({"gpus": 1, "cpus": 1}).gpus != first.gpus


def test_ten_tenths_are_one_gpu():
    pool = ResourcePool(100, GPUS[:1])
    taken = [pool.try_allocate({"gpus": 0.1, "cpus": 1}) for _ in range(11)]
    assert taken[9] is not None
    assert taken[10] is None


def test_several_gpus_are_given_all_or_none():
    pool = ResourcePool(8, GPUS[:3])
    pool.try_allocate({"gpus": 0.25, "cpus": 1})
    assert pool.try_allocate({"gpus": 3, "cpus": 1}) is None
    assert len(pool.try_allocate({"gpus": 2, "cpus": 1}).gpus) == 2


def test_without_a_gpu_there_is_a_slot_for_each_core_of_a_trial():
    pool = ResourcePool(4)
    assert pool.slots == 4
    assert [pool.try_allocate({"cpus": 2}) is not None for _ in range(3)] == [True, True, False]


def test_explicit_slots_may_exceed_the_cores():
    pool = ResourcePool(2, (), slots=5)
    assert [pool.try_allocate(None) is not None for _ in range(6)] == [True] * 5 + [False]


def test_a_trial_that_wants_more_cores_than_there_are_runs_alone():
    pool = ResourcePool(2)
    assert pool.try_allocate({"cpus": 8}).cpus == 2
    assert pool.try_allocate({"cpus": 1}) is None
    busy = ResourcePool(2)
    busy.try_allocate({"cpus": 1})
    assert busy.try_allocate({"cpus": 8}) is None


def test_a_trial_sees_its_gpus_by_uuid_and_without_a_gpu_none():
    pool = ResourcePool(4, GPUS[:2])
    assert pool.try_allocate({"gpus": 2, "cpus": 2}).env == {
        "CUDA_VISIBLE_DEVICES": "GPU-a000,GPU-b000",
        "OMP_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
    }
    assert pool.try_allocate({"gpus": 0, "cpus": 0.5}).env["CUDA_VISIBLE_DEVICES"] == ""
    assert pool.free_gpus == 0


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, "abcd"),
        ("", ""),
        ("2,0", "ca"),
        ("GPU-b", "b"),
        ("GPU-d000,1", "db"),
        ("1,9,0", "b"),
        ("-1", ""),
        ("GPU-", ""),
        ("0,0", "a"),
        ("NoDevFiles", ""),
    ],
)
def test_an_existing_setting_is_kept_to(setting, expected):
    assert [gpu.uuid[4] for gpu in visible(GPUS, setting)] == list(expected)


def test_parts_of_a_gpu_keep_their_name():
    assert [gpu.uuid for gpu in visible(GPUS, "MIG-7,MIG-8")] == ["MIG-7", "MIG-8"]


def test_cpu_means_no_gpu_and_all_usable_cores_count():
    assert choose("cpu", None) == []
    assert cores() >= 1


@pytest.mark.parametrize("text", ["gpu", "cuda", "cuda:x", "cuda:0,cpu", "", "cuda:0,cuda:0"])
def test_other_texts_are_refused(text):
    with pytest.raises(Invalid, match="devices"):
        choose(text, "")


def test_a_gpu_that_is_not_there_is_named():
    with pytest.raises(NotAvailable, match="cuda:3 is not there"):
        choose("cuda:3", "")
