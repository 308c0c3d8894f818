"""Runs of pretrained backbones: exact resume, features that are computed once, and what is trained by regime."""

import pytest
import torch

from run_cases import assert_same_bits, final_weights, raise_at, stop_after
from seewhy import api
from seewhy.core.errors import InputError, RunError
from seewhy.models.pretrained import make_body, record_of
from seewhy.runs.run import Run
from seewhy.training.events import RunStarted

OPTIONS = {
    "epochs": 2.0,
    "batch_size": 40,
    "precision": "fp32",
    "train.threads": 1,
    "model.input_size": 32,
    "watch": False,
}
RANDOM = {**OPTIONS, "model.weights": "none"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights of a small backbone, as a file."""
    path = tmp_path_factory.mktemp("weights") / "test_resnet.pth"
    torch.manual_seed(3)
    torch.save(make_body(record_of("timm", "test_resnet"), 32)[0].state_dict(), path)
    return path


def backbone(weights, **options):
    return {**OPTIONS, "model": "timm", "model.backbone": "test_resnet", "model.weights": str(weights), **options}


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("timm", "test_resnet"),
        ("timm", "test_vit"),
        ("timm", "test_convnext"),
        ("timm", "test_efficientnet"),
        ("timm", "regnetx_002"),
        ("timm", "fastvit_t8"),
        ("torchvision", "mobilenet_v3_small"),
    ],
)
def test_a_stopped_run_goes_on_to_the_same_bits(library, name, shapes, tmp_path):
    options = {**RANDOM, "model": library, "model.backbone": name}
    api.train(shapes, out=tmp_path / "whole", **options)
    with pytest.raises(RunError, match="stopped at step 4 of"):
        api.train(shapes, out=tmp_path / "parts", stop=stop_after(4), **options)
    api.resume(tmp_path / "parts", watch=False)
    assert_same_bits(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize("regime", ["linear", "finetune"])
def test_regimes_go_on_to_the_same_bits_without_the_weights_file(regime, shapes, weights, tmp_path):
    copy = tmp_path / "copy.pth"
    copy.write_bytes(weights.read_bytes())
    options = backbone(copy, **{"model.regime": regime})
    api.train(shapes, out=tmp_path / "whole", **options)
    with pytest.raises(RunError, match="stopped at step 4 of"):
        api.train(shapes, out=tmp_path / "parts", stop=stop_after(4), **options)
    copy.unlink()
    api.resume(tmp_path / "parts", watch=False)
    assert_same_bits(tmp_path / "parts", tmp_path / "whole")


def body_of(folder):
    prefix = "model/net.body."
    return {
        name.removeprefix(prefix): value for name, value in final_weights(folder).items() if name.startswith(prefix)
    }


@pytest.mark.parametrize("regime", ["linear", "nearest_mean"])
def test_features_are_computed_once_and_no_bit_of_the_body_changes(regime, shapes, weights, tmp_path):
    calls, seen = [], []

    def observe(event):
        if isinstance(event, RunStarted):
            event.model.net.body.register_forward_pre_hook(lambda _, inputs: calls.append(len(inputs[0])))
        seen.append(type(event).__name__)

    run = api.train(shapes, out=tmp_path / "run", observers=[observe], **backbone(weights, **{"model.regime": regime}))
    assert "FeatureProgress" in seen
    assert sum(calls) == run.facts.val_images + run.facts.test_images  # the final evaluation; no step of training
    expected = torch.load(weights, weights_only=True)
    assert all(torch.equal(value, expected[name]) for name, value in body_of(run.folder).items())


def test_cached_features_are_those_of_the_images(shapes, weights, tmp_path):
    from seewhy.spec import build_request
    from seewhy.training import state
    from seewhy.training.build import make_job, prepare

    options = {name: value for name, value in backbone(weights).items() if name != "watch"}
    with state.training():
        prepared = prepare(build_request(str(shapes), None, {**options, "model.regime": "linear"}), lambda _: None)
        job = make_job(prepared, tmp_path, lambda _: None, None)
        train, classifier = prepared.dataset.train, prepared.model.eval()
        for batch in job.batches(1, 0):
            places = [train.sample_ids.tolist().index(row) for row in batch.sample_ids.tolist()]
            with torch.no_grad():
                fresh = classifier.net.features(classifier.normalise(train.images(torch.tensor(places))))
            assert torch.allclose(batch.images, fresh, atol=1e-5)
            assert torch.equal(batch.labels, train.labels[places])


def test_finetune_trains_the_head_first_then_all(shapes, weights, tmp_path):
    before = torch.load(weights, weights_only=True)
    options = backbone(weights, **{"model.regime": "finetune"})
    three = len(range(0, 92, 40))
    with pytest.raises(KeyboardInterrupt):
        api.train(
            shapes,
            out=tmp_path / "run",
            **options,
            observers=[raise_at(three + 1)],
            **{"train.checkpoint_seconds": 0.0},
        )
    assert all(torch.equal(value, before[name]) for name, value in body_of(tmp_path / "run").items())
    api.resume(tmp_path / "run", watch=False)
    changed = [name for name, value in body_of(tmp_path / "run").items() if not torch.equal(value, before[name])]
    assert len(changed) > len(before) / 3
    assert not [name for name in changed if "running" in name]  # batches of 40


def test_features_are_the_inputs_of_the_head(shapes, weights, tmp_path):
    run = api.train(shapes, out=tmp_path / "run", **backbone(weights, **{"model.regime": "linear", "epochs": 1.0}))
    files = sorted(shapes.rglob("*.png"))[:5]
    features = run.features(files)
    assert features.shape == (5, run.model.net.head.in_features)
    assert run.features(files[0]).shape == (1, features.shape[1])
    probabilities = (features @ run.model.net.head.weight.T + run.model.net.head.bias).softmax(1)
    expected = torch.tensor([each.probabilities for each in run.predict(files)])
    assert torch.equal(probabilities.argmax(1), expected.argmax(1))
    assert Run(run.folder).predict(files[0]).label == run.predict(files[0]).label


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"model.regime": "linear", "flip": "random"},
            r"reg\.flip: features are computed once with model\.regime linear",
        ),
        ({"model.weights": "none", "model.regime": "linear"}, r"model\.regime: 'linear' builds on pretrained weights"),
        ({"reg.dropconnect": 0.5}, r"reg\.dropconnect: is for mlp, convnet and resnet"),
        ({"model.regime": "full", "model.lowest_rate": 0.1}, r"model\.lowest_rate: belongs to model\.regime finetune"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message, shapes):
    with pytest.raises(InputError, match=message):
        api.train(shapes, model="timm", **options)
