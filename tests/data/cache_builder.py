"""Build the cache of a folder of images, slowly; run as a script by test_data_cache.py.

python cache_builder.py FOLDER SECONDS     for each image; prints "ready", how many it has decoded, and the sum of all pixels
"""

import sys
import time

import torch

from seewhy.data import cache, cache_build
from seewhy.data.sources import list_images


def main(folder, seconds):
    """Build it."""
    calls, plain = [], cache_build.decode_into

    def slow(data, row, rule):
        calls.append(1)
        time.sleep(seconds)
        return plain(data, row, rule)

    cache_build.decode_into = slow
    print("ready", flush=True)
    opened = cache.cached(list_images(folder), (16, 16, 3), keep="pixels", cache_dir=None, progress=None)
    images = opened.store.images(torch.arange(len(opened.facts.hashes)))
    print(len(calls), int(images.long().sum()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
