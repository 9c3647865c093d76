"""Dead units are those that a rule of their own calls dead on every example."""

import pytest
import torch
from torch import nn

from tuner.training.diagnostics.units import DeadUnits
from tuner.training.sequences import Recurrent


def share(model, *batches):
    units = DeadUnits(model)
    with torch.no_grad(), units.watching():
        for batch in batches:
            model(batch)
    assert all(not module._forward_hooks for module in model.modules())
    assert not model._forward_pre_hooks
    found = units.take()
    assert units.take() is None
    return found


def layer(activation, dead, bias, size=8):
    """A linear layer of which `dead` units get `bias`, all others a small random input."""
    linear = nn.Linear(4, size)
    with torch.no_grad():
        linear.bias[:dead] = bias
        linear.bias[dead:] = 0.1
    return nn.Sequential(linear, activation)


@pytest.mark.parametrize("dead", [0, 3, 8])
@pytest.mark.parametrize(
    ("activation", "bias"), [(nn.ReLU(), -1e6), (nn.Tanh(), 1e6), (nn.Tanh(), -1e6)]
)
def test_units_forced_dead_are_counted(activation, bias, dead):
    torch.manual_seed(0)
    assert share(layer(activation, dead, bias), torch.randn(50, 4)) == dead / 8


def test_a_unit_that_one_example_wakes_is_alive():
    model = nn.Sequential(nn.ReLU())
    x = torch.full((5, 3), -1.0)
    x[4, 1] = 0.5
    assert share(model, x) == pytest.approx(2 / 3)
    assert share(model, x[:4]) == 1.0
    assert share(model, x[:4], x[4:]) == pytest.approx(2 / 3)


def test_layers_count_by_their_units():
    torch.manual_seed(0)
    first, second = layer(nn.ReLU(), 4, -1e6), nn.Sequential(nn.Linear(8, 2), nn.Tanh())
    assert share(nn.Sequential(first, second), torch.randn(20, 4)) == 4 / 10


def test_a_channel_is_a_unit_over_all_places_and_a_feature_over_all_steps():
    images = torch.full((2, 3, 4, 4), -1.0)
    images[1, 2, 3, 3] = 1.0
    assert share(nn.Sequential(nn.ReLU()), images) == pytest.approx(2 / 3)
    sequences = torch.full((2, 4, 3), -1.0)
    sequences[1, 3, 2] = 1.0
    assert share(nn.Sequential(nn.ReLU()), sequences) == pytest.approx(2 / 3)
    convolved = nn.Sequential(nn.Conv1d(3, 3, 1, bias=False), nn.ReLU())
    with torch.no_grad():
        convolved[0].weight.copy_(torch.eye(3)[:, :, None])
    assert share(convolved, sequences.transpose(1, 2)) == pytest.approx(2 / 3)


def test_one_module_at_two_places_has_the_units_of_both():
    activation = nn.ReLU()
    shift = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        shift.weight.copy_(-torch.eye(2))
    model = nn.Sequential(activation, shift, activation)
    assert share(model, torch.ones(3, 2), torch.ones(2, 2)) == 0.5


@pytest.mark.parametrize("dead", [0, 2, 5])
def test_an_elman_network_has_one_unit_for_each_number_of_its_state(dead):
    torch.manual_seed(0)
    model = Recurrent(nn.RNNCell, 3, 5, 1, 0.0)
    with torch.no_grad():
        model.cells[0].bias_ih[:dead] = 1e6
    assert share(model, torch.randn(6, 4, 3)) == dead / 5


@pytest.mark.parametrize("model", [nn.Linear(4, 2), nn.Sequential(nn.Linear(4, 2), nn.GELU())])
def test_a_model_without_such_units_has_no_share(model):
    assert share(model, torch.randn(3, 4)) is None
