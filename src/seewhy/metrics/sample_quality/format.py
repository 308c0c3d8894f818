"""The figures of sample quality, for people."""

from __future__ import annotations

from seewhy.metrics.sample_quality.measure import SampleQuality


def format_sample_quality(quality: SampleQuality) -> list[tuple[str, str]]:
    """Return the figures as (label, value) rows, beside those of real images where those say what is good."""
    generated, reference, nearest = quality.generated, quality.reference, quality.memorisation_in_pixels
    frechet, error = generated.frechet, generated.kernel.standard_error
    neighbours, density = generated.precision_recall, generated.density_coverage
    parzen, real_parzen = quality.parzen, quality.parzen_reference
    rows = [
        *([] if quality.sampling is None else [("Samples", quality.sampling)]),
        ("Features", frechet.extractor),
        ("Generated, real images", f"{frechet.n_generated:,}, {frechet.n_real:,}"),
        ("FID", f"{frechet.fid:.2f} (real images: {reference.frechet.fid:.2f})"),
        ("KID", f"{generated.kernel.kid:.4g}" + (f", standard error {error:.2g}" if error is not None else "")),
        ("Precision, recall", f"{neighbours.precision:.3f}, {neighbours.recall:.3f}"),
        ("Density, coverage", f"{density.density:.3f}, {density.coverage:.3f}"),
        (
            "Nearest training image",
            f"{nearest.ratio:.3f} times as far as from a held-out image; below 1 suggests copying",
        ),
        ("Modes, k-means of pixels", _modes(quality)),
        (
            "Parzen windows in pixels",
            f"{parzen.nats:.0f} nats, standard error {parzen.standard_error:.1f}, bandwidth {parzen.bandwidth:.2g} "
            f"(training images: {real_parzen.nats:.0f})",
        ),
    ]
    if quality.classes is not None:
        covered = f"{quality.classes.covered} of {quality.classes.classes}"
        rows.append(("Classes covered", covered + (": mode collapse" if quality.classes.collapsed else "")))
    return rows


def _modes(quality: SampleQuality) -> str:
    modes, real = quality.modes, quality.modes_reference
    return (
        f"{modes.covered} of {modes.bins} bins of training images covered (held-out images: {real.covered}), "
        f"{modes.different} statistically different (held-out images: {real.different}, by chance {modes.expected_different:.2g})"
    )
