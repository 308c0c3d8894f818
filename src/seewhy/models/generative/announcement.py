"""Generative models in a few words, for a run's plan."""

from __future__ import annotations

from seewhy.spec import RunSpec
from seewhy.spec.generative import GenerativeSection, LikelihoodSection


def announce_network(
    spec: RunSpec, *, networks: str = "", size: tuple[str, ...] = (), details: tuple[str, ...] = ()
) -> list[tuple[str, str]]:
    """Return the line of the plan that describes the network.

    Args:
        spec: resolved.
        networks: what it is made of, such as "dense encoder and decoder"; "" where the name says it.
        size: what comes after its width and depth.
        details: what comes after its intensity levels.
    """
    model = spec.model
    assert isinstance(model, GenerativeSection)
    words = [model.name, *([networks] if networks else []), f"width {model.width}, depth {model.depth}", *size]
    if isinstance(model, LikelihoodSection):
        words.append(f"{model.levels} levels" + (f" ({model.binarise})" if model.levels == 2 else ""))
    words += [*details, *(["class-conditional"] if model.conditional else [])]
    return [("network", ", ".join(words))]
