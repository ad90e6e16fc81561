"""Files that people drop on the page: bounded, read by the safe readers, never unpickled."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deeplense_hf.data.readers import UnreadableImage, iterate_images

LARGEST_FILE = 64 * 2**20
MOST_FILES = 200
MOST_IMAGES = 1000
_LONGEST_SIDE = 2048


@dataclass(frozen=True)
class UploadedImage:
    """An image of a file, or the reason why there is none.

    Attributes:
        name: Name of the file, and number of the image in it where there are several.
        image: Raw image, `(bands, height, width)`.
        pixel_scale: [arcsec/pixel], None where the file does not say.
        error: Why there is no image.
    """

    name: str
    image: NDArray[np.float32] | None = None
    pixel_scale: float | None = None
    error: str | None = None


def read_uploads(paths: Sequence[str]) -> list[UploadedImage]:
    """Read the images of uploaded files.

    Args:
        paths: The files.

    Returns:
        Their images in order, or reasons; of more than `MOST_IMAGES` the first.

    Raises:
        ValueError: If there are more files than `MOST_FILES`.
    """
    if len(paths) > MOST_FILES:
        raise ValueError(f"{len(paths)} files are too many; upload at most {MOST_FILES} at a time.")
    found: list[UploadedImage] = []
    for path in map(Path, paths):
        found += _read(path)
        if len(found) > MOST_IMAGES:
            found = found[:MOST_IMAGES]
            found[-1] = UploadedImage(path.name, error=f"only the first {MOST_IMAGES - 1} images are answered for.")
            break
    return found


def _read(path: Path) -> list[UploadedImage]:
    """Read one file."""
    size = path.stat().st_size
    if size > LARGEST_FILE:
        return [UploadedImage(path.name, error=f"{path.name} has {size:,} bytes; at most {LARGEST_FILE:,} are taken.")]
    images = []
    try:
        for number, found in enumerate(iterate_images(path, allow_missing=True)):
            name = path.name if number == 0 else f"{path.name} [{number}]"
            if isinstance(found, UnreadableImage):
                images.append(UploadedImage(name, error=found.reason))
            elif max(found.image.shape[1:]) > _LONGEST_SIDE:
                reason = f"the image has a side of more than {_LONGEST_SIDE} pixels; cut the lens out."
                images.append(UploadedImage(name, error=reason))
            else:
                images.append(UploadedImage(name, np.asarray(found.image, dtype=np.float32), found.pixel_scale))
            if len(images) > MOST_IMAGES:
                break
    except (ValueError, OSError) as error:
        images.append(UploadedImage(path.name, error=" ".join(str(error).replace(f"{path.parent}/", "").split())))
    return images or [UploadedImage(path.name, error=f"{path.name} holds no image.")]
