"""All charts of this folder are drawn."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _drawn(drawn):
    pass
