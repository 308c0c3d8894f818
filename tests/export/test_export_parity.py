"""Exported files against the run's own verbs, by the runtime alone; a file that differs is not written."""

import numpy as np
import pytest
import torch
from export_cases import FUNCTIONS, onnx_function, picture

from seewhy.core.errors import RunError
from seewhy.core.seeding import rng
from seewhy.export import classifier, parity
from seewhy.models.latent import graph as latent_graph
from seewhy.runs.exported import Parity

SIZES = [(1, 1), (8, 8), (400, 300), (300, 400), (7, 31), (1, 50), (33, 17)]


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("mlp", "onnx"),
        ("convnet", "onnx"),
        ("resnet", "onnx"),
        ("ensemble", "onnx"),
        ("timm_vit", "onnx"),
        ("mlp", "torch"),
    ],
)
def test_a_classifier_predicts_as_its_run(exported, make_run, name, form):
    run, done = make_run(name), exported(name, form)
    compute = FUNCTIONS[form](done.file)
    images = [picture(*size, channels, seed) for seed, size in enumerate(SIZES) for channels in (1, 3)]
    for image, expected in zip(images, run.predict(images), strict=True):
        (found,) = compute(image[None])
        assert found.dtype == np.float32
        assert np.abs(found - expected.probabilities).max() <= 0.01
        assert run.classes[found.argmax()] == expected.label
    batch = np.stack([picture(20, 30, 3, seed) for seed in range(5)])
    expected = run.probabilities(run.read(batch)).numpy()
    np.testing.assert_allclose(compute(batch), expected, atol=0.01)


def test_a_photograph_of_twelve_megapixels_is_predicted_as_by_the_run(exported, make_run):
    run, compute = make_run("convnet"), onnx_function(exported("convnet").file)
    for size, channels in (((3000, 4000), 3), ((4000, 3000), 1)):
        image = picture(*size, channels)
        (expected,) = run.predict([image])
        (found,) = compute(image[None])
        assert np.abs(found - expected.probabilities).max() <= 0.01
        assert run.classes[found.argmax()] == expected.label


def test_what_was_measured_is_told(exported):
    told = exported("convnet").parity
    assert told.inputs == parity.IMAGES
    assert {"1x1", "300x400", "31x31", "8x8"} <= set(told.sizes)
    assert told.levels <= 1
    assert told.probability <= 0.01
    assert f"largest |dp| {told.probability:.1e}, top-1 equal 18/18" in exported("convnet").lines()[0]


@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_a_vaes_decoder_decodes_as_its_run(exported, make_run, form):
    run, compute = make_run("vae"), FUNCTIONS[form](exported("vae", form).file)
    latents = torch.randn(7, run.spec.model.latent_dim, generator=torch.Generator().manual_seed(3))
    labels = torch.arange(7) % 10
    expected = run.decode(latents, label=labels.tolist()).permute(0, 2, 3, 1).numpy().astype(int)
    found = compute(latents.numpy(), labels.numpy())
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_generator_samples_as_its_run(exported, make_run):
    run, compute = make_run("gan"), FUNCTIONS["onnx"](exported("gan").file)
    noise = run.model.generator.noise.sample(9, rng(4, "sample"))
    expected = run.sample(9, seed=4).permute(0, 2, 3, 1).numpy().astype(int)
    assert np.abs(compute(noise.numpy()).astype(int) - expected).max() <= 1


def test_steps_of_a_pixelcnn_give_the_likelihood_of_its_run(exported, make_run):
    """log p(x) is the sum over positions of the log-probability of the value there, of which those behind count for nothing."""
    run, compute = make_run("pixelcnn"), FUNCTIONS["onnx"](exported("pixelcnn").file)
    values = (torch.arange(64).view(1, 1, 8, 8) % 3 == 0).long()
    total = 0.0
    for position in range(64):
        known = values.flatten().clone()
        known[position:] = 0
        logits = torch.from_numpy(compute(known.view(1, 1, 8, 8).numpy(), np.array([position])))
        total += logits.log_softmax(1)[0, values.flatten()[position]].item()
    expected = run.model.log_likelihood(run.model.levels.images(values)).item()
    assert total == pytest.approx(expected, abs=1e-3)


def test_a_classifier_whose_parity_fails_leaves_nothing(make_run, tmp_path, monkeypatch):
    monkeypatch.setattr(classifier, "tempered", lambda p, _: (p.log() / 3).softmax(-1))
    with pytest.raises(RunError, match=r"does not compute what the run does: .*largest \|dp\| .*no file was written"):
        make_run("mlp").export("torch", tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


def test_pixels_that_differ_by_two_levels_are_refused(make_run, tmp_path, monkeypatch):
    plain = classifier.resample
    monkeypatch.setattr(classifier, "resample", lambda *given: plain(*given) // 3 * 3)
    with pytest.raises(RunError, match="pixels within 2 levels"):
        make_run("mlp").export("torch", tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


def test_a_decoder_whose_parity_fails_leaves_nothing(make_run, tmp_path, monkeypatch):
    plain = latent_graph.DecoderGraph.forward

    def negative(self, latents, labels):
        return 255 - plain(self, latents, labels)

    monkeypatch.setattr(latent_graph.DecoderGraph, "forward", negative)
    with pytest.raises(RunError, match="pixels within"):
        make_run("vae").export("torch", tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "bad",
    [{"levels": 2}, {"probability": 0.011}, {"probability": float("nan")}, {"probability": 0.0, "different": 1}],
    ids=str,
)
def test_each_difference_alone_is_refused(bad):
    parity.validate_parity(Parity(inputs=3, levels=1, probability=0.01))
    with pytest.raises(RunError, match="no file was written"):
        parity.validate_parity(Parity(inputs=3, **bad))
