"""Shared by the tests of diagnoses: findings, and a run that has them."""

import json
import shutil

from seewhy.core.findings import Finding, Remedy

GRADIENTS = Finding(
    code="vanishing_gradients",
    title="the gradient at net.layers.0 is 2e-07 of that at net.head",
    severity="warning",
    step=2,
    layers=("net.layers.0",),
    evidence={"ratio": 1.6e-07, "first": float("inf")},
    explanation="Each layer multiplies the gradient. If these shrink it, little is left. Depth makes it worse.",
    source="Hochreiter 1991",
    depth=2,
    remedies=(
        Remedy("add skip connections", "x = x + block(x)"),
        Remedy("normalise", edit='model.norm = "batch"'),
        Remedy("take ReLU", edit='model.activation = "relu"'),
    ),
)
RATE = Finding(
    code="learning_rate_too_high",
    title="a step changes a typical weight by 120%",
    severity="critical",
    step=12,
    depth=1,
    remedies=(Remedy("lower it"),),
)
DEAD = Finding(code="dead_units", title="60% are dead", severity="note", step=50, layers=("net.layers.1",), ended=300)
CHECKS = [
    {"code": "learning_rate_too_high", "status": "found", "reason": RATE.title},
    {"code": "vanishing_gradients", "status": "found", "reason": GRADIENTS.title},
    {"code": "zero_grad_missing", "status": "passed", "reason": "gradients are cleared between steps"},
    {"code": "inputs_unscaled", "status": "not applicable", "reason": "the input is no batch of floating-point values"},
]


def as_json(finding):
    """Return a finding as findings.json has it."""
    text = json.dumps(finding.to_json()).replace("Infinity", '"inf"')
    return json.loads(text)


def with_findings(run, folder, findings, past=(), checks=CHECKS):
    """Copy a run's folder and let it have findings; return the copy's folder."""
    shutil.copytree(run.folder, folder)
    value = {"findings": [*map(as_json, findings)], "past": [*map(as_json, past)], "checks": list(checks)}
    (folder / "findings.json").write_text(json.dumps(value))
    return folder
