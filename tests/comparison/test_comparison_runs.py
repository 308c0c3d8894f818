"""Studies of real runs on the digits: pairing, verdict, extension, engines' ground truth, generative models."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

import seewhy
from seewhy.comparison.asked import Asked
from seewhy.comparison.design import design_variants
from seewhy.comparison.folder import Cell, StudyFolder
from seewhy.comparison.planning import plan_study
from seewhy.comparison.results import read_outcome
from seewhy.comparison.tuning import short
from seewhy.core.errors import InputError
from seewhy.runs.folder import read_data
from seewhy.spec import Request
from seewhy.training import state
from seewhy.training.build import prepare

SMALL = {"model": "mlp", "width": 8, "depth": 1, "epochs": 2.0, "precision": "fp32"}
OTHERS = {
    "same": "data.max_pixels = 1000000",
    "wild": 'optim.name = "sgd", optim.lr = 1e30, optim.schedule = "constant"',
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two activations, a variant that computes the same as the base, and one that diverges; two seeds."""
    place = tmp_path_factory.mktemp("study") / "study"
    vary = {"activation": ["tanh", "elu"]}
    return seewhy.compare(
        "digits", vary=vary, variants=OTHERS, design="one-at-a-time", seeds=2, tune="none", jobs=2, out=place, **SMALL
    )


def test_equal_seeds_have_equal_splits_weights_and_order(study):
    base, same = study.runs("base"), study.runs("same")
    for one, other in zip(base, same, strict=True):
        metrics = [
            [
                {name: value for name, value in row.items() if name not in ("seconds", "images_per_second")}
                for row in run.metrics
            ]
            for run in (one, other)
        ]
        assert metrics[0] == metrics[1]
        assert one.results == other.results
    images = [
        [np.load(run.folder / "images.npz")["train"] for run in study.runs(name)] for name in ("base", "tanh", "elu")
    ]
    assert all(np.array_equal(images[0][0], each) for of_variant in images for each in of_variant)
    assert base[0].results != base[1].results


@pytest.mark.parametrize(
    ("options", "changed", "factor"),
    [
        ({"model": "convnet"}, {"activation": "elu"}, False),
        ({"model": "convnet"}, {"dropout": 0.3}, False),
        ({"model": "convnet"}, {"optimizer": "sgd"}, False),
        ({"model": "mlp", "norm": "none"}, {"activation": "tanh"}, True),
    ],
)
def test_equal_seeds_have_equal_first_weights_where_shapes_allow(options, changed, factor):
    def weights(changes):
        request = Request.make("digits", {"epochs": 1, "train.threads": 1, "activation": "relu", **options, **changes})
        with state.training():
            return dict(prepare(request, lambda _: None).model.named_parameters())

    one, other = weights({}), weights(changed)
    assert list(one) == list(other)
    for name, values in one.items():
        if factor and values.ndim > 1:  # the same draws, each scaled by its activation's gain
            ratio = other[name] / values
            assert torch.allclose(ratio, ratio.flatten()[0].expand_as(ratio), rtol=1e-4), name
        else:
            assert torch.equal(values, other[name]), name
    assert any(not torch.equal(values, values.flatten()[0].expand_as(values)) for values in one.values())


def test_a_diverging_variant_is_told_with_its_reason_and_the_others_are_judged(study):
    outcome = study.outcome()
    assert outcome.complete
    wild = {each.variant.name: each for each in outcome.figures}["wild"]
    assert (wild.failed, wild.diverged) == (2, 2)
    assert json.loads((study.folder / "runs/wild/0.failed.json").read_text())["attempts"] == 2
    assert all("not finite" in row.reason for row in outcome.rows if row.variant == "wild")
    verdict = study.verdict()
    assert {pair.a: (pair.n, pair.word) for pair in verdict.pairs} == {
        name: (0 if name == "wild" else 2, "too few seeds") for name in ("tanh", "elu", "same", "wild")
    }
    images = {pair.a: pair.images for pair in verdict.pairs}
    assert images["wild"] is None
    assert images["tanh"] is not None
    assert len(images["tanh"].mcnemar) == 2
    assert {pair.a: pair.difference for pair in verdict.pairs}["same"] == 0


def test_figures_of_a_study(study):
    outcome = study.outcome()
    ended = [row for row in outcome.rows if row.status == "ended"]
    assert all(row.curve.usable and row.curve.epochs == (1.0, 2.0) for row in ended)
    assert all(row.value == seewhy.Run(row.folder).results["test"]["accuracy"] for row in ended)
    ends = {
        name: [row.curve.values[-1] for row in ended if row.variant == name] for name in ("base", "tanh", "elu", "same")
    }
    assert outcome.target == pytest.approx(min(sum(values) / 2 for values in ends.values()))
    figures = {each.variant.name: each for each in outcome.figures}
    assert all(figures[name].area is not None and figures[name].seconds > 0 for name in ends)
    assert max(figures[name].reached for name in ends) == 2
    frame = study.frame()
    assert list(frame["status"].value_counts().items()) == [("ended", 8), ("failed", 2)]
    lines = (study.folder / "results.csv").read_text().splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("variant,kind,seed,status,value")
    told = json.loads((study.folder / "results.json").read_text())
    assert told["complete"]
    assert [each["variant"] for each in told["variants"]] == [
        "base",
        "tanh",
        "elu",
        "same",
        "wild",
    ]
    assert "none ended" in outcome.table()


def test_correctness_is_compared_only_where_the_images_are_the_same(study, tmp_path):
    copy = tmp_path / "study"
    shutil.copytree(study.folder, copy)
    for file in copy.glob("runs/elu/*/predictions/test.npz"):
        arrays = dict(np.load(file))
        np.savez(file, **{**arrays, "names": arrays["names"][::-1]})
    assert all(pair.images is None for pair in read_outcome(StudyFolder(copy)).verdict.pairs)
    for file in copy.glob("runs/elu/*/predictions/test.npz"):
        file.write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"test\.npz: is damaged"):
        read_outcome(StudyFolder(copy))


def test_more_seeds_and_variants_reuse_what_there_is(study, tmp_path):
    copy = tmp_path / "study"
    shutil.copytree(study.folder, copy)
    times = {path: path.stat().st_mtime_ns for path in copy.glob("runs/*/*/results.json")}
    more = seewhy.resume_study(copy, seeds=3, variants={"wide": "model.width = 16"}, jobs=2)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert [each.name for each in more.design.variants] == ["base", "tanh", "elu", "same", "wild", "wide"]
    assert more.outcome().complete
    assert len(more.rows()) == 18


def test_of_two_that_extend_a_study_at_once_the_second_is_told(study, tmp_path):
    copy = tmp_path / "study"
    shutil.copytree(study.folder, copy)
    first, second = StudyFolder(copy), StudyFolder(copy)
    first.extend(replace(first.design, seeds=(0, 1, 2)))
    with pytest.raises(InputError, match="was extended by another process meanwhile"):
        second.extend(replace(second.design, seeds=(0, 1, 2, 3)))
    assert StudyFolder(copy).design.seeds == (0, 1, 2)
    assert second.changed()
    second.extend(replace(second.design, seeds=(0, 1, 2, 3)))
    first = StudyFolder(copy)
    first.extend(replace(first.design, seeds=(0, 1, 2, 3, 4)))
    first.extend(replace(first.design, seeds=(0, 1, 2, 3, 4, 5)))


def test_a_product_whose_default_is_among_its_values_gains_a_named_variant(tmp_path):
    options = {**SMALL, "epochs": 0.1}
    study = seewhy.compare(
        "digits", vary={"activation": ["relu", "elu"]}, seeds=1, tune="none", jobs=2, out=tmp_path / "s", **options
    )
    more = seewhy.resume_study(study, variants={"wide": "model.width = 16"}, jobs=2)
    assert [each.name for each in more.design.variants] == ["relu", "elu", "wide"]
    assert {row["status"] for row in more.rows()} == {"ended"}


def test_a_source_that_was_overwritten_is_refused(tmp_path):
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2

    def save():
        images = random.integers(0, 255, (60, 8, 8), dtype=np.uint8)
        np.savez(tmp_path / "data.npz", train_images=images, train_labels=labels)

    save()
    options = {**SMALL, "epochs": 0.5}
    study = seewhy.compare(
        tmp_path / "data.npz", vary={"activation": ["tanh", "elu"]}, seeds=1, tune="none", out=tmp_path / "s", **options
    )
    assert study.outcome().complete
    save()
    for more in ({"seeds": 2}, {"variants": {"wide": "model.width = 16"}}):
        with pytest.raises(InputError, match="the images have changed since"):
            seewhy.resume_study(study, **more)
    assert len(study.design.seeds) == 1


def test_other_decodings_are_compared_and_have_fingerprints_of_their_own(study):
    (same,) = (each for each in study.design.variants if each.name == "same")
    job = StudyFolder(study.folder).job(Cell("runs", same, 0))
    assert read_data(job.folder).values["fingerprint"] == study.design.fingerprint_of(same)


def test_a_budget_is_kept_by_the_plan():
    base = Request.make("digits", {"model": "mlp", "width": 64, "train.threads": 1})
    variants = design_variants({"activation": ["tanh", "elu"]}, {}, base)
    for minutes, tune in ((4.0, "lr"), (2.5, "none"), (6.0, "lr")):
        design = plan_study(Asked(base, variants, 5, tune=tune, minutes=minutes, at_once=2), lambda _: None)
        epochs = design.base.get("train.epochs")
        train = [seconds - 6 for seconds in design.run_seconds.values()]
        tuning = sum(5 * (6 + one * short(epochs) / epochs) for one in train) if tune == "lr" else 0
        total = (5 * sum(design.run_seconds.values()) + tuning) / 2 / 60
        assert 0.9 * minutes < total < 1.05 * minutes, (minutes, total)  # speed is measured anew for each
    with pytest.raises(InputError, match=r"budget: 0.1 minutes do not even pay"):
        plan_study(Asked(base, variants, 5, minutes=0.1), lambda _: None)


def test_generative_models_are_compared_by_nats_and_by_their_samples(tmp_path):
    vae = {"model": "vae", "epochs": 0.1, "out": tmp_path / "vae", "seeds": 1, "tune": "none", "jobs": 2}
    study = seewhy.compare("digits", vary={"model.latent_dim": [2, 8]}, **vae)
    assert study.design.metric.name == "nats"
    assert study.outcome().complete
    assert {row["status"] for row in study.rows()} == {"ended"}
    gan = {"model": "gan", "epochs": 0.1, "out": tmp_path / "gan", "seeds": 1, "metric": "fid", "jobs": 2}
    study = seewhy.compare("digits", vary={"model.width": [8, 16]}, **gan)
    assert (study.design.tune, study.design.selection) == ("none", None)
    values = {row["variant"]: row["value"] for row in study.rows()}
    for variant, value in values.items():
        told = json.loads((study.folder / "runs" / variant / "0.quality.json").read_text())
        assert value == told["generated"]["frechet"]["fid"] > 0
    assert "none: there is no metric of validation" in dict(study.plan(at_once=1))["tuning"]
    for options, message in (
        ({"tune": "lr"}, "tune: generative adversarial networks have no metric of validation"),
        ({"halving": True}, "halving: generative adversarial networks have no metric of validation"),
        ({"metric": None}, "metric: .* give --metric fid"),
        ({"metric": "nats"}, "metric: 'nats' is not known"),
        ({"extractor": "inception"}, "'inception' needs the weights"),
        ({"extractor": tmp_path / "nothing"}, "nothing"),
        ({"extractor": study.runs("width=8")[0]}, "is no classifier"),
    ):
        with pytest.raises(InputError, match=message):
            seewhy.compare("digits", vary={"model.width": [8, 16]}, **{**gan, "out": tmp_path / "new", **options})
    assert not (tmp_path / "new").exists()


def test_models_of_other_families_are_judged_by_what_they_share(tmp_path):
    options = {"epochs": 0.05, "seeds": 1, "tune": "none", "out": tmp_path / "s", "jobs": 2}
    study = seewhy.compare(
        "digits",
        variants={"vae": "model.name = 'vae'", "pixelcnn": "model.name = 'pixelcnn'"},
        model="autoencoder",
        **options,
    )
    assert study.design.metric.name == "nats"
    with pytest.raises(InputError, match="no metric in common"):
        seewhy.compare("digits", vary={"model": ["vae", "mlp"]}, **{**options, "out": tmp_path / "t"})
