"""Small runs of each kind, trained once, and the page of their folder."""

import pytest
from web_cases import client_of

from seewhy import api
from seewhy.web.places import Places

SMALL = {"epochs": 1.0, "precision": "fp32", "train.threads": 1}


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A folder with runs/ and data/: a classifier, a conditional VAE, a conditional PixelCNN."""
    home = tmp_path_factory.mktemp("web")
    (home / "data").mkdir()
    kinds = {
        "mlp": {"model": "mlp", "width": 16, "depth": 2},
        "vae": {"model": "vae", "model.conditional": True, "width": 16, "model.latent_dim": 6},
        "pixels": {"model": "gated_pixelcnn", "model.conditional": True, "width": 8, "depth": 2},
    }
    for name, options in kinds.items():
        api.train("digits", out=home / "runs" / name, watch=name == "mlp", **SMALL, **options)
    return home


@pytest.fixture(scope="session")
def places(home):
    """What the page is given."""
    return Places((home / "runs",), (home / "data",))


@pytest.fixture(scope="session")
def client(places):
    """Who may see the page."""
    with client_of(places) as client:
        yield client
