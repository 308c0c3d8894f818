"""C10: Xavier keeps the variance of tanh layers; under ReLU it halves per layer, and the factor 2 (He) mends it."""

from __future__ import annotations

from seewhy.comparison.claims.base import Claim, Criterion, Measured
from seewhy.comparison.claims.fitting import mlp
from seewhy.comparison.claims.layers import DEPTH, WIDTH, by_layer, factor_per_layer, hidden_statistics
from seewhy.comparison.claims.setting import Setting

CONDITIONS = {
    "tanh, Xavier": ("tanh", "xavier"),
    "ReLU, Xavier": ("relu", "xavier"),
    "ReLU, He": ("relu", "he"),
}


def measure(setting: Setting) -> Measured:
    """Measure the mean square of each layer's output."""
    squares: dict[str, list[list[float]]] = {name: [] for name in CONDITIONS}
    for name, (activation, init) in CONDITIONS.items():
        for seed in range(setting.seeds * setting.amount(4, 1)):
            net = mlp(setting, seed=seed, activation=activation, init=init, depth=DEPTH, width=WIDTH)
            rows = hidden_statistics(net, setting)
            squares[name].append([row.mean**2 + row.std**2 for row in rows])
    # The first layer sees images, whose pixels are not of equal variance; from the second on the rule speaks of what comes in.
    factors = {name: tuple(factor_per_layer(run[1:]) for run in runs) for name, runs in squares.items()}
    return Measured(
        criteria=(
            Criterion(
                text="with Xavier's rule a tanh layer keeps the signal's mean square, to a tenth",
                measure="mean square of a layer's output / of the layer before, tanh with Xavier",
                values=factors["tanh, Xavier"],
                low=0.9,
                high=1.1,
                kind="ratio",
            ),
            Criterion(
                text="under ReLU it halves in each layer, to a tenth",
                measure="the same, ReLU with Xavier",
                values=factors["ReLU, Xavier"],
                low=0.45,
                high=0.55,
                kind="ratio",
            ),
            Criterion(
                text="He's factor of 2 keeps it under ReLU, to a tenth",
                measure="the same, ReLU with He",
                values=factors["ReLU, He"],
                low=0.9,
                high=1.1,
                kind="ratio",
            ),
        ),
        experiment=f"{DEPTH} hidden layers of {WIDTH} units as they start, {len(squares['ReLU, He'])} draws of the weights, "
        "512 training images; the factor per layer is fitted from the second layer on.",
        figure=by_layer("mean square of the output by layer", squares),
    )


CLAIM = Claim(
    code="C10",
    title="Xavier suits tanh, He suits ReLU",
    sentence="Xavier keeps the variance of tanh layers; under ReLU it halves per layer, and the factor 2 (He) mends it.",
    source="Glorot & Bengio 2010 derive the rule for units that are linear around 0, and measure tanh. "
    "He et al. 2015 (1502.01852) add the factor 2 that ReLU needs, and train 30 layers with it, which do not start with Xavier's. "
    "In CS231n's own figure tanh shrinks under Xavier's rule as well.",
    measure=measure,
)
