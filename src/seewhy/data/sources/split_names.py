"""Which split a folder's name means: train, val or test, in the forms that data sets use."""

from __future__ import annotations

import re

from seewhy.data.split_rules import TEST, TRAIN, VAL

_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "validate", "validating", "dev", "development", "eval", "evaluation"), VAL),
    **dict.fromkeys(("test", "testing", "tst", "holdout"), TEST),
}  # fmt: skip
_FILLERS = frozenset({
    "set", "sets", "image", "images", "img", "imgs", "data", "dataset", "split", "splits", "subset", "pic", "pics", "photo", "photos", "sample",
    "samples", "files", "folder",
})  # fmt: skip
_GLUED = re.compile(rf"^({'|'.join(_WORDS)})({'|'.join(_FILLERS)})$")


def split_of(name: str) -> int | None:
    """Return the split that a folder's name means, such as "Training", "test_set", "valImages" or "train2017"; None if it means none."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    if re.sub(r"[a-zA-Z\s_.-]|(19|20)\d\d", "", name):  # other letters, or numbers that are no year
        return None
    words = [part for word in words for part in (_GLUED.sub(r"\1", word),) if part not in _FILLERS]
    return _WORDS.get(words[0]) if len(words) == 1 else None
