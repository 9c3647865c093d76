"""Optimizers of the extra whose update joins the weights, against their papers in float64."""

import json
import math
import subprocess
import sys

import pytest
import torch

from tuner.errors import Invalid, NotAvailable
from tuner.optimizers import extras
from tuner.optimizers.registry import ENTRIES
from tuner.training import build_optimizer, evaluation_weights, take_step

STEPS = 12
SHAPES = {"wide": (3, 5), "tall": (6, 2), "vector": (4,), "kernel": (2, 3, 2, 2)}
# Of a gradient without full rank on each side the eigenvectors are not unique.
FULL_RANK = {"square": (4, 4), "vector": (4,), "kernel": (2, 3, 2, 2)}
BORROWED = [name for name, entry in ENTRIES.items() if entry.extra is not None]


class Weighted(torch.nn.Module):
    """sum(c (w - t)²) / 2 over tensors of several shapes; the gradient is c (w - t)."""

    def __init__(self, shapes):
        super().__init__()
        generator = torch.Generator().manual_seed(1)

        def numbers(shape):
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        self.weights = torch.nn.ParameterDict({k: numbers(s) for k, s in shapes.items()})
        self.c = {k: numbers(s).abs() + 0.2 for k, s in shapes.items()}
        self.t = {k: numbers(s) for k, s in shapes.items()}

    def gradient(self, key, w):
        return self.c[key] * (w - self.t[key])

    def forward(self):
        return sum((self.c[k] * (w - self.t[k]) ** 2).sum() / 2 for k, w in self.weights.items())


def run(params, shapes=SHAPES):
    model = Weighted(shapes)
    optimizer = build_optimizer(model, params)
    for _ in range(STEPS):
        take_step(optimizer, model)
    return {k: w.detach() for k, w in model.weights.items()}


def start(shapes=SHAPES):
    model = Weighted(shapes)
    return model, {k: w.detach().clone() for k, w in model.weights.items()}


def assert_same(found, expected, rtol=1e-9):
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=rtol, atol=rtol * 1e-2)


def unfolded(g, side):
    """A tensor as a matrix with a row for each index of one side."""
    return g.movedim(side, 0).reshape(g.shape[side], -1)


def applied(matrix, g, side):
    """A matrix times a tensor along one side."""
    return torch.tensordot(matrix, g, dims=([1], [side])).movedim(0, side)


def power(matrix, exponent):
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values**exponent) @ vectors.T


def test_shampoo_is_algorithm_2_of_gupta_et_al():
    h = {"lr": 0.3, "matrix_eps": 0.05, "weight_decay": 0.1}
    model, weights = start()
    for key in weights:
        w = weights[key]
        H = [h["matrix_eps"] * torch.eye(n, dtype=w.dtype) for n in w.shape]
        for _ in range(STEPS):
            g = model.gradient(key, w)
            step = g
            for side in range(w.dim()):
                H[side] = H[side] + unfolded(g, side) @ unfolded(g, side).T
                step = applied(power(H[side], -1 / (2 * w.dim())), step, side)
            w = w - h["lr"] * h["weight_decay"] * w - h["lr"] * step
        weights[key] = w
    assert_same(run({"optimizer": "shampoo", **h}), weights)


def rotated(Q, g, back=False):
    for side, q in enumerate(Q):
        g = applied(q if back else q.T, g, side)
    return g


def renewed(H, Q, v):
    """One power iteration on each side, in float32; the second moments follow the order."""
    fresh = []
    for side, (matrix, q) in enumerate(zip(H, Q, strict=True)):
        order = torch.argsort(torch.diag(q.T @ matrix @ q), descending=True)
        v = v.index_select(side, order)
        fresh.append(torch.linalg.qr((matrix @ q[:, order]).float())[0].double())
    return fresh, v


def test_soap_is_algorithm_3_of_vyas_et_al_with_a_first_step_that_stays():
    h = {"lr": 0.05, "beta1": 0.7, "beta2": 0.8, "eps": 1e-3, "weight_decay": 0.1}
    h["frequency"] = 3
    model, weights = start(FULL_RANK)
    for key in weights:
        w = weights[key]
        m = v = torch.zeros_like(w)
        sides = range(w.dim()) if w.dim() > 1 else []
        g = model.gradient(key, w)
        H = [(1 - h["beta2"]) * unfolded(g, side) @ unfolded(g, side).T for side in sides]
        Q = [torch.linalg.eigh(matrix)[1] for matrix in H]
        for t in range(1, STEPS):
            g = model.gradient(key, w)
            m = h["beta1"] * m + (1 - h["beta1"]) * g
            v = h["beta2"] * v + (1 - h["beta2"]) * rotated(Q, g) ** 2
            rate = h["lr"] * math.sqrt(1 - h["beta2"] ** t) / (1 - h["beta1"] ** t)
            w = w - rate * rotated(Q, rotated(Q, m) / (v.sqrt() + h["eps"]), back=True)
            w = w - h["lr"] * h["weight_decay"] * w
            for side in sides:
                outer = unfolded(g, side) @ unfolded(g, side).T
                H[side] = h["beta2"] * H[side] + (1 - h["beta2"]) * outer
            if sides and t % h["frequency"] == 0:
                Q, v = renewed(H, Q, v)
        weights[key] = w
    assert_same(run({"optimizer": "soap", **h}, FULL_RANK), weights, rtol=1e-4)


def test_prodigy_is_algorithm_4_of_mishchenko_and_defazio():
    h = {"lr": 0.9, "beta1": 0.7, "beta2": 0.8, "eps": 1e-3, "weight_decay": 0.1}
    h |= {"d_coef": 1.7, "d0": 1e-3}
    model, weights = start()
    first = {k: w.clone() for k, w in weights.items()}
    m = {k: torch.zeros_like(w) for k, w in weights.items()}
    v, s = ({k: x.clone() for k, x in m.items()} for _ in range(2))
    r, d, keep = 0.0, h["d0"], math.sqrt(h["beta2"])
    for _ in range(STEPS):
        g = {k: model.gradient(k, w) for k, w in weights.items()}
        size = d * d * h["lr"]
        r = keep * r + size * sum((g[k] * (first[k] - weights[k])).sum().item() for k in g)
        for k in g:
            s[k] = keep * s[k] + size * g[k]
            m[k] = h["beta1"] * m[k] + (1 - h["beta1"]) * d * g[k]
            v[k] = h["beta2"] * v[k] + (1 - h["beta2"]) * (d * g[k]) ** 2
        new = max(d, h["d_coef"] * r / sum(x.abs().sum().item() for x in s.values()))
        for k, w in weights.items():
            step = m[k] / (v[k].sqrt() + new * h["eps"])
            weights[k] = w - d * h["lr"] * (h["weight_decay"] * w + step)
        d = new
    assert d > 10 * h["d0"]
    # The library sums r and ‖s‖ in float32.
    assert_same(run({"optimizer": "prodigy", **h}), weights, rtol=1e-4)


def test_groups_of_prodigy_may_differ_in_decay_but_not_in_rate():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    params = {"optimizer": "prodigy", "weight_decay": 0.5}
    optimizer = build_optimizer(model, {**params, "decay_on": "weights"})
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.0]
    for more, groups in (({"layer_decay": 0.5}, ()), ({}, [{"match": "1", "lr_factor": 0.5}])):
        with pytest.raises(Invalid, match="one step size"):
            build_optimizer(model, {**params, **more}, groups)


def floats_in(state):
    if isinstance(state, dict | list):
        return sum(floats_in(v) for v in (state.values() if isinstance(state, dict) else state))
    return state.numel() if torch.is_tensor(state) and state.dim() > 0 else 0


@pytest.mark.parametrize("name", ["soap", "shampoo"])
def test_the_state_of_a_square_matrix_is_what_the_entry_says(name):
    model = torch.nn.Linear(6, 6, bias=False)
    optimizer = build_optimizer(model, {"optimizer": name})
    take_step(optimizer, lambda: model(torch.randn(4, 6)).square().sum())
    assert floats_in(optimizer.state[model.weight]) == ENTRIES[name].cost.state * 36


def averaged(w, beta1, z):
    """Defazio et al. 2024: x from y = (1 − β) z + β x."""
    return (w - (1 - beta1) * z) / beta1


def test_schedule_free_weights_are_judged_at_the_average_and_trained_on_as_if_never_judged():
    model, other = Weighted(SHAPES), Weighted(SHAPES)
    optimizer, undisturbed = (
        build_optimizer(m, {"optimizer": "schedulefree_adamw", "lr": 0.1}) for m in (model, other)
    )
    for _ in range(STEPS):
        for m, o in ((model, optimizer), (other, undisturbed)):
            take_step(o, m)
        w = model.weights["wide"]
        trained, z = w.detach().clone(), optimizer.state[w]["z"]
        with evaluation_weights(optimizer):
            torch.testing.assert_close(w.detach(), averaged(trained, 0.9, z))
        assert torch.equal(w, trained)
    assert_same(dict(model.weights), dict(other.weights), rtol=0)


def test_an_error_while_judging_still_brings_the_trained_weights_back():
    model = Weighted(SHAPES)
    optimizer = build_optimizer(model, {"optimizer": "schedulefree_adamw", "lr": 0.1})
    for _ in range(3):
        take_step(optimizer, model)
    before = model.weights["wide"].detach().clone()
    with pytest.raises(RuntimeError, match="judged"), evaluation_weights(optimizer):
        raise RuntimeError("judged")
    assert torch.equal(model.weights["wide"], before)
    assert all(group["train_mode"] for group in optimizer.param_groups)


def test_mixed_with_others_only_the_schedule_free_weights_change_for_judging():
    model = Weighted(SHAPES)
    groups = [{"match": "*vector", "optimizer": "sgd"}]
    optimizer = build_optimizer(model, {"optimizer": "schedulefree_adamw", "lr": 0.1}, groups)
    for _ in range(5):
        take_step(optimizer, model)
    before = {k: w.detach().clone() for k, w in model.weights.items()}
    with evaluation_weights(optimizer):
        changed = {k for k, w in model.weights.items() if not torch.equal(w, before[k])}
    assert changed == set(SHAPES) - {"vector"}


@pytest.mark.parametrize("name", ["adam", "muon", "lbfgs"])
def test_other_optimizers_are_judged_where_they_train(name):
    model = torch.nn.Linear(3, 3)
    optimizer = build_optimizer(model, {"optimizer": name})
    take_step(optimizer, lambda: model(torch.ones(1, 3)).square().sum())
    before = model.weight.detach().clone()
    with evaluation_weights(optimizer):
        assert torch.equal(model.weight, before)


def test_ademamix_cannot_lead_beta3_up_from_a_larger_beta1():
    params = {"optimizer": "ademamix", "slow_warmup": 5, "beta1": 0.9, "beta3": 0.5}
    with pytest.raises(Invalid, match="beta1 must be in"):
        build_optimizer(Weighted(SHAPES), params)


@pytest.mark.parametrize("name", BORROWED)
def test_without_the_extra_the_error_names_the_command(name, monkeypatch):
    monkeypatch.setitem(extras.MODULES, "optimizers", "no_such_library")
    extras.is_installed.cache_clear()
    try:
        with pytest.raises(NotAvailable, match="no_such_library") as caught:
            build_optimizer(Weighted(SHAPES), {"optimizer": name})
        assert caught.value.hint == "Install it with: pip install 'tuner[optimizers]'"
        build_optimizer(Weighted(SHAPES), {"optimizer": "adam"})
    finally:
        extras.is_installed.cache_clear()


def test_the_library_is_loaded_only_for_what_needs_it():
    assert "pytorch_optimizer" not in _loaded_after("adam")
    assert "pytorch_optimizer" in _loaded_after("adan")


def _loaded_after(name):
    script = (
        "import json, sys, torch; from tuner.training import build_optimizer;"
        f"build_optimizer(torch.nn.Linear(2, 2), {{'optimizer': {name!r}}});"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)
