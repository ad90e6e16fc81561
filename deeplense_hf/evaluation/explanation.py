"""What a classifier's answer rests on: how far it falls when a part of the image is covered."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplense_hf.inference.predictor import Predictor
from deeplense_hf.models.image_operations import scaled_size

_BATCH = 32
# raw pixels of one batch of covered images [bytes]
_BATCH_BYTES = 16 * 2**20
_SMALLEST = 1e-12

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Occlusion:
    """How an answer changes while the image is covered patch by patch.

    Attributes:
        falls: By how much the logarithm of the odds of the class falls where a pixel is covered, averaged over the
            covers, `(height, width)`; negative where the cover speaks for the class, NaN outside of the window.
        window: Rows and columns of the raw image that enter the model.
        class_index: The class.
        probability: Its probability where nothing is covered.
        lowest_probability: Its probability under the cover that lowers it most.
    """

    falls: NDArray[np.float64]
    window: Window
    class_index: int
    probability: float
    lowest_probability: float


def occlusion_map(
    predictor: Predictor,
    image: NDArray[np.float32],
    class_index: int | None = None,
    pixel_scale: float | None = None,
    parts: int = 10,
) -> Occlusion:
    """Cover an image patch by patch and watch the odds of a class.

    Args:
        predictor: A classifier.
        image: Raw image, `(bands, height, width)`.
        class_index: The class, in the order of the model's probabilities; the likeliest when absent.
        pixel_scale: Pixel scale [arcsec/pixel], for models that need it.
        parts: Positions of the cover along an axis of the part that enters the model; a cover is twice as wide as
            their distance, so that covers overlap.

    Returns:
        The map.

    Raises:
        ValueError: As `Predictor.probabilities` does.

    Source:
        Zeiler & Fergus (2014), arXiv:1311.2901, section 4.2. Covers take each band's median, the background of a lens
        image. Odds, since the probability of a sure answer hardly moves.
    """
    height, width = image.shape[1:]
    whole = _probabilities(predictor, image[None], pixel_scale)[0]
    chosen = int(whole.argmax()) if class_index is None else class_index
    window = seen_window(predictor.processor, height, width, pixel_scale)
    background = _medians(image)
    # where nothing outside of the window counts, nothing outside of it is carried along
    cut = window if _cuts_first(predictor.processor, image) else (slice(0, height), slice(0, width))
    covers = _covers(window, parts)
    probabilities = [
        _probabilities(predictor, batch, pixel_scale) for batch in _covered(image[:, *cut], background, covers, cut)
    ]
    covered = np.concatenate(probabilities)
    falls = _log_odds(whole[None], chosen) - _log_odds(covered, chosen)
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for fall, cover in zip(falls, covers, strict=True):
        total[cover] += fall
        count[cover] += 1
    return Occlusion(
        np.where(count > 0, total / np.maximum(count, 1), np.nan),
        window,
        chosen,
        float(whole[chosen]),
        float(covered[:, chosen].min()),
    )


def seen_window(processor: Any, height: int, width: int, pixel_scale: float | None = None) -> Window:
    """Tell which part of an image enters a model.

    Args:
        processor: The model's image processor.
        height: Height of the raw image [pixels].
        width: Width of the raw image [pixels].
        pixel_scale: Its pixel scale [arcsec/pixel], where the processor resamples by it.

    Returns:
        Rows and columns; all of them where a `DeepLenseImageProcessor` cuts nothing, and for other processors, which
        resize before they cut.
    """
    crop = getattr(processor, "crop_size", None)
    if crop is None or processor.do_center_crop is False or not hasattr(processor, "process_batch"):
        return slice(0, height), slice(0, width)
    target, size = processor.target_pixel_scale, (height, width)
    if target is not None and pixel_scale is not None:
        size = scaled_size(size, pixel_scale, target)
    rows, columns = (
        _central(side, scaled, kept)
        for side, scaled, kept in zip((height, width), size, (crop["height"], crop["width"]), strict=True)
    )
    return rows, columns


def _central(side: int, scaled: int, kept: int) -> slice:
    """Return the pixels of a side that are in the central cut-out after it is scaled."""
    first = max(0, (scaled - kept) // 2)
    last = min(scaled, first + kept)
    return slice(first * side // scaled, -(-last * side // scaled))


def _cuts_first(processor: Any, image: NDArray[np.float32]) -> bool:
    """Whether the processor cuts the image before it looks at any other pixel."""
    whole = getattr(processor, "target_pixel_scale", None) is None and getattr(processor, "background", "") == "none"
    return whole and bool(np.isfinite(image).all())


def _covers(window: Window, parts: int) -> list[Window]:
    """Return overlapping patches of a window."""
    edges = []
    for side in window:
        steps = max(2, min(parts, side.stop - side.start))
        edges.append(np.linspace(side.start, side.stop, steps + 1).round().astype(int))
    rows, columns = ([slice(a, b) for a, b in zip(axis[:-2], axis[2:], strict=True)] for axis in edges)
    return [(down, across) for down in rows for across in columns]


def _covered(
    image: NDArray[np.float32], background: NDArray[np.float32], covers: Sequence[Window], origin: Window
) -> Iterator[NDArray[np.float32]]:
    """Yield batches of the image, each with one patch covered; `origin` is where the image begins in the raw one."""
    size = max(1, min(_BATCH, _BATCH_BYTES // image.nbytes))
    top, left = (axis.start for axis in origin)
    for start in range(0, len(covers), size):
        chosen = covers[start : start + size]
        batch = np.repeat(image[None], len(chosen), axis=0)
        for one, (down, across) in zip(batch, chosen, strict=True):
            one[:, down.start - top : down.stop - top, across.start - left : across.stop - left] = background
        yield batch


def _medians(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median of each band's finite pixels, `(bands, 1, 1)`."""
    medians = [np.median(band[np.isfinite(band)]) if np.isfinite(band).any() else 0.0 for band in image]
    return np.array(medians, dtype=np.float32)[:, None, None]


def _probabilities(predictor: Predictor, images: NDArray[np.float32], pixel_scale: float | None) -> NDArray[np.float64]:
    scales = None if pixel_scale is None else np.full(len(images), pixel_scale, dtype=np.float32)
    return predictor.probabilities(images, scales)


def _log_odds(probabilities: NDArray[np.float64], class_index: int) -> NDArray[np.float64]:
    """Return the logarithm of the odds of a class; the others are summed, since 1 - p is rounded away."""
    others = np.delete(probabilities, class_index, axis=1).sum(axis=1)
    odds: NDArray[np.float64] = np.log(np.maximum(probabilities[:, class_index], _SMALLEST))
    return odds - np.log(np.maximum(others, _SMALLEST))
