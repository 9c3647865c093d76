"""Lengths, quantiles, update ratios, spikes and memory against computations of their own."""

import math

import numpy as np
import pytest
import torch

from tuner.training.diagnostics import updates
from tuner.training.diagnostics.memory import PeakMemory
from tuner.training.diagnostics.series import Lengths, Losses, norms, quantile
from tuner.training.diagnostics.spikes import LossSpikes
from tuner.training.diagnostics.updates import UpdateRatios


def test_lengths_are_those_of_all_numbers_together_in_order():
    generator = torch.Generator().manual_seed(0)
    lengths, expected = Lengths(), []
    for i in range(150):
        parts = [torch.randn(3, 4, generator=generator), torch.randn(5, generator=generator)]
        parts = parts[: 1 + (i % 7 > 0)]
        lengths.append(norms(parts))
        expected.append(float(torch.cat([part.reshape(-1) for part in parts]).norm()))
    assert lengths.values() == pytest.approx(expected)


def test_a_sparse_gradient_has_its_length():
    table = torch.nn.Embedding(5, 2, sparse=True)
    table(torch.tensor([1, 1, 3])).sum().backward()
    assert table.weight.grad.is_sparse
    assert float(norms([table.weight.grad])[0]) == pytest.approx(math.sqrt(2 * 4 + 2))


def test_losses_keep_their_order_whatever_they_are():
    losses = Losses()
    for i in range(200):
        losses.append(torch.tensor(float(i), requires_grad=True) if i % 70 else float(i))
    assert losses.values() == [float(i) for i in range(200)]


@pytest.mark.parametrize("n", [1, 2, 9, 10, 11, 100])
def test_quantiles_are_numpys(n):
    values = np.random.default_rng(n).normal(size=n).tolist()
    for share in (0.0, 0.5, 0.9, 1.0):
        assert quantile(values, share) == pytest.approx(np.quantile(values, share))


def test_quantiles_of_what_is_not_finite_are_infinite_where_they_reach_it():
    assert quantile([1.0, math.nan, 2.0], 0.5) == 2.0
    assert quantile([1.0, math.nan, 2.0], 0.9) == math.inf
    assert math.isnan(quantile([], 0.5))


def test_update_ratios_are_the_steps_by_hand():
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    ratios = UpdateRatios(dict(model.named_parameters()))
    expected = {"0.weight": [], "1.weight": []}
    for _ in range(2):
        before = {name: w.detach().clone() for name, w in model.named_parameters()}
        ratios.before()
        with torch.no_grad():
            for w in model.parameters():
                w.add_(0.1 * torch.randn_like(w))
        ratios.after()
        for name in expected:
            w = model.get_parameter(name).detach().numpy()
            old = before[name].numpy()
            expected[name].append(np.sqrt(((w - old) ** 2).sum() / (old**2).sum()))
    ratios.after()
    found = ratios.take()
    assert found == {name: pytest.approx(np.mean(v), rel=1e-5) for name, v in expected.items()}
    assert updates.median(found) == pytest.approx(sum(found.values()) / 2)
    assert ratios.take() == {}
    assert math.isnan(updates.median({}))


def test_a_weight_that_is_zero_has_no_ratio_and_biases_count_where_there_is_nothing_else():
    zero, bias = torch.zeros(2, 2), torch.ones(4)
    ratios = UpdateRatios({"zero": zero, "bias": bias})
    ratios.before()
    zero += 1
    ratios.after()
    assert ratios.take() == {}
    ratios = UpdateRatios({"bias": bias})
    ratios.before()
    bias *= 1.5
    ratios.after()
    assert ratios.take() == {"bias": 0.5}


def test_metrics_of_layers_keep_the_limits_of_a_report():
    many = {f"{'x' * 200}.{i}": float(i) for i in range(1200)}
    metrics = updates.per_layer(many)
    assert len(metrics) == 500
    assert max(map(len, metrics)) <= 128
    assert updates.per_layer({"0.weight": 0.5}) == {"update_ratio.0.weight": 0.5}


def spikes(losses):
    found = LossSpikes()
    found.take(losses)
    return found.count


def test_a_jump_is_a_spike_and_noise_and_descent_are_none():
    rng = np.random.default_rng(0)
    noise = (1 + 0.05 * rng.normal(size=2000)).tolist()
    assert spikes(noise) == 0
    assert spikes([*noise[:500], 3.0, *noise[500:]]) == 1
    assert spikes((3 * np.exp(-np.arange(500) / 100) + 0.01 * rng.normal(size=500)).tolist()) == 0
    assert spikes([*noise[:19], 3.0]) == 0
    assert spikes([*noise[:20], 3.0]) == 1


def test_a_new_plateau_is_few_spikes_and_rounding_none():
    rng = np.random.default_rng(0)
    low, high = ((level + 0.02 * rng.normal(size=300)).tolist() for level in (1.0, 4.0))
    assert 1 <= spikes(low + high) <= 3
    assert spikes([1.0] * 100 + [1.0 + 1e-7, 1.05]) == 0


def test_the_moments_are_those_of_the_formula():
    found = LossSpikes()
    losses = np.random.default_rng(2).normal(size=60)
    found.take(losses.tolist())
    # Up to 100 losses every one counts alike.
    assert found.state()["mean"] == pytest.approx(losses.mean())
    assert found.state()["variance"] == pytest.approx(losses.var())


def test_spikes_go_on_from_a_state_and_infinite_losses_are_some():
    losses = [1.0 + 0.01 * (i % 3) for i in range(30)]
    losses += [5.0, math.inf, math.nan, 1.0]
    first, second = LossSpikes(), LossSpikes()
    first.take(losses[:25])
    second.load(first.state())
    second.take(losses[25:])
    assert second.count == spikes(losses) == 3


def test_the_most_memory_is_kept_when_it_is_freed():
    memory = PeakMemory(torch.device("cpu"))
    held = torch.ones(50_000_000)
    at_most = memory.megabytes()
    assert 190 < at_most < 260
    del held
    assert memory.megabytes() >= at_most
    other = PeakMemory(torch.device("cpu"))
    other.load(at_most)
    assert other.megabytes() >= at_most


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_memory_is_what_torch_allocated():
    device = torch.device("cuda:0")
    memory = PeakMemory(device)
    held = torch.ones(50_000_000, device=device)
    del held
    assert memory.megabytes() == pytest.approx(200, rel=0.02)
