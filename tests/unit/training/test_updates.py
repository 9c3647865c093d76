"""Each optimizer against its paper's update of one weight, written out in float64."""

import math

import pytest

from tuner.optimizers.registry import ENTRIES, names
from tuner.training import build_optimizer, take_step
from tuner.training.builders import BUILDERS

CURVATURE = [1.0, 0.3, 4.0]
START = [1.0, -2.0, 0.5]
STEPS = 25


def gradient(w, i):
    """Of the quadratic sum(c w²) / 2."""
    return CURVATURE[i] * w


def coupled(w, i, h):
    return gradient(w, i) + h["weight_decay"] * w


def sgd(w, i, h):
    """Robbins and Monro 1951: w ← w - lr g."""
    for _ in range(STEPS):
        w -= h["lr"] * coupled(w, i, h)
    return w


def momentum(w, i, h):
    """Polyak 1964, heavy ball, in the two-point form with d = w_t - w_{t-1}."""
    d = 0.0
    for _ in range(STEPS):
        d = h["momentum"] * d - h["lr"] * coupled(w, i, h)
        w += d
    return w


def nesterov(w, i, h):
    """Sutskever et al. 2013, eqs. 3 and 4, at the looked-ahead point θ + μv.

    θ itself is Nesterov's; torch keeps the looked-ahead point, so that is what is returned.
    """
    theta, v, mu = w, 0.0, h["momentum"]
    for _ in range(STEPS):
        ahead = theta + mu * v
        v = mu * v - h["lr"] * coupled(ahead, i, h)
        theta += v
    return theta + mu * v


def adam(w, i, h):
    """Kingma and Ba 2015, algorithm 1."""
    return _adam(w, i, h, lambda w: coupled(w, i, h), 0.0)


def adamw(w, i, h):
    """Loshchilov and Hutter 2019, algorithm 2, lr on the decay too."""
    return _adam(w, i, h, lambda w: gradient(w, i), h["lr"] * h["weight_decay"])


def _adam(w, i, h, grad, shrink):
    m = v = 0.0
    for t in range(1, STEPS + 1):
        g = grad(w)
        m = h["beta1"] * m + (1 - h["beta1"]) * g
        v = h["beta2"] * v + (1 - h["beta2"]) * g * g
        m_hat, v_hat = m / (1 - h["beta1"] ** t), v / (1 - h["beta2"] ** t)
        w = w - shrink * w - h["lr"] * m_hat / (math.sqrt(v_hat) + h["eps"])
    return w


def plain_adam(w, i, h):
    """Kingma and Ba 2015, algorithm 1, without the two lines that correct the bias."""
    m = v = 0.0
    for _ in range(STEPS):
        g = coupled(w, i, h)
        m = h["beta1"] * m + (1 - h["beta1"]) * g
        v = h["beta2"] * v + (1 - h["beta2"]) * g * g
        w -= h["lr"] * m / (math.sqrt(v) + h["eps"])
    return w


def nadam(w, i, h):
    """Dozat 2016, with its schedule of the momentum."""
    return _nadam(w, h, lambda w: coupled(w, i, h), 0.0)


def nadamw(w, i, h):
    """Dozat 2016 with the decay of Loshchilov and Hutter 2019."""
    return _nadam(w, h, lambda w: gradient(w, i), h["lr"] * h["weight_decay"])


def _nadam(w, h, grad, shrink):
    def mu(t):
        return h["beta1"] * (1 - 0.5 * 0.96 ** (t * h["momentum_decay"]))

    m = v = 0.0
    for t in range(1, STEPS + 1):
        g = grad(w)
        m = h["beta1"] * m + (1 - h["beta1"]) * g
        v = h["beta2"] * v + (1 - h["beta2"]) * g * g
        now = math.prod(mu(k) for k in range(1, t + 1))
        m_bar = (1 - mu(t)) * g / (1 - now) + mu(t + 1) * m / (1 - now * mu(t + 1))
        v_hat = v / (1 - h["beta2"] ** t)
        w = w - shrink * w - h["lr"] * m_bar / (math.sqrt(v_hat) + h["eps"])
    return w


def radam(w, i, h):
    """Liu et al. 2020, algorithm 2, with 5 for its threshold of 4."""
    m = v = 0.0
    longest = 2 / (1 - h["beta2"]) - 1
    for t in range(1, STEPS + 1):
        g = coupled(w, i, h)
        m = h["beta1"] * m + (1 - h["beta1"]) * g
        v = h["beta2"] * v + (1 - h["beta2"]) * g * g
        correction = 1 - h["beta2"] ** t
        length = longest - 2 * t * h["beta2"] ** t / correction
        step = h["lr"] * m / (1 - h["beta1"] ** t)
        if length > 5:
            r = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            step *= math.sqrt(r) * math.sqrt(correction) / (math.sqrt(v) + h["eps"])
        w -= step
    return w


def amsgrad(w, i, h):
    """Reddi, Kale and Kumar 2018, algorithm 2, with Adam's bias correction."""
    m = v = u = 0.0
    for t in range(1, STEPS + 1):
        g = coupled(w, i, h)
        m = h["beta1"] * m + (1 - h["beta1"]) * g
        v = h["beta2"] * v + (1 - h["beta2"]) * g * g
        u = max(u, v)
        m_hat, u_hat = m / (1 - h["beta1"] ** t), u / (1 - h["beta2"] ** t)
        w -= h["lr"] * m_hat / (math.sqrt(u_hat) + h["eps"])
    return w


def adamax(w, i, h):
    """Kingma and Ba 2015, algorithm 2, eps beside the gradient."""
    m = u = 0.0
    for t in range(1, STEPS + 1):
        g = coupled(w, i, h)
        m = h["beta1"] * m + (1 - h["beta1"]) * g
        u = max(h["beta2"] * u, abs(g) + h["eps"])
        w -= h["lr"] / (1 - h["beta1"] ** t) * m / u
    return w


def lion(w, i, h):
    """Chen et al. 2023, algorithm 2."""
    m = 0.0
    for _ in range(STEPS):
        g = gradient(w, i)
        c = h["beta1"] * m + (1 - h["beta1"]) * g
        w -= h["lr"] * (math.copysign(1.0, c) + h["weight_decay"] * w)
        m = h["beta2"] * m + (1 - h["beta2"]) * g
    return w


def adahessian(w, i, h):
    """Yao et al. 2021, algorithm 1; for a diagonal Hessian z·Hz is its diagonal, whatever z is."""
    m = v = 0.0
    for t in range(1, STEPS + 1):
        g = gradient(w, i)
        m = h["beta1"] * m + (1 - h["beta1"]) * g
        v = h["beta2"] * v + (1 - h["beta2"]) * CURVATURE[i] ** 2
        m_hat, v_hat = m / (1 - h["beta1"] ** t), v / (1 - h["beta2"] ** t)
        step = m_hat / (math.sqrt(v_hat) ** h["power"] + h["eps"])
        w -= h["lr"] * (step + h["weight_decay"] * w)
    return w


def rmsprop(w, i, h):
    """Tieleman and Hinton 2012, lecture 6.5, slide 29, with eps outside the root."""
    v = 0.0
    for _ in range(STEPS):
        g = coupled(w, i, h)
        v = h["alpha"] * v + (1 - h["alpha"]) * g * g
        w -= h["lr"] * g / (math.sqrt(v) + h["eps"])
    return w


def adagrad(w, i, h):
    """Duchi, Hazan and Singer 2011, section 1.1, diagonal form."""
    v = h["initial_accumulator"]
    for _ in range(STEPS):
        g = coupled(w, i, h)
        v += g * g
        w -= h["lr"] * g / (math.sqrt(v) + h["eps"])
    return w


def adadelta(w, i, h):
    """Zeiler 2012, algorithm 1."""
    v = u = 0.0
    for _ in range(STEPS):
        g = coupled(w, i, h)
        v = h["rho"] * v + (1 - h["rho"]) * g * g
        d = math.sqrt(u + h["eps"]) / math.sqrt(v + h["eps"]) * g
        u = h["rho"] * u + (1 - h["rho"]) * d * d
        w -= h["lr"] * d
    return w


def adan(w, i, h):
    """Xie et al. 2022, algorithm 1, each beta for the paper's 1 - β, with bias correction."""
    m = v = n = 0.0
    before = None
    for t in range(1, STEPS + 1):
        g = gradient(w, i)
        d = 0.0 if before is None else g - before
        m = h["beta1"] * m + (1 - h["beta1"]) * g
        v = h["beta2"] * v + (1 - h["beta2"]) * d
        n = h["beta3"] * n + (1 - h["beta3"]) * (g + h["beta2"] * d) ** 2
        step = m / (1 - h["beta1"] ** t) + h["beta2"] * v / (1 - h["beta2"] ** t)
        w -= h["lr"] * step / (math.sqrt(n / (1 - h["beta3"] ** t)) + h["eps"])
        w, before = w / (1 + h["lr"] * h["weight_decay"]), g
    return w


def ademamix(w, i, h):
    """Pagliardini et al. 2024, algorithm 1, with the schedules of its section 3.1."""
    m = s = v = 0.0
    for t in range(1, STEPS + 1):
        share = min(1.0, t / h["slow_warmup"])
        fast, slow = math.log(h["beta1"]), math.log(h["beta3"])
        beta3 = math.exp(fast * slow / ((1 - share) * slow + share * fast))
        g = gradient(w, i)
        m = h["beta1"] * m + (1 - h["beta1"]) * g
        s = beta3 * s + (1 - beta3) * g
        v = h["beta2"] * v + (1 - h["beta2"]) * g * g
        root = math.sqrt(v / (1 - h["beta2"] ** t)) + h["eps"]
        step = (m / (1 - h["beta1"] ** t) + share * h["alpha"] * s) / root
        w -= h["lr"] * (step + h["weight_decay"] * w)
    return w


def schedulefree_adamw(w, i, h):
    """Defazio et al. 2024, algorithm 1, at y, where the gradients are taken."""
    x = y = z = w
    v = total = 0.0
    for t in range(1, STEPS + 1):
        g = gradient(y, i)
        v = h["beta2"] * v + (1 - h["beta2"]) * g * g
        root = math.sqrt(v / (1 - h["beta2"] ** t)) + h["eps"]
        z -= h["lr"] * (g / root + h["weight_decay"] * y)
        weight = t ** h["r"] * h["lr"] ** 2
        total += weight
        x = (1 - weight / total) * x + weight / total * z
        y = (1 - h["beta1"]) * z + h["beta1"] * x
    return y


REFERENCE = {f.__name__: f for f in (sgd, momentum, nesterov, adam, adamw, rmsprop)}
REFERENCE |= {f.__name__: f for f in (adagrad, adadelta, nadam, nadamw, radam, amsgrad)}
REFERENCE |= {f.__name__: f for f in (adamax, lion, adahessian)}
REFERENCE |= {f.__name__: f for f in (adan, ademamix, schedulefree_adamw)}
REFERENCE["gd"] = sgd
# Values far from every default, so that none can stand in for another.
UNUSUAL = {
    "lr": 0.07,
    "momentum": 0.6,
    "beta1": 0.7,
    "beta2": 0.85,
    "alpha": 0.8,
    "rho": 0.65,
    "eps": 0.02,
    "initial_accumulator": 0.3,
    "weight_decay": 0.2,
    "bias_correction": True,
    "momentum_decay": 0.05,
    "power": 0.6,
    "beta3": 0.9,
    "slow_warmup": 10,
    "r": 0.5,
}
# Their updates join the weights: tests of their own.
JOINED = {"adafactor", "lamb", "muon", "sam", "sam_adamw", "lbfgs", "newton_cg"}
JOINED |= {"soap", "shampoo", "prodigy"}


@pytest.fixture
def run(make_quadratic):
    """The weights after training with these parameters."""

    def train(params):
        model = make_quadratic(CURVATURE, START)
        optimizer = build_optimizer(model, params)
        for _ in range(STEPS):
            take_step(optimizer, model)
        return model.w.detach().tolist()

    return train


def test_every_entry_has_a_builder_and_a_reference():
    assert set(BUILDERS) == set(REFERENCE) | JOINED == set(names())


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("values", ["defaults", "unusual"])
def test_the_update_is_the_papers(run, name, values):
    h = {p.name: p.otherwise for p in ENTRIES[name].parameters}
    params = {"optimizer": name}
    if values == "unusual":
        h = {key: UNUSUAL[key] for key in h}
        params |= {f"{name}.{key}": value for key, value in h.items()}
    expected = [REFERENCE[name](w, i, h) for i, w in enumerate(START)]
    # torch keeps NAdam's product of momenta in float32.
    exact = 1e-6 if name in ("nadam", "nadamw") else 1e-10
    assert run(params) == pytest.approx(expected, rel=exact, abs=1e-14)


@pytest.mark.parametrize("values", ["defaults", "unusual"])
def test_adam_without_bias_correction_is_the_textbooks(run, values):
    h = {p.name: p.otherwise for p in ENTRIES["adam"].parameters}
    h |= {key: UNUSUAL[key] for key in h} if values == "unusual" else {}
    h["bias_correction"] = False
    expected = [plain_adam(w, i, h) for i, w in enumerate(START)]
    found = run({"optimizer": "adam", **{f"adam.{key}": value for key, value in h.items()}})
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-14)


def test_nesterov_without_momentum_is_gradient_descent(run):
    assert run({"optimizer": "nesterov", "lr": 0.1, "momentum": 0.0}) == run(
        {"optimizer": "sgd", "lr": 0.1}
    )
