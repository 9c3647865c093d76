"""L-BFGS, Newton-CG and AdaHessian: convergence, cost, line search, and the step's protocol."""

import itertools
import math

import pytest
import torch

from tuner.optimizers.registry import ENTRIES, names
from tuner.training import build_optimizer, take_step
from tuner.training.methods.adahessian import signs_of_step
from tuner.training.methods.lbfgs import _direction
from tuner.training.methods.line_search import Point, strong_wolfe
from tuner.training.methods.newton_cg import NewtonCG


class Vector(torch.nn.Module):
    def __init__(self, n, dtype=torch.float64):
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(n, dtype=dtype))


def quadratic(n, condition, seed):
    """A rotated quadratic with a known minimum: the model, its loss, and the relative error."""
    generator = torch.Generator().manual_seed(seed)
    q, _ = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
    spectrum = torch.logspace(0, math.log10(condition), n, dtype=torch.float64)
    A = (q * spectrum) @ q.T
    best = torch.randn(n, generator=generator, dtype=torch.float64)
    model = Vector(n)

    def loss():
        return (model.w - best) @ A @ (model.w - best) / 2 + 3.0

    def error():
        return ((model.w - best).norm() / best.norm()).item()

    return model, loss, error


@pytest.mark.parametrize("n", [1, 2, 10, 50, 100])
@pytest.mark.parametrize("condition", [1.0, 10.0, 100.0])
def test_newton_cg_without_damping_solves_a_quadratic_in_one_step(n, condition):
    model, loss, error = quadratic(n, condition, seed=n)
    optimizer = build_optimizer(model, {"optimizer": "newton_cg", "damping": 0.0})
    taken = take_step(optimizer, loss, model)
    assert error() < 1e-10
    assert taken.evaluations == 2 + optimizer.products
    assert optimizer.products <= 2 * n + 25


@pytest.mark.parametrize("n", [1, 2, 5, 10, 30, 100])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("at_once", [True, False], ids=["one-step", "many-steps"])
def test_lbfgs_solves_a_quadratic_in_five_iterations_for_each_dimension(n, seed, at_once):
    model, loss, error = quadratic(n, 100.0, seed)
    iterations = 5 * n
    params = {"history": max(n, 3), "max_iter": iterations if at_once else 1}
    optimizer = build_optimizer(model, {"optimizer": "lbfgs", **params})
    for _ in range(1 if at_once else iterations):
        take_step(optimizer, loss, model)
    assert error() < 1e-8


def reference_lbfgs(A, b, steps):
    """BFGS in matrices (Nocedal and Wright 2006, eq. 6.17), exact line search, from H = I."""
    n = len(b)
    w, H = torch.zeros_like(b), torch.eye(n, dtype=b.dtype)
    identity = torch.eye(n, dtype=b.dtype)
    for _ in range(steps):
        g = A @ w - b
        d = -H @ g
        s = -(g @ d) / (d @ A @ d) * d
        y = A @ s
        rho = 1 / (y @ s)
        left = identity - rho * torch.outer(s, y)
        H = left @ H @ left.T + rho * torch.outer(s, s)
        w = w + s
    return w


def test_the_two_loops_give_the_direction_of_the_matrix_formula():
    generator = torch.Generator().manual_seed(3)
    n, pairs = 6, 4
    S = [torch.randn(n, generator=generator, dtype=torch.float64) for _ in range(pairs)]
    curvature = torch.linspace(1.0, 5.0, n, dtype=torch.float64)
    Y = [curvature * s for s in S]
    g = torch.randn(n, generator=generator, dtype=torch.float64)
    identity = torch.eye(n, dtype=torch.float64)
    H = identity * (Y[-1] @ S[-1]) / (Y[-1] @ Y[-1])
    for s, y in zip(S, Y, strict=True):
        left = identity - torch.outer(s, y) / (y @ s)
        H = left @ H @ left.T + torch.outer(s, s) / (y @ s)
    torch.testing.assert_close(_direction({"s": S, "y": Y}, g), -H @ g, rtol=1e-12, atol=1e-12)


def test_with_exact_line_search_the_matrix_formula_needs_n_iterations_and_ours_few_more():
    n = 8
    model, loss, error = quadratic(n, 100.0, seed=0)
    w = torch.zeros(n, dtype=torch.float64, requires_grad=True)
    A = torch.autograd.functional.hessian(lambda w: _loss_at(model, loss, w), w.detach())
    b = -torch.autograd.functional.jacobian(lambda w: _loss_at(model, loss, w), w.detach())
    exact = reference_lbfgs(A, b, n)
    torch.testing.assert_close(A @ exact, b, rtol=1e-8, atol=1e-8)
    optimizer = build_optimizer(model, {"optimizer": "lbfgs", "history": n, "max_iter": 2 * n})
    take_step(optimizer, loss, model)
    assert error() < 1e-8


def _loss_at(model, loss, w):
    kept = model.w
    del model.w
    model.w = w
    try:
        return loss()
    finally:
        del model.w
        model.w = kept


def test_newton_cg_takes_the_damped_newton_step_with_weight_decay():
    model, loss, _ = quadratic(6, 20.0, seed=2)
    before = model.w.detach().clone()
    A = torch.autograd.functional.hessian(lambda w: _loss_at(model, loss, w), before)
    g = torch.autograd.functional.jacobian(lambda w: _loss_at(model, loss, w), before)
    damping, decay = 0.7, 0.3
    identity = torch.eye(6, dtype=torch.float64)
    d = torch.linalg.solve(A + (damping + decay) * identity, -(g + decay * before))
    params = {"damping": damping, "weight_decay": decay}
    take_step(build_optimizer(model, {"optimizer": "newton_cg", **params}), loss, model)
    torch.testing.assert_close(model.w.detach(), before + d, rtol=1e-9, atol=1e-9)


def test_the_damping_follows_the_fit_of_the_quadratic_model():
    model, loss, _ = quadratic(4, 5.0, seed=1)
    optimizer = NewtonCG(model.parameters(), damping=0.9)
    take_step(optimizer, loss, model)
    assert optimizer.state[model.w]["damping"] == pytest.approx(0.6)


def test_newton_cg_goes_downhill_where_the_loss_curves_down():
    model = Vector(2)
    model.w.data += torch.tensor([0.3, 0.1])

    def loss():
        return torch.cos(model.w[0] * 2) + (model.w[1] - 1) ** 2

    optimizer = build_optimizer(model, {"optimizer": "newton_cg"})
    before = loss().item()
    losses = [take_step(optimizer, loss, model).loss.item() for _ in range(20)]
    assert losses[0] == before
    assert all(b <= a + 1e-12 for a, b in itertools.pairwise(losses))
    assert losses[-1] == pytest.approx(-1.0, abs=1e-8)


@pytest.mark.parametrize("name", ["lbfgs", "newton_cg"])
def test_rosenbrocks_valley_is_followed_to_its_end(name):
    model = Vector(2)
    model.w.data = torch.tensor([-1.2, 1.0], dtype=torch.float64)

    def loss():
        return 100 * (model.w[1] - model.w[0] ** 2) ** 2 + (1 - model.w[0]) ** 2

    optimizer = build_optimizer(model, {"optimizer": name})
    for _ in range(60):
        take_step(optimizer, loss, model)
    torch.testing.assert_close(model.w.detach(), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("name", ["lbfgs", "newton_cg"])
def test_weight_decay_moves_the_optimum_to_that_of_the_decayed_loss(name):
    model = Vector(3)
    t = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    params = {"optimizer": name, "weight_decay": 0.25, "newton_cg.damping": 0.01}
    optimizer = build_optimizer(model, params)
    for _ in range(8):
        take_step(optimizer, lambda: ((model.w - t) ** 2).sum() / 2, model)
    torch.testing.assert_close(model.w.detach(), t / 1.25, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ["lbfgs", "newton_cg"])
def test_a_step_at_the_optimum_stays_there(name):
    model = Vector(3)
    take_step(build_optimizer(model, {"optimizer": name}), lambda: model.w.square().sum(), model)
    assert model.w.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["lbfgs", "newton_cg"])
def test_the_line_search_turns_back_from_where_the_loss_is_not_finite(name):
    model = Vector(1)
    model.w.data += 2.0

    def loss():
        return model.w.sum() - torch.log(model.w).sum()

    optimizer = build_optimizer(model, {"optimizer": name, "newton_cg.damping": 0.01})
    for _ in range(12):
        take_step(optimizer, loss, model)
    assert model.w.item() == pytest.approx(1.0, abs=1e-6)


def test_lbfgs_holds_twice_its_history_and_costs_about_two_evaluations_an_iteration():
    model, loss, _ = quadratic(40, 100.0, seed=0)
    optimizer = build_optimizer(model, {"optimizer": "lbfgs"})
    taken = [take_step(optimizer, loss, model).evaluations for _ in range(3)]
    state = optimizer.state[model.w]
    floats = sum(v.numel() for part in ("s", "y") for v in state[part])
    assert floats == ENTRIES["lbfgs"].cost.state * model.w.numel()
    assert max(taken) <= 1.5 * ENTRIES["lbfgs"].cost.functions


@pytest.mark.parametrize("name", names())
def test_every_optimizer_converges_on_a_convex_problem(name):
    """Logistic regression with weight decay in the loss, on the whole set, with rates that fit."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    y = (x @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) > 0).double()
    model = torch.nn.Linear(3, 1).double()
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)

    def loss():
        fit = torch.nn.functional.binary_cross_entropy_with_logits(model(x)[:, 0], y)
        return fit + 0.05 * sum(w.square().sum() for w in model.parameters())

    newton = build_optimizer(model, {"optimizer": "newton_cg", "damping": 0.0})
    start = {k: v.clone() for k, v in model.state_dict().items()}
    for _ in range(20):
        take_step(newton, loss, model)
    best = loss().item()
    model.load_state_dict(start)
    slow = {"lr": 0.05, "adamw_lr": 0.05, "weight_decay": 0.0}
    known = {p.name for p in ENTRIES[name].parameters}
    own = {} if name in ("lbfgs", "newton_cg") else {k: slow[k] for k in slow if k in known}
    own |= {
        **{key: {"lr": 0.5} for key in ("sgd", "gd", "adagrad", "shampoo")},
        **{key: {"lr": 0.05, "rho": 1e-3} for key in ("sam", "sam_adamw")},
        "adadelta": {"lr": 5.0},
        "radam": {"lr": 0.2},
        "adafactor": {"lr": 1.0, "eps": 0.5},
        "prodigy": {"lr": 1.0},
    }.get(name, {})
    optimizer = build_optimizer(model, {"optimizer": name, **own})
    first = loss().item()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 - step / 400) ** 2)
    for _ in range(400):
        take_step(optimizer, loss, model)
        scheduler.step()
    assert loss().item() - best < 1e-3 * (first - best)


def test_a_step_without_a_differentiable_gradient_says_what_to_do():
    model = Vector(2)
    optimizer = build_optimizer(model, {"optimizer": "adahessian"})
    (model.w - 1).square().sum().backward()
    with pytest.raises(RuntimeError, match="take_step"):
        optimizer.step()
    for name in ("lbfgs", "newton_cg"):
        with pytest.raises(TypeError, match="take_step"):
            build_optimizer(model, {"optimizer": name}).step()


def test_adahessian_estimates_the_diagonal_and_averages_it_over_a_kernel():
    torch.manual_seed(0)
    layer = torch.nn.Conv1d(1, 2, 3, bias=False).double()
    x = torch.randn(1, 1, 7, dtype=torch.float64)

    def loss(w):
        return torch.nn.functional.conv1d(x, w).square().sum()

    before = layer.weight.detach().clone()
    H = torch.autograd.functional.hessian(loss, before).reshape(6, 6)
    (z,) = signs_of_step([before], 0)
    D = (z.flatten() * (H @ z.flatten())).abs().reshape(before.shape)
    D = D.mean(2, keepdim=True).expand_as(before)
    g = torch.autograd.functional.jacobian(loss, before)
    optimizer = build_optimizer(layer, {"optimizer": "adahessian", "lr": 0.1})
    state = torch.get_rng_state()
    take_step(optimizer, lambda: loss(layer.weight), layer)
    expected = before - 0.1 * g / (D + 1e-4)
    torch.testing.assert_close(layer.weight.detach(), expected, rtol=1e-10, atol=1e-12)
    assert torch.equal(torch.get_rng_state(), state)
    assert layer.weight.grad is None


def test_all_evaluations_of_a_step_see_the_same_dropout_and_move_batch_norm_once():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5)
    )
    x = torch.randn(6, 4)
    seen = []

    def loss():
        out = model(x)
        seen.append(out.detach() == 0)
        return out.square().mean()

    optimizer = build_optimizer(model, {"optimizer": "lbfgs", "max_iter": 3})
    assert take_step(optimizer, loss, model).evaluations == len(seen) > 2
    assert all(torch.equal(mask, seen[0]) for mask in seen)
    assert model[1].num_batches_tracked.item() == 1
    take_step(optimizer, loss, model)
    assert not torch.equal(seen[-1], seen[0])


def test_a_loss_that_is_not_finite_takes_no_step():
    model = Vector(2)
    for name in ("sgd", "lbfgs", "sam", "adahessian"):
        optimizer = build_optimizer(model, {"optimizer": name})
        taken = take_step(optimizer, lambda: (model.w * math.nan).sum(), model)
        assert math.isnan(taken.loss.item())
        assert model.w.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("first", [1e-6, 1e-3, 1.0, 1e3])
def test_the_line_search_keeps_both_wolfe_conditions(first):
    def at(t):
        return Point(t, (t - 2) ** 4 + math.sin(3 * t), 4 * (t - 2) ** 3 + 3 * math.cos(3 * t))

    start = at(0.0)
    point = strong_wolfe(at, start, first, 0.1, 0.0)
    assert point.loss <= start.loss + 1e-4 * point.t * start.slope
    assert abs(point.slope) <= 0.1 * abs(start.slope)


def test_the_line_search_gives_up_where_nothing_falls():
    assert strong_wolfe(lambda t: Point(t, math.inf, math.inf), Point(0, 0, -1), 1, 0.1, 0) is None
