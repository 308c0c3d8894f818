"""The speed that is measured before a run: of whole steps, on a copy, with nothing left behind."""

import copy
import time
from functools import partial

import pytest
import torch

from seewhy import data
from seewhy.spec import Request, resolve
from seewhy.training.build import build_model, facts_of, make_optimizer
from seewhy.training.fabric import Engine
from seewhy.training.speed import measure_speed
from seewhy.training.state import isolated


def parts(**options):
    from seewhy.models.family import implementation_of

    dataset = data.load_dataset("digits")
    facts = facts_of(dataset)
    changes = {"train.device": "cpu", "train.precision": "fp32", "width": 8, "epochs": 1.0}
    spec = resolve(Request.make("digits", {**changes, **options}), facts).spec
    objective = implementation_of(spec).objective(spec, facts, dataset.mean)
    return objective, partial(make_optimizer, spec), build_model(spec, facts, dataset), facts, spec.train.batch_size


@pytest.mark.parametrize(
    "options",
    [
        {"model": "mlp"},
        {"model": "mlp", "optimizer": "lbfgs", "norm": "none", "depth": 1},
        {"model": "mlp", "optimizer": "newton", "norm": "none", "depth": 1, "batch_size": 50},
        {"model": "mlp", "optimizer": "hessian_free", "norm": "none", "depth": 1, "batch_size": 50},
        {"model": "vae"},
        {"model": "gan"},
    ],
    ids=lambda options: "-".join(str(value) for value in options.values()),
)
def test_it_is_measured_for_every_kind_of_step_and_changes_nothing(options):
    with isolated():
        objective, optimizer, model, facts, batch_size = parts(**options)
        before = copy.deepcopy(model.state_dict())
        start = time.perf_counter()
        speed = measure_speed(
            objective, optimizer, model, Engine(device="cpu", precision="fp32", threads=1), facts, batch_size
        )
        seconds = time.perf_counter() - start
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())
    count = max(8, min(batch_size, 512))
    assert speed > 4 * count / seconds  # the best of four steps took no longer than a quarter of the time
