"""Clients of the page, and images to send."""

import io
import json

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from seewhy.web.access import Access
from seewhy.web.app import make_app

TOKEN, PORT = "t" * 32, 4321
BASE = f"http://127.0.0.1:{PORT}"
ACCESS = Access(TOKEN, PORT)


def client_of(places, access=ACCESS, *, known=True):
    """Return a client that knows the token, and says where it comes from, as a page's own scripts do."""
    client = TestClient(make_app(places, access), base_url=BASE)
    if known:
        client.cookies.set(access.cookie, access.token)
        client.headers["origin"] = BASE
    return client


def png(seed=0, side=8):
    """Return a grey PNG of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def bomb(side=20_000):
    """Return a small PNG of very many pixels."""
    buffer = io.BytesIO()
    Image.new("1", (side, side)).save(buffer, "PNG")
    return buffer.getvalue()


def events_of(answer):
    """Return the values of a stream that has ended."""
    return [json.loads(each.removeprefix("data: ")) for each in answer.text.split("\n\n") if each]
