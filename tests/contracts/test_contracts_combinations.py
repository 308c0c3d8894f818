"""Any combination of names builds and trains a step, or is refused with a reason."""

import itertools
import math

import pytest
import torch

from seewhy import models, optim
from seewhy.core.errors import InputError
from seewhy.nn import ACTIVATIONS, INITS, NORM_INITS, NORMS

NAMES = [family.names() for family in (models.MODELS, ACTIVATIONS, NORMS, INITS, NORM_INITS)]
PRODUCT = list(itertools.product(*NAMES))
CHOSEN = PRODUCT[::3]  # every third still holds each name with many others
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
"""Given to the combinations in turn: seven is coprime to the families' sizes."""


def step(name, design, *, bf16):
    net = models.build(name, in_shape=SHAPE, classes=3, design=design, generator=torch.Generator().manual_seed(0))
    model = models.Recogniser(net, [0.5] * 3, [0.25] * 3)
    random = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (6, *SHAPE), dtype=torch.uint8, generator=random)
    models.prepare(model, images, design)
    optimiser = optim.build("sgd", model.named_parameters(), lr=1e-3)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(images.contiguous(memory_format=torch.channels_last))
    loss = torch.nn.functional.cross_entropy(logits, torch.arange(6) % 3)
    loss.backward()
    optimiser.step()
    return loss.item(), model


def test_there_are_enough():
    assert len(CHOSEN) >= 300
    for place, names in enumerate(NAMES):
        assert {row[place] for row in CHOSEN} == set(names)


@pytest.mark.parametrize("model", models.MODELS.names())
@pytest.mark.parametrize("activation", ACTIVATIONS.names())
def test_combinations_train_or_are_refused(model, activation):
    trained = 0
    for place, (name, act, norm, init, norm_init) in enumerate(CHOSEN):
        if (name, act) != (model, activation):
            continue
        held = REGULARISED[place % len(REGULARISED)]
        design = models.Design(activation=act, norm=norm, init=init, norm_init=norm_init, width=4, depth=2, **held)
        expected = (
            (norm_init == "identity" and norm != "batch")
            or (name == "mlp" and init == "dirac")
            or (name == "mlp" and norm == "instance")
            or ("stochastic_depth" in held and name != "resnet")
            or ("pool" in held and name != "convnet")
        )
        if expected:
            with pytest.raises(InputError, match=r"(model|reg)\.(.|\n)*choose"):
                step(name, design, bf16=place % 4 == 0)
            continue
        loss, net = step(name, design, bf16=place % 4 == 0)
        assert math.isfinite(loss), design
        assert all(torch.isfinite(parameter).all() for parameter in net.parameters()), design
        trained += 1
    assert trained >= 5
