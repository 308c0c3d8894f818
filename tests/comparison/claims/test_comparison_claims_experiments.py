"""The quick form of every claim runs, and its parts do what they say."""

import json

import pytest
import torch
from torch import nn

from seewhy.comparison.claims import fitting
from seewhy.comparison.claims.catalogue import MODULES, claim, claims
from seewhy.comparison.claims.results import Result, committed_results
from seewhy.comparison.claims.run import measure_claim
from seewhy.comparison.claims.setting import load_setting
from seewhy.comparison.claims.updates import UpdateWatch
from seewhy.core.errors import InputError


@pytest.fixture(scope="module")
def setting():
    return load_setting(quick=True)


@pytest.mark.parametrize("code", list(MODULES))
def test_the_quick_form_runs_and_the_rule_applies(code):
    result = measure_claim(code, "digits", quick=True, seeds=None)
    assert result.verdict.name in ("supported", "depends", "not supported")
    assert len({criterion.text for criterion in result.measured.criteria}) == len(result.measured.criteria)
    assert all(len(criterion.values) >= 2 for criterion in result.measured.criteria)
    kept = json.loads(json.dumps(result.to_json()))
    assert Result.from_json(kept) == result
    assert Result.from_json({**kept, "verdict": "supported"}).verdict == result.verdict


@pytest.mark.parametrize("code", list(MODULES))
def test_every_claim_is_told(code):
    each = claim(code)
    assert each.code == code
    assert each.sentence.endswith(".")
    assert len(each.source) > 80


def test_claims_are_named_in_any_spelling_and_come_in_order():
    assert claim("c2") is claim("C02") is claim("2")
    assert [each.code for each in claims(["C10", "2", "C10"])] == ["C02", "C10"]
    assert [each.code for each in claims()] == list(MODULES)


def test_splits_share_no_image_and_a_quick_setting_is_small(setting):
    assert len(setting.train) == 300
    assert len(setting.train.y) == len(setting.train.x) == len(setting.train.pixels)
    assert 0 <= float(setting.train.pixels.min()) < float(setting.train.pixels.max()) <= 1
    train = {row.numpy().tobytes() for row in setting.train.pixels}
    assert not train & {row.numpy().tobytes() for row in [*setting.val.pixels, *setting.test.pixels]}


def test_a_single_seed_is_refused():
    with pytest.raises(InputError, match="seeds"):
        load_setting(quick=True, seeds=1)


def test_equal_seeds_give_equal_fits_and_others_do_not(setting):
    def losses(seed):
        recipe = fitting.Recipe(make=lambda seed: fitting.mlp(setting, seed=seed), steps=5)
        return recipe.train(setting, 0.1, seed)[1].losses

    torch.manual_seed(3)
    first = losses(0)
    torch.manual_seed(4)
    assert losses(0) == first
    assert losses(1) != first


def test_the_seed_decides_the_order_and_an_epoch_has_every_image_once():
    x = torch.arange(12.0)[:, None]

    def epoch(seed):
        batches = fitting.batches(x, x, 4, seed)
        return torch.cat([next(batches)[0] for _ in range(3)]).flatten().tolist()

    assert epoch(0) == epoch(0) != epoch(1)
    assert sorted(epoch(0)) == list(range(12))


def test_a_fit_stops_where_it_diverges(setting):
    recipe = fitting.Recipe(make=lambda seed: fitting.mlp(setting, seed=seed), steps=50, optimizer="sgd")
    _, fitted = recipe.train(setting, 1e6, 0)
    assert fitted.diverged
    assert len(fitted.losses) < 50
    assert fitted.last() == fitting.LARGEST
    assert fitted.steps_to(0.1, 50) == fitting.LARGEST


def test_steps_to_a_loss_are_those_of_the_running_mean():
    assert fitting.Fit(losses=[1.0] * 30).steps_to(0.5, 99) == 99
    assert fitting.Fit(losses=[1.0] * 20 + [0.0] * 60).steps_to(0.5, 99) == 34  # 0.95^14 = 0.49


def test_rates_that_miss_a_target_are_told_apart_by_their_last_loss():
    far, near, reached = (fitting.Fit(losses=[loss] * 99) for loss in (2.0, 1.0, 0.4))
    assert 99 < near.lateness(0.5, 99) < far.lateness(0.5, 99) < 100
    assert reached.lateness(0.5, 99) == reached.steps_to(0.5, 99)
    assert fitting.told_missed({"near": [99.0, 20.0], "reached": [20.0, 20.0]}, 99) == (
        " (missed by 1 of 2 runs of near, which count as all 99 steps)"
    )
    assert fitting.told_missed({"reached": [20.0]}, 99) == ""


def test_a_rate_is_chosen_on_seeds_of_its_own():
    seen = []

    def score(rate, seed):
        seen.append(seed)
        return abs(rate - 0.3)

    assert fitting.best_rate((0.1, 0.3, 1.0), score) == 0.3
    assert min(seen) >= fitting.TUNING


def test_updates_are_watched():
    """SGD's update is the rate times the gradient: the watch has to find the rate, and a constant direction."""
    net = nn.Linear(2, 1, bias=False)
    watch = UpdateWatch()
    x = torch.tensor([[2.0, 100.0]])
    fitting.fit(
        net, x, x[:, :1], steps=30, lr=1e-6, seed=0, optimizer="sgd", batch=None,
        loss=lambda outputs, _: outputs.sum(), observe=lambda step: watch.observe(net, step),
    )  # fmt: skip
    assert watch.rates == pytest.approx([1e-6] * 30, rel=0.2)
    assert watch.persistence == pytest.approx(1.0, abs=0.01)
    assert watch.decades == pytest.approx(0.883, abs=0.03)  # quantiles of paths of 2 and 100: 11.8 and 90.2
    assert watch.kept() == pytest.approx(1.0, rel=0.2)


def test_committed_results_are_of_claims_that_there_are():
    for (code, data), result in committed_results().items():
        assert code in MODULES
        assert (result.code, result.data) == (code, data)
        assert not result.quick
