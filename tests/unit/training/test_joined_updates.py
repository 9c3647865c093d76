"""Optimizers whose update joins the weights, against their papers' equations in float64."""

import math

import pytest
import torch

from tuner.errors import Invalid
from tuner.optimizers.registry import ENTRIES
from tuner.training import build_optimizer, take_step
from tuner.training.methods.muon import orthogonalise
from tuner.training.methods.sam import sharpness_aware

STEPS = 12
SHAPES = {"wide": (3, 5), "tall": (6, 2), "vector": (4,)}


class Weighted(torch.nn.Module):
    """sum(c (w - t)²) / 2 over a matrix of each form and a vector; the gradient is c (w - t)."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)

        def numbers(shape):
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        self.weights = torch.nn.ParameterDict({k: numbers(s) for k, s in SHAPES.items()})
        self.c = {k: numbers(s).abs() + 0.2 for k, s in SHAPES.items()}
        self.t = {k: numbers(s) for k, s in SHAPES.items()}

    def gradient(self, key, w):
        return self.c[key] * (w - self.t[key])

    def forward(self):
        return sum((self.c[k] * (w - self.t[k]) ** 2).sum() / 2 for k, w in self.weights.items())


def run(params, groups=()):
    model = Weighted()
    optimizer = build_optimizer(model, params, groups)
    for _ in range(STEPS):
        take_step(optimizer, model)
    return {k: w.detach() for k, w in model.weights.items()}


def start():
    model = Weighted()
    return model, {k: w.detach().clone() for k, w in model.weights.items()}


def assert_same(found, expected):
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-10, atol=1e-13)


def test_lamb_is_algorithm_2_of_you_et_al():
    h = {"lr": 0.05, "beta1": 0.8, "beta2": 0.9, "eps": 1e-3, "weight_decay": 0.1}
    model, weights = start()
    for key in weights:
        w = weights[key]
        m = v = torch.zeros_like(w)
        for t in range(1, STEPS + 1):
            g = model.gradient(key, w)
            m = h["beta1"] * m + (1 - h["beta1"]) * g
            v = h["beta2"] * v + (1 - h["beta2"]) * g**2
            r = m / (1 - h["beta1"] ** t) / (torch.sqrt(v / (1 - h["beta2"] ** t)) + h["eps"])
            r = r + h["weight_decay"] * w
            w = w - h["lr"] * w.norm() / r.norm() * r
        weights[key] = w
    assert_same(run({"optimizer": "lamb", **h}), weights)


def test_lamb_steps_plainly_from_weights_of_zero():
    model = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    optimizer = build_optimizer(model, {"optimizer": "lamb", "lr": 0.5, "weight_decay": 0.0})
    take_step(optimizer, lambda: model(torch.tensor([[1.0, -2.0]])).sum())
    assert model.weight.tolist()[0] == pytest.approx([-0.5, 0.5], rel=1e-4)


def test_adafactor_is_algorithm_4_of_shazeer_and_stern():
    h = {"lr": 0.3, "beta2_decay": -0.7, "eps": 0.01, "clip": 1.1, "weight_decay": 0.1}
    model, weights = start()
    for key in weights:
        w = weights[key]
        r = c = v = 0.0
        for t in range(1, STEPS + 1):
            g = model.gradient(key, w)
            b = 1 - t ** h["beta2_decay"]
            if w.dim() == 2:
                r = b * r + (1 - b) * (g**2).mean(1, keepdim=True)
                c = b * c + (1 - b) * (g**2).mean(0, keepdim=True)
                v = r @ c / r.mean()
            else:
                v = b * v + (1 - b) * g**2
            u = g / v.sqrt()
            u = u / max(1.0, rms(u) / h["clip"])
            a = max(h["eps"], rms(w)) * min(h["lr"], 1 / math.sqrt(t))
            w = w - h["lr"] * h["weight_decay"] * w - a * u
        weights[key] = w
    assert_same(run({"optimizer": "adafactor", **h}), weights)


def rms(x):
    return x.square().mean().sqrt().item()


def test_adafactor_keeps_rows_and_columns_of_a_matrix_only():
    model = torch.nn.Linear(50, 30, bias=False)
    optimizer = build_optimizer(model, {"optimizer": "adafactor"})
    take_step(optimizer, lambda: model(torch.ones(1, 50)).square().sum())
    state = optimizer.state[model.weight]
    assert sum(v.numel() for v in state.values() if torch.is_tensor(v) and v.dim()) == 50 + 30


def newton_schulz(x, steps):
    """Jordan et al. 2024, on the singular values: s ← 3.4445 s − 4.775 s³ + 2.0315 s⁵."""
    u, s, v = torch.linalg.svd(x / x.norm(), full_matrices=False)
    for _ in range(steps):
        s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
    return u @ torch.diag(s) @ v


def test_muon_is_jordans_on_the_matrices_of_its_group_and_adamw_on_the_rest():
    h = {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.1, "ns_steps": 4, "adamw_lr": 0.02}
    model, weights = start()
    for key in ("wide", "tall"):
        w = weights[key]
        momentum = torch.zeros_like(w)
        for _ in range(STEPS):
            g = model.gradient(key, w)
            momentum = h["momentum"] * momentum + (1 - h["momentum"]) * g
            x = newton_schulz(h["momentum"] * momentum + (1 - h["momentum"]) * g, h["ns_steps"])
            scale = math.sqrt(max(1.0, w.shape[0] / w.shape[1]))
            w = w - h["lr"] * h["weight_decay"] * w - h["lr"] * scale * x
        weights[key] = w
    rest = {"optimizer": "adamw", "lr": h["adamw_lr"], "weight_decay": h["weight_decay"]}
    weights["vector"] = run(rest)["vector"]
    assert_same(run({"optimizer": "muon", **h}, [{"match": "*"}]), weights)


def test_muon_is_torchs_up_to_bfloat16():
    torch.manual_seed(0)
    ours = torch.nn.Linear(8, 6, bias=False)
    theirs = torch.nn.Linear(8, 6, bias=False)
    theirs.load_state_dict(ours.state_dict())
    made = build_optimizer(ours, {"optimizer": "muon", "lr": 0.02, "weight_decay": 0.1})
    other = torch.optim.Muon(theirs.parameters(), lr=0.02, weight_decay=0.1)
    x = torch.randn(5, 8)
    for _ in range(3):
        take_step(made, lambda: ours(x).square().sum())
        take_step(other, lambda: theirs(x).square().sum())
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=0.02, atol=0.004)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (1, 5)])
def test_an_orthogonalised_matrix_has_singular_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalise(matrix, 5))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_muon_takes_kernels_as_matrices_of_a_row_per_channel():
    kernel = torch.nn.Conv2d(3, 4, 3, bias=False)
    optimizer = build_optimizer(kernel, {"optimizer": "muon", "lr": 0.1})
    before = kernel.weight.detach().clone()
    take_step(optimizer, lambda: kernel(torch.ones(1, 3, 5, 5)).square().sum())
    moved = (before - kernel.weight.detach()).flatten(1) / 0.1
    g = kernel.weight.grad.flatten(1)
    torch.testing.assert_close(moved, orthogonalise(g, 5), rtol=1e-3, atol=1e-4)


def test_muon_without_matrices_is_refused():
    model = torch.nn.LayerNorm(4)
    with pytest.raises(Invalid, match="matrices"):
        build_optimizer(model, {"optimizer": "muon"})


def test_the_state_of_muon_is_what_the_entry_says():
    model = torch.nn.Linear(5, 4, bias=False)
    optimizer = build_optimizer(model, {"optimizer": "muon"})
    take_step(optimizer, lambda: model(torch.ones(1, 5)).sum())
    (state,) = optimizer.state[model.weight].values()
    assert state.numel() == ENTRIES["muon"].cost.state * model.weight.numel()


def climbed(model, weights, rho):
    """Foret et al. 2021, eq. 2 with p = 2: the gradients at w + rho g / ‖g‖."""
    g = {k: model.gradient(k, w) for k, w in weights.items()}
    norm = torch.cat([x.flatten() for x in g.values()]).norm()
    return {k: model.gradient(k, w + rho * g[k] / norm) for k, w in weights.items()}


def test_sam_is_heavy_ball_with_the_gradient_of_foret_et_al():
    h = {"lr": 0.05, "momentum": 0.7, "rho": 0.3, "weight_decay": 0.1}
    model, weights = start()
    v = {k: torch.zeros_like(w) for k, w in weights.items()}
    for _ in range(STEPS):
        g = climbed(model, weights, h["rho"])
        for k, w in weights.items():
            v[k] = h["momentum"] * v[k] + g[k] + h["weight_decay"] * w
            weights[k] = w - h["lr"] * v[k]
    assert_same(run({"optimizer": "sam", **h}), weights)


def test_sam_adamw_is_adamw_with_the_gradient_of_foret_et_al():
    h = {"lr": 0.02, "beta1": 0.7, "beta2": 0.9, "eps": 1e-3, "rho": 0.2, "weight_decay": 0.3}
    model, weights = start()
    m = {k: torch.zeros_like(w) for k, w in weights.items()}
    v = {k: torch.zeros_like(w) for k, w in weights.items()}
    for t in range(1, STEPS + 1):
        g = climbed(model, weights, h["rho"])
        for k, w in weights.items():
            m[k] = h["beta1"] * m[k] + (1 - h["beta1"]) * g[k]
            v[k] = h["beta2"] * v[k] + (1 - h["beta2"]) * g[k] ** 2
            root = torch.sqrt(v[k] / (1 - h["beta2"] ** t)) + h["eps"]
            step = m[k] / (1 - h["beta1"] ** t) / root
            weights[k] = w - h["lr"] * h["weight_decay"] * w - h["lr"] * step
    assert_same(run({"optimizer": "sam_adamw", **h}), weights)


def test_sam_wraps_any_optimizer_and_wants_a_closure():
    model = Weighted()
    optimizer = sharpness_aware(torch.optim.NAdam)(model.parameters(), lr=0.01, rho=0.1)
    assert take_step(optimizer, model).evaluations == 2
    assert isinstance(optimizer, torch.optim.NAdam)
    with pytest.raises(TypeError, match="closure"):
        optimizer.step()
