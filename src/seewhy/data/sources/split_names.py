"""Which split a folder's name means: train, val or test, in the forms that data sets use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from seewhy.core.errors import nearest
from seewhy.data.split_rules import SPLIT_NAMES, TEST, TRAIN, VAL

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


def misspelt_splits(names: Iterable[str], there: Iterable[int]) -> Mapping[str, str]:
    """Return those of some names that mean no split, but nearly one that is not there yet, with that split's name."""
    words = [word for word, split in _WORDS.items() if split not in set(there)]
    meant = {name: nearest(name, words) for name in names if split_of(name) is None}
    return {name: SPLIT_NAMES[_WORDS[word]] for name, word in meant.items() if word is not None}


def did_you_mean(misspelt: Mapping[str, str]) -> str:
    """Return the question that goes to the end of a message; "" for none."""
    return "".join(f"; did you mean {split!r} by {name!r}? Rename it" for name, split in misspelt.items())
