"""`seewhy generate` as a person meets it: what it writes, and what it refuses before any work."""

import numpy as np
import pytest
import torch
from PIL import Image

from seewhy import api
from seewhy.cli.main import run
from seewhy.data.image_files import to_pixels
from seewhy.reporting import image_grid

SMALL = {"width": 8, "depth": 1, "epochs": 1, "precision": "fp32", "ema": 0.5, "train.threads": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Small runs of the digits by their models."""
    home = tmp_path_factory.mktemp("generate")
    models = {"autoencoder": {"model.latent_dim": 4}, "vae": {"model.latent_dim": 4}, "pixelcnn": {"epochs": 0.2}}
    return {
        name: api.train("digits", out=home / name, model=name, **{**SMALL, **more}) for name, more in models.items()
    }


@pytest.fixture
def image(tmp_path):
    """An image file of 8 x 8 pixels."""
    path = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    return str(path)


@pytest.fixture
def sheet(tmp_path, monkeypatch, capsys):
    """Run `generate` and return the pixels of its sheet."""
    monkeypatch.chdir(tmp_path)

    def make(*words):
        code = run(["generate", *map(str, words), "--out", "out.png"])
        assert code == 0, capsys.readouterr().err
        with Image.open("out.png") as made:
            pixels = np.asarray(made)
        (tmp_path / "out.png").unlink()
        return pixels

    return make


def grid(images, columns=None):
    return image_grid(to_pixels(images), columns=columns)[..., 0]


def test_the_path_of_an_interpolation(runs, sheet, image, tmp_path):
    other = tmp_path / "other.png"
    Image.new("L", (8, 8), 200).save(other)
    vae = runs["vae"]
    words = ("interpolate", vae.folder, image, other)
    linear, spherical = (grid(vae.interpolate(image, other, path=path), 9) for path in ("linear", "spherical"))
    assert not np.array_equal(linear, spherical)
    assert np.array_equal(sheet(*words, "--path", "linear"), linear)
    assert np.array_equal(sheet(*words), spherical)


def test_the_mask_of_a_completion(runs, sheet, image, tmp_path):
    model, given = runs["pixelcnn"], torch.arange(8)[None].expand(8, 8) < 3
    Image.fromarray(given.numpy().repeat(5, 0).repeat(5, 1)).save(tmp_path / "mask.png")
    np.save(tmp_path / "mask.npy", given.numpy())
    expected = grid(torch.cat([model.read(image), model.complete(image, given=given)]), 1)
    for name in ("mask.png", "mask.npy"):
        assert np.array_equal(sheet("complete", model.folder, image, "--mask", tmp_path / name), expected)


def test_latent_dimensions_set_by_hand(runs, sheet, image):
    for name in ("autoencoder", "vae"):
        model = runs[name]
        made = sheet("decode", model.folder, "--set", "3=-2.5", "--set", "1=7")
        assert np.array_equal(made, grid(model.decode(values={3: -2.5, 1: 7})))
        made = sheet("decode", model.folder, image, "--set", "3=-2.5", "--pixel-noise", "--seed", "4")
        decoded = model.decode(images=image, values={3: -2.5}, pixel_noise=True, seed=4)
        assert np.array_equal(made, grid(torch.cat([model.read(image), decoded]), 1))


def test_a_traversal_names_its_dimensions(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["generate", "traverse", str(runs["vae"].folder), "--dimensions", "2"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "traverse.png\n"
    order = runs["vae"].record["order"]
    assert printed.err == f"latent dimensions from the top: {order[0]}, {order[1]}\n"


def test_the_prior_and_the_pixel_noise_of_samples(runs, sheet):
    model = runs["autoencoder"]
    for words, options in (
        ((), {}),
        (("--prior", "mixture"), {"prior": "mixture"}),
        (("--prior", "standard", "--pixel-noise"), {"prior": "standard", "pixel_noise": True}),
    ):
        assert np.array_equal(sheet("sample", model.folder, "-n", 9, *words), grid(model.sample(9, **options)))


def test_figures_say_how_images_were_sampled(runs, capsys):
    assert run(["evaluate", str(runs["autoencoder"].folder), "--prior", "mixture", "--generated", "100"]) == 0
    printed = capsys.readouterr().out
    assert "Samples                   latents from a Gaussian mixture fitted to those of training images" in printed
    assert "bins of training images covered" in printed


@pytest.mark.parametrize(
    ("model", "words", "message"),
    [
        ("pixelcnn", ["complete", "--mask", "a.png", "--rows", "3"], "--mask, --rows: both say which pixels are kept"),
        ("pixelcnn", ["complete", "--mask", "none.png"], "none.png"),
        ("pixelcnn", ["sample", "--mask", "a.png"], "--mask: belongs to complete, but sample is asked for"),
        ("pixelcnn", ["sample", "--pixel-noise"], "pixel_noise: for models that decode latents (autoencoder, vae)"),
        ("pixelcnn", ["decode", "--set", "1=2"], "which cannot decode latents; that is for autoencoder, vae"),
        ("vae", ["traverse", "--set", "1=2"], "--set: belongs to decode, but traverse is asked for"),
        ("vae", ["decode", "--set", "1"], "--set: must be DIMENSION=VALUE, such as 3=-2.5, got '1'"),
        ("vae", ["decode", "--set", "x=1"], "--set: must be DIMENSION=VALUE"),
        ("vae", ["decode", "--set", "1=2", "--set", "1=3"], "--set: sets latent dimension 1 twice, got '1=3'"),
        ("vae", ["decode", "--set", "4=2"], "values: a latent dimension: must be at most 3, got 4"),
        ("vae", ["decode", "--set", "1=nan"], "values: dimension 1: must be a finite number"),
        ("vae", ["sample", "--prior", "mixture"], "prior: is chosen for an autoencoder"),
        ("vae", ["reconstruct", "--pixel-noise"], "--pixel-noise: belongs to sample and decode, but reconstruct"),
        ("vae", ["sample", "--path", "linear"], "--path: belongs to interpolate, but sample is asked for"),
        ("vae", ["interpolate", "--path", "liner"], "path: 'liner' is not known"),
        ("autoencoder", ["sample", "--prior", "mixtur"], "did you mean 'mixture'?"),
    ],
)
def test_what_cannot_be_meant_is_refused(runs, model, words, message, image, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    images = {"complete": [image], "reconstruct": [image], "interpolate": [image, image]}.get(words[0], [])
    assert run(["generate", words[0], str(runs[model].folder), *images, *words[1:]]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*/*.png"))
