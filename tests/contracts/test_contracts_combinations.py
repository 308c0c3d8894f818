"""Any combination of names builds and trains a step, or is refused with a reason."""

import itertools
import math
import random

import pytest
import torch

from seewhy import models, optim
from seewhy.core.errors import InputError
from seewhy.nn import ACTIVATIONS, INITS, NORM_INITS, NORMS

SHAPE = (3, 16, 16)

REGULARISED = (
    {},
    {"dropout": 0.5, "dropout_kind": "classic"},
    {"dropconnect": 0.5},
    {"input_dropout": 0.2, "dropout": 0.3},
    {"stochastic_depth": 0.5},
    {"pool": "fractional"},
    {"dropconnect": 0.3, "dropconnect_shared": 4},
)
FAMILIES = [
    tuple(models.CLASSIFIERS),
    *(registry.names() for registry in (ACTIVATIONS, NORMS, INITS, NORM_INITS, optim.OPTIMISERS)),
    tuple(range(len(REGULARISED))),
    (False, True),  # bf16
]
COMBINATIONS = random.Random(0).sample(list(itertools.product(*FAMILIES)), 1200)


def step(name, design, optimiser, *, bf16):
    weights, pixels = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
    net = models.build_classifier(name, in_shape=SHAPE, classes=3, design=design, rng=weights)
    model = models.Classifier(net, [0.5] * 3, [0.25] * 3)
    images = torch.randint(0, 256, (6, *SHAPE), dtype=torch.uint8, generator=pixels)
    models.prepare_classifier(model, images, design)
    rule = optim.build(optimiser, model.named_parameters(), lr=1e-3)

    def graph():
        torch.manual_seed(2)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(images.contiguous(memory_format=torch.channels_last))
        return torch.nn.functional.cross_entropy(logits, torch.arange(6) % 3), logits

    def gradients():
        rule.zero_grad()
        loss, _ = graph()
        loss.backward()
        return loss

    if isinstance(rule, optim.Newton):
        loss = rule.step(graph if rule.curvature == "gauss_newton" else lambda: graph()[0])
    else:
        loss = rule.step(gradients)
    return (loss[0] if isinstance(loss, tuple) else loss).item(), model


def test_there_are_enough():
    assert len(COMBINATIONS) >= 300
    for one, other in itertools.combinations(range(len(FAMILIES)), 2):
        pairs = {(row[one], row[other]) for row in COMBINATIONS}
        assert pairs == set(itertools.product(FAMILIES[one], FAMILIES[other]))


@pytest.mark.parametrize("model", models.CLASSIFIERS)
@pytest.mark.parametrize("activation", ACTIVATIONS.names())
def test_combinations_train_or_are_refused(model, activation):
    trained = 0
    for name, act, norm, init, norm_init, optimiser, index, bf16 in COMBINATIONS:
        if (name, act) != (model, activation):
            continue
        held = dict(REGULARISED[index])
        pool = held.pop("pool", "max")
        design = models.ClassifierDesign(
            activation=act,
            init=init,
            norm=models.Choice(norm, {"init": norm_init} if norm_init != "standard" else {}),
            pool=pool,
            width=4,
            depth=2,
            regularisers=models.Regularisers(**held),
        )
        expected = (
            (norm_init == "identity" and norm != "batch")
            or (name == "mlp" and init == "dirac")
            or (name == "mlp" and norm == "instance")
            or ("stochastic_depth" in held and name != "resnet")
            or (pool != "max" and name != "convnet")
        )
        if expected:
            with pytest.raises(InputError, match=r"\w+: (.|\n)*(choose|leave)"):
                step(name, design, optimiser, bf16=bf16)
            continue
        loss, net = step(name, design, optimiser, bf16=bf16)
        assert math.isfinite(loss), (design, optimiser)
        assert all(torch.isfinite(parameter).all() for parameter in net.parameters()), (design, optimiser)
        trained += 1
    assert trained >= 5
