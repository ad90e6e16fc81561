"""Where a classifier looks: how much its answer changes when a part of the image is covered."""

import numpy as np
from numpy.typing import NDArray

from deeplense_hf.inference.predictor import Predictor

_BATCH = 64


def occlusion_map(
    predictor: Predictor,
    image: NDArray[np.float32],
    class_index: int,
    pixel_scale: float | None = None,
    parts: int = 12,
) -> NDArray[np.float64]:
    """Cover an image part by part and watch the probability of a class.

    Args:
        predictor: A classifier.
        image: Raw image, `(bands, height, width)`.
        class_index: The class, in the order of the model's probabilities.
        pixel_scale: Pixel scale [arcsec/pixel], for models that need it.
        parts: Positions of the cover along an axis; it is twice as wide as their distance, so that covers overlap.

    Returns:
        By how much the logarithm of the probability falls where a pixel is covered, averaged over the covers,
        `(height, width)`; negative where the cover speaks for the class.

    Raises:
        ValueError: As `Predictor.probabilities` does.

    Source:
        Zeiler & Fergus (2014), arXiv:1311.2901, section 4.2. Covers take each band's median, the background of a lens
        image.
    """
    height, width = image.shape[1:]
    rows, columns = (np.linspace(0, side, parts + 1).round().astype(int) for side in (height, width))
    background = np.nanmedian(np.where(np.isfinite(image), image, np.nan), axis=(1, 2))[:, None, None]
    covers = [
        (slice(rows[i], rows[i + 2]), slice(columns[j], columns[j + 2]))
        for i in range(parts - 1)
        for j in range(parts - 1)
    ]
    # the last one is not covered
    batch = np.repeat(image[None], len(covers) + 1, axis=0)
    for number, (down, across) in enumerate(covers):
        batch[number, :, down, across] = background
    found = []
    for start in range(0, len(batch), _BATCH):
        images = batch[start : start + _BATCH]
        scales = None if pixel_scale is None else np.full(len(images), pixel_scale, dtype=np.float32)
        found.append(predictor.probabilities(images, scales)[:, class_index])
    logarithms = np.log(np.maximum(np.concatenate(found), 1e-12))
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for fall, (down, across) in zip(logarithms[-1] - logarithms[:-1], covers, strict=True):
        total[down, across] += fall
        count[down, across] += 1
    return np.asarray(total / count)
