"""Files that people drop on the page: bounded, read one image at a time by the safe readers, never unpickled."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deeplense_hf.data.readers import UnreadableImage, iterate_images

LARGEST_FILE = 64 * 2**20
MOST_FILES = 200
MOST_IMAGES = 1000
_LONGEST_SIDE = 2048
_LARGEST_IMAGE = 4 * _LONGEST_SIDE**2
"""Numbers of an image, of all bands: 64 MiB."""


@dataclass(frozen=True)
class UploadedImage:
    """An image of a file, or the reason why there is none.

    Attributes:
        name: Name of the file, and number of the image in it where there are several.
        image: Raw image, `(bands, height, width)`.
        pixel_scale: [arcsec/pixel], None where the file does not say.
        error: Why there is no image.
        red_first: Whether its bands are the red, green and blue of a colour picture, all of them and in this order.
    """

    name: str
    image: NDArray[np.float32] | None = None
    pixel_scale: float | None = None
    error: str | None = None
    red_first: bool = False


def read_uploads(paths: Sequence[str]) -> Iterator[UploadedImage]:
    """Read the images of uploaded files, one after the other.

    Args:
        paths: The files.

    Returns:
        Their images in order, or reasons, each read when it is asked for; of more than `MOST_IMAGES` the first, and
        a reason behind them.

    Raises:
        ValueError: If there are more files than `MOST_FILES`.
    """
    if len(paths) > MOST_FILES:
        raise ValueError(f"{len(paths)} files are too many; upload at most {MOST_FILES} at a time.")
    return _first(image for path in paths for image in _read(Path(path)))


def _first(images: Iterator[UploadedImage]) -> Iterator[UploadedImage]:
    """Go through as many images as are answered for."""
    for number, image in enumerate(images):
        if number == MOST_IMAGES:
            yield UploadedImage(image.name, error=f"only the first {MOST_IMAGES} images are answered for.")
            return
        yield image


def _read(path: Path) -> Iterator[UploadedImage]:
    """Read one file."""
    number = 0
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise ValueError(f"{path.name} has {size:,} bytes; at most {LARGEST_FILE:,} are taken.")
        for found in iterate_images(path, _LARGEST_IMAGE, allow_missing=True):
            name = path.name if number == 0 else f"{path.name} [{number}]"
            number += 1
            if isinstance(found, UnreadableImage):
                yield UploadedImage(name, error=found.reason)
            elif max(found.image.shape[1:]) > _LONGEST_SIDE:
                reason = f"the image has a side of more than {_LONGEST_SIDE} pixels; cut the lens out."
                yield UploadedImage(name, error=reason)
            else:
                yield UploadedImage(name, found.image, found.pixel_scale, red_first=found.red_first)
        if number == 0:
            raise ValueError(f"{path.name} holds no image.")
    except FileNotFoundError:
        # uploads are deleted after an hour
        yield UploadedImage(path.name, error=f"{path.name} is not here any more; upload it again.")
    except (ValueError, OSError) as error:
        # nothing of the server's folders
        yield UploadedImage(path.name, error=" ".join(str(error).replace(f"{path.parent}/", "").split()))
