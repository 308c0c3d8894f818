"""Every check: a small program with the fault, which it names first, and its twin without, of which nothing is said."""

import math

import pytest
from check_programs import PAIRS, deep, sgd, single, squares, train
from torch import nn

from seewhy.diagnosis import network
from seewhy.diagnosis.checks import CHECKS

GENERATIVE = {"posterior_collapse", "mode_collapse", "discriminator_wins"}
"""In test_diagnosis_generative.py."""


@pytest.fixture(autouse=True)
def probes_do_not_depend_on_the_clock(monkeypatch):
    monkeypatch.setattr(network, "SHARE", math.inf)


@pytest.mark.parametrize("code", PAIRS)
def test_the_fault_is_named_first_and_its_twin_not_at_all(code):
    faulty, healthy = PAIRS[code]
    why = train(**faulty)
    assert [finding.code for finding in why.findings][:1] == [code], str(why)
    finding = why.findings[0]
    assert finding.title
    assert finding.explanation
    assert finding.source
    assert finding.remedies
    assert finding.step <= why.history().loop.step
    twin = train(**healthy)
    assert [str(found) for found in twin.findings] == []
    assert len({check.code for check in twin.checks}) == len(twin.checks) == len(CHECKS)
    assert all(check.status != "found" for check in twin.checks)


def test_codes_are_unique_and_each_has_its_pair():
    assert len({check.code for check in CHECKS}) == len(CHECKS)
    assert {check.code for check in CHECKS} == PAIRS.keys() | GENERATIVE


@pytest.mark.parametrize(("last", "low", "high"), [(nn.Sigmoid, 0, 1), (nn.Tanh, -1, 1)])
def test_targets_must_lie_within_what_the_last_function_gives(last, low, high):
    def found(low, high):
        targets = {"targets": lambda y: low + (high - low) * y / 3}
        return [finding.code for finding in train(lambda: single(last()), loss=squares, **targets).findings]

    assert found(low, high) == []
    assert found(low, 10 * high)[:1] == ["activation_before_loss"]


@pytest.mark.parametrize("act", [nn.ReLU, nn.Tanh])
def test_of_a_deep_network_whose_signal_fades_the_weights_are_named_not_the_rate(act):
    def found(gain, rate):
        def model():
            layers = deep(act)()
            for layer in layers[::2]:
                nn.init.normal_(layer.weight, std=gain * layer.in_features**-0.5)
                nn.init.zeros_(layer.bias)
            return layers

        why = train(model, sgd(rate), steps=300)
        return [finding.code for finding in why.findings]

    assert found(0.4, 0.05)[:1] == ["initialisation_too_small"]
    assert found(0.9, 1e-5)[:1] == ["learning_rate_too_low"]
    assert found(1.4 if act is nn.ReLU else 1.0, 0.05) == []
