"""Health records like those of a watched loop, made from a seed."""

from __future__ import annotations

import math

import numpy as np

from seewhy.core.findings import CheckOutcome, Finding, Remedy
from seewhy.reporting import Health, LinePlot, NetworkHealth


def network(L: int = 3, T: int = 5, name: str = "model", layer: str = "layer{}") -> NetworkHealth:
    rng = np.random.default_rng(L * T)
    layers = [layer.format(row) for row in range(L)]
    measures = {
        "gradient": (10.0 ** rng.uniform(-8, 0, (L, T))).tolist(),
        "spread": (10.0 ** rng.uniform(-4, 3, (L, T))).tolist(),
        "silent": rng.random((L, T)).tolist(),
        "saturated": [[None] * T for _ in range(L)],
        "update": (10.0 ** rng.uniform(-9, 0.5, (L, T))).tolist(),
    }
    steps = np.unique(np.geomspace(1, 100 * T, T).astype(int) + np.arange(T)).tolist()
    rows = {f"{name}.weight": row for row, name in enumerate(layers)} | {name: row for row, name in enumerate(layers)}
    return NetworkHealth(name, steps, layers, ["relu"] * L, measures, rows)


def finding(code: str = "dead_units", **fields: object) -> Finding:
    standard = {
        "code": code,
        "title": "90% of the 64 units of layer1 are never active",
        "severity": "warning",
        "step": 20,
        "layers": ("layer1",),
        "evidence": {"share": 0.9, "samples": 1024, "worst": math.inf, "by_layer": [0.1, 0.9]},
        "explanation": "It cannot learn. It is dead. Alas.",
        "source": "Somebody 1999",
        "remedies": (
            Remedy("lower the learning rate", code="lr = 1e-4"),
            Remedy("another activation", edit='model.activation = "elu"'),
        ),
        "confidence": 0.8,
    }
    return Finding(**(standard | fields))  # type: ignore[arg-type]


CHECKS = (
    CheckOutcome("dead_units", "found", "90% of the 64 units"),
    CheckOutcome("no_learning", "passed", "the loss has fallen"),
    CheckOutcome("overfitting", "skipped", "no validation loss"),
    CheckOutcome("inputs_constant", "not applicable", "no input"),
)


def health(**fields: object) -> Health:
    seen, gone = finding(), finding("saturated_units", ended=90, title="It was saturated", layers=("layer0",))
    plot = LinePlot("Share silent", {"layer1": [(1, 0.1), (20, 0.9), (50, 0.8)]}, percent=True, threshold=0.5, step=20)
    standard = {
        "steps": 100,
        "findings": [seen],
        "past": [gone],
        "checks": CHECKS,
        "networks": [network()],
        "plots": {seen.fingerprint: plot},
        "measures": {seen.fingerprint: "silent"},
        "learning": [LinePlot("Loss", {"loss": [(1, 2.0), (100, 0.5)], "val_loss": [(50, 1.0), (100, math.nan)]})],
        "told": [("val_loss", 2, math.nan)],
    }
    return Health(**(standard | fields))  # type: ignore[arg-type]
