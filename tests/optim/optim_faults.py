"""What the tests of faults share."""

import torch

from seewhy.optim import BFGS, DFP, LBFGS, OPTIMISERS, build
from seewhy.optim.minimization import _Descent

QUASI = {"bfgs": BFGS, "dfp": DFP, "lbfgs": LBFGS, "gradient": _Descent}
METHODS = [*QUASI, "newton", "damped_newton"]
CLOSURES = [name for name in OPTIMISERS.names() if OPTIMISERS[name].factory.closure]
START = (-1.2, 1.0)


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def himmelblau(x):
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


def beale(x):
    return sum((c - x[0] * (1 - x[1] ** k)) ** 2 for k, c in ((1, 1.5), (2, 2.25), (3, 2.625)))


def point(*values):
    return torch.tensor(values, dtype=torch.float64)


def closure_for(name, optimizer, x, f):
    """Return the closure that the named method wants."""
    if name == "hessian_free":
        return lambda: (f(x), x)
    if "newton" in name:
        return lambda: f(x)

    def closure():
        optimizer.zero_grad()
        loss = f(x)
        loss.backward()
        return loss

    return closure


def outputs_first(f):
    """Return f as a loss of outputs, of which Gauss-Newton methods see the curvature."""
    return lambda x: (f(z := x.clone()), z)


def stepper(name, x, f, **options):
    optimizer = build(name, [("x", x)], **options)
    if name == "hessian_free":
        return optimizer, lambda: optimizer.step(lambda: outputs_first(f)(x))
    return optimizer, lambda: optimizer.step(closure_for(name, optimizer, x, f))
