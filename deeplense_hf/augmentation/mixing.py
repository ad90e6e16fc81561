"""Blending pairs of images and their labels.

Where it keeps the label: a mixup of two noisy lens images is an image of two lenses on top of each other, whose
evidence for either class is weaker by its share, so that shares of the labels are what a classifier ought to say.
CutMix replaces a rectangle: what share of the evidence lies in it depends on where the arcs are, so that the share of
the area is only right on average, and for substructure, which sits in one place, often wrong. Quantities cannot be
blended at all.
"""

import numpy as np
from numpy.typing import NDArray

from .missing import fill_missing

KINDS = ("mixup", "cutmix")


def mix_batch(
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    num_classes: int,
    alpha: float,
    kind: str,
    seed: int,
    epoch: int,
    rows: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Blend every image of a batch with another one of it.

    The outcome depends on the seed, the epoch and the rows of the batch only.

    Args:
        images: Raw images, `(batch, bands, height, width)`.
        labels: Their classes, `(batch,)`.
        num_classes: Number of classes.
        alpha: Parameter of the beta distribution of the shares; small values leave most images nearly as they are.
        kind: `mixup` or `cutmix`.
        seed: Seed of the run.
        epoch: Epoch of the run.
        rows: Rows of the images in their data set, `(batch,)`.

    Returns:
        Images of the same shape, and shares of the classes, `(batch, classes)`. In a mixup, missing pixels have taken
        the median of their band; CutMix moves them.

    Raises:
        ValueError: If there is no such kind.

    Source:
        Zhang et al. (2018), arXiv:1710.09412 (mixup); Yun et al. (2019), arXiv:1905.04899 (CutMix).
    """
    if kind not in KINDS:
        raise ValueError(f"mixing='{kind}' is not one of {', '.join(KINDS)}.")
    generator = np.random.default_rng([seed, epoch, *np.asarray(rows).tolist()])
    partners = generator.permutation(len(images))
    shares = generator.beta(alpha, alpha, size=len(images)).astype(np.float32)
    # the larger share is an image's own, so that no label moves
    shares = np.maximum(shares, 1 - shares)
    if kind == "mixup":
        # a missing pixel of one image would be missing in the blend, even where that image has no share in it
        weights, images = shares[:, None, None, None], fill_missing(images)
        blended = weights * images + (1 - weights) * images[partners]
    else:
        blended = images.copy()
        for row, partner in enumerate(partners):
            window, shares[row] = _rectangle(generator, images.shape[-2:], 1 - shares[row])
            blended[row][:, window[0], window[1]] = images[partner][:, window[0], window[1]]
    own = np.eye(num_classes, dtype=np.float32)[labels]
    return blended.astype(np.float32), shares[:, None] * own + (1 - shares[:, None]) * own[partners]


def _rectangle(
    generator: np.random.Generator, size: tuple[int, ...], area: float
) -> tuple[tuple[slice, slice], np.float32]:
    """Draw a rectangle of about a share of the area, and return it with the share outside it."""
    edges, inside = [], 1.0
    for length in size:
        center, half = int(generator.integers(length)), round(length * float(np.sqrt(area)) / 2)
        low, high = max(center - half, 0), min(center + half, length)
        edges.append(slice(low, high))
        inside *= (high - low) / length
    return (edges[0], edges[1]), np.float32(1 - inside)
