"""Softmax regression by optimistix, in a process of its own; `quasi_newton.py` starts it.

    python benchmarks/peers/optimistix_run.py PROBLEM.npz --peers FOLDER [--repeats 3]

PROBLEM.npz holds x (images, features) and y (images). Prints a line of JSON for each solver: evaluations, the seconds of each repeat, the
largest entry of the gradient. Compilation is done by a run that is not timed. The solvers end by small steps, so theirs is replaced by the
size of the gradient, which their state holds. A trial that is not accepted counts as an evaluation, though it costs no gradient.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np

GTOL = 1e-6
L2 = 1e-3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("problem")
    parser.add_argument("--peers", required=True)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    sys.path.insert(0, options.peers)
    import jax
    import jax.numpy as jnp
    import optimistix

    jax.config.update("jax_enable_x64", True)
    problem = np.load(options.problem)
    x, y = jnp.asarray(problem["x"]), jnp.asarray(problem["y"])
    classes = int(y.max()) + 1

    def f(w: Any, _: Any) -> Any:
        logits = x @ w.reshape(-1, classes)
        correct = jnp.take_along_axis(logits, y[:, None], axis=1)[:, 0]
        return (jax.nn.logsumexp(logits, axis=1) - correct).mean() + 0.5 * L2 * jnp.sum(w * w)

    def ending(kind: Any) -> Any:
        class ByGradient(kind):
            def terminate(self, fn, y, args, options, state, tags):
                size = jnp.max(jnp.abs(state.f_info.grad))
                return (size <= GTOL) & ~state.first_step, state.result

        return ByGradient

    kinds = {"optimistix.LBFGS": ending(optimistix.LBFGS)(rtol=0.0, atol=0.0, history_length=10)}
    for name, solver in kinds.items():

        @jax.jit
        def solve(w: Any, solver: Any = solver) -> tuple[Any, Any, Any]:
            solution = optimistix.minimise(f, solver, w, max_steps=5000, throw=False)
            return solution.value, solution.stats["num_steps"], jnp.max(jnp.abs(jax.grad(f)(solution.value, None)))

        start = jnp.zeros(x.shape[1] * classes)
        _, steps, size = jax.block_until_ready(solve(start))
        seconds = []
        for _ in range(options.repeats):
            begun = time.perf_counter()
            jax.block_until_ready(solve(start))
            seconds.append(time.perf_counter() - begun)
        print(
            json.dumps({"method": name, "evaluations": int(steps), "seconds": seconds, "gradient": float(size)}),
            flush=True,
        )


if __name__ == "__main__":
    main()
