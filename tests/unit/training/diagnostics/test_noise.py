"""The noise scale is that of a gradient whose mean and covariance are known."""

import math

import numpy as np
import pytest
import torch

from tuner.training.diagnostics.noise import PROBES, NoiseScale, undisturbed

FEATURES, SIGMA = 50, 0.5


def probes(sizes, rounds, square):
    """(tr Σ, |G|²) of many probes of a loss whose gradient for an example is the example."""
    generator = torch.Generator().manual_seed(5)
    center = torch.full((FEATURES,), math.sqrt(square / FEATURES))
    found = []
    for _ in range(rounds):
        model = torch.nn.Linear(FEATURES, 1, bias=False)
        scale = NoiseScale(model, [model.weight])
        for _ in range(PROBES):
            xs = [center + SIGMA * torch.randn(n, FEATURES, generator=generator) for n in sizes]
            model.weight.grad = None
            model(xs[0]).mean().backward()
            scale.probe(sizes[0], lambda m=model, x=xs[1]: (m(x).mean(), len(x)))
        found += scale.state()
        spread, along = np.mean(scale.state(), axis=0)
        assert scale.value() == pytest.approx(spread / along if along > 0 else math.inf)
    return np.array(found)


@pytest.mark.parametrize("sizes", [(32, 32), (48, 16)])
def test_both_parts_are_unbiased(sizes):
    trace = FEATURES * SIGMA**2
    each = 1 / sizes[0] + 1 / sizes[1]
    square = trace * each
    found = probes(sizes, 60, square)
    n = len(found)
    # |g − g'|² / each is tr Σ times a chi-square over its degrees; g·g' has the variance of the
    # linear parts, |G|²σ²·each, and of the noise's product, at most.
    deviations = [
        trace * math.sqrt(2 / FEATURES / n),
        math.sqrt((square * SIGMA**2 * each + FEATURES * SIGMA**4 / sizes[0] / sizes[1]) / n),
    ]
    assert np.abs(found.mean(0) - [trace, square]).tolist() <= [4 * d for d in deviations]
    assert max(deviations) < 0.02 * max(trace, square)


def test_it_is_the_papers_estimator_for_a_batch_and_its_double():
    generator = torch.Generator().manual_seed(1)
    model = torch.nn.Linear(3, 2)
    x, y = torch.randn(2, 8, 3, generator=generator), torch.randn(2, 8, 2, generator=generator)

    def loss(half):
        return torch.nn.functional.mse_loss(model(x[half]), y[half])

    def length(value):
        parts = torch.autograd.grad(value, list(model.parameters()))
        return sum(float(part.square().sum()) for part in parts)

    small, big = (length(loss(0)) + length(loss(1))) / 2, length((loss(0) + loss(1)) / 2)
    square = (16 * big - 8 * small) / (16 - 8)
    trace = (small - big) / (1 / 8 - 1 / 16)
    scale = NoiseScale(model, list(model.parameters()))
    loss(0).backward()
    scale.probe(8, lambda: (loss(1), 8))
    assert scale.state() == [pytest.approx([trace, square], rel=1e-4)]


def test_without_a_resolved_gradient_it_is_infinite_and_without_a_probe_none():
    model = torch.nn.Linear(2, 1, bias=False)
    scale = NoiseScale(model, [model.weight])
    assert scale.value() is None
    model.weight.grad = torch.tensor([[1.0, 0.0]])
    scale.probe(4, lambda: ((model.weight * torch.tensor([[-1.0, 0.5]])).sum(), 4))
    assert scale.value() == math.inf


def test_the_last_probes_count_and_go_on_from_a_state():
    model = torch.nn.Linear(1, 1, bias=False)

    def probe(scale, own, other):
        model.weight.grad = torch.full((1, 1), own)
        scale.probe(2, lambda: ((model.weight * other).sum(), 2))

    first, second = (NoiseScale(model, [model.weight]) for _ in range(2))
    for i in range(7):
        probe(first, 1.0 + i, 2.0)
    second.load(first.state())
    for i in range(PROBES - 1):
        for scale in (first, second):
            probe(scale, 3.0, 4.0 + i)
    assert first.value() == second.value()
    assert len(first.state()) == PROBES
    assert first.state()[0] == [(7.0 - 2.0) ** 2, 14.0]


def test_a_weight_without_a_gradient_is_left_out():
    model = torch.nn.ModuleDict({"a": torch.nn.Linear(1, 1), "b": torch.nn.Linear(1, 1)})
    scale = NoiseScale(model, list(model.parameters()))
    model["a"](torch.ones(1, 1)).sum().backward()
    scale.probe(1, lambda: (model["a"](torch.ones(1, 1)).sum(), 1))
    assert scale.state() == [[0.0, 2.0]]


def test_random_numbers_and_buffers_are_put_back():
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5))
    model(torch.randn(4, 3))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    with undisturbed(model, list(model.parameters())):
        model(torch.randn(4, 3))
        assert not torch.equal(model[0].running_mean, before["0.running_mean"])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
