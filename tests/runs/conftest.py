"""Runs that several tests of this folder look at; trained once."""

import pytest

from seewhy import api


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """Three epochs of the default run on the digits."""
    folder = tmp_path_factory.mktemp("digits") / "run"
    return api.train("digits", out=folder, epochs=3.0, precision="fp32", **{"train.threads": 1})


@pytest.fixture(scope="session")
def shapes_run(tmp_path_factory, shapes):
    """A coloured run whose predictions average four views."""
    options = {"epochs": 2.0, "width": 4, "batch_size": 16, "precision": "fp32", "train.threads": 1}
    return api.train(shapes, out=tmp_path_factory.mktemp("shapes") / "run", dropout=0.3, **options)


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory):
    """One epoch of a small MLP without normalisation."""
    options = {"model": "mlp", "width": 8, "depth": 2, "norm": "none", "activation": "sigmoid", "optimizer": "adam"}
    folder = tmp_path_factory.mktemp("plain") / "run"
    return api.train("digits", out=folder, epochs=1.0, precision="fp32", **options)
