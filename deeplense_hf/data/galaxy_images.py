"""Real galaxies for the simulator: of the bundled deep field, a folder of images or a Hugging Face data set."""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deeplense_hf.simulation.galaxy_isolation import Surroundings, isolate
from deeplense_hf.simulation.galaxy_stamps import GalaxyStamps, content_identifier
from deeplense_hf.simulation.hubble_deep_field import hubble_deep_field_cut_outs, hubble_deep_field_galaxies

from .contact_sheet import contact_sheet
from .file_names import printable
from .layouts import bands_first, check_image
from .readers import PICTURE_ENDINGS, UnreadableImage, find_image_files, iterate_images

HUBBLE_DEEP_FIELD = "hubble_deep_field"
DEFAULT_DATASET = "matthieulel/galaxy10_decals"
"""Galaxy10 DECaLS: 17,736 colour pictures, 256 x 256 pixels, of the DESI Legacy Imaging Surveys."""
KNOWN_PIXEL_SCALES = {DEFAULT_DATASET: 0.262}
"""[arcsec], where the data set does not say it."""
DEFAULT_SIZE = 128
DEFAULT_MAX_GALAXIES = 1000

FloatArray = NDArray[np.float64]

_IMAGE_COLUMNS = ("image", "images", "img", "picture", "data")
_DATA_SET_ENDINGS = (".parquet", ".arrow")
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_DETECTION_SIGMA = 4.0
_SMALLEST_AREA = 30
_SMALLEST_RADIUS = 1.5
"""Half-light radius of a galaxy that is resolved at all [pixels]."""
_RING_SHARE = 0.08
"""Width of the ring in which background and noise are measured, as a share of the image."""

_log = logging.getLogger(__name__)


def load_galaxies(
    source: str = HUBBLE_DEEP_FIELD,
    pixel_scale: float | None = None,
    *,
    size: int = DEFAULT_SIZE,
    max_galaxies: int = DEFAULT_MAX_GALAXIES,
    column: str | None = None,
    split: str = "train",
) -> GalaxyStamps:
    """Load galaxies and take each out of its surroundings.

    Of every picture the galaxy in its middle is used; pictures without one, or with one that is not resolved or not
    wholly inside, are left out and counted in a warning. Colour pictures are turned blue first; their stretch stays,
    as it is not known.

    Args:
        source: `hubble_deep_field`, a file or folder of images in any format of `readers`, a folder of a Hugging Face
            data set, or the id of one on the Hub, for example `DEFAULT_DATASET`; of those no more is read than needed.
        pixel_scale: [arcsec]; needed if neither the files nor `KNOWN_PIXEL_SCALES` say it.
        size: Width of a stamp [pixels]; pictures more than twice as wide are reduced first.
        max_galaxies: How many at most, the first ones.
        column: Column of the images of a Hugging Face data set; found by its name or content if None.
        split: Split of a Hugging Face data set.

    Returns:
        The galaxies.

    Raises:
        FileNotFoundError: If the source is none of these or cannot be reached.
        ValueError: If no usable galaxy is found, the scale is not known or a number is out of range.
        ImportError: If the deep field is asked for without scikit-image.
    """
    if size < 16 or max_galaxies < 1 or not (pixel_scale is None or pixel_scale > 0):
        raise ValueError(
            f"size={size}, max_galaxies={max_galaxies}, pixel_scale={pixel_scale}: at least 16 pixels, 1 galaxy and a "
            "positive scale are needed."
        )
    if source == HUBBLE_DEEP_FIELD:
        galaxies = hubble_deep_field_galaxies()
        numbers = np.arange(min(max_galaxies, len(galaxies)))
        return galaxies if len(numbers) == len(galaxies) else galaxies.select(numbers, f"first-{max_galaxies}")
    scale = pixel_scale or KNOWN_PIXEL_SCALES.get(source)
    # images of another number of bands cannot be mixed; the most common number wins
    by_bands: dict[int, dict[str, NDArray[np.float32]]] = {}
    refused: Counter[str] = Counter()
    binning = 0
    for name, image, file_scale in _pictures(source, column, split):
        binning = binning or max(1, round(min(image.shape[1:]) / (1.5 * size)))
        scale = scale or file_scale
        try:
            stamp = cut_out_galaxy(_reduce(image, binning), size)
        except ValueError as error:
            refused[str(error)] += 1
            continue
        alike = by_bands.setdefault(len(stamp), {})
        alike[name] = stamp
        if len(alike) == max_galaxies:
            break
    stamps = max(by_bands.values(), key=len, default={})
    refused.update({f"of {bands} bands": len(rest) for bands, rest in by_bands.items() if rest is not stamps})
    if refused:
        reasons = ", ".join(f"{count} {reason}" for reason, count in refused.most_common(6))
        _log.warning("%s: %d pictures give no galaxy (%s).", source, refused.total(), reasons)
    if not stamps:
        raise ValueError(f"{source} holds no usable galaxy ({', '.join(refused) or 'no images'}); give another source.")
    if scale is None:
        raise ValueError(f"{source} does not say how wide its pixels are; pass pixel_scale in arcsec.")
    images, names = np.stack(list(stamps.values())), tuple(stamps)
    return GalaxyStamps(images, names, scale * binning, content_identifier(Path(source).name, images, names))


def cut_out_galaxy(image: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Make a stamp of the galaxy in the middle of an image.

    Args:
        image: Shape `(bands, height, width)`; pixels that are zero in all bands count as not observed.
        size: Width of the stamp [pixels].

    Returns:
        The galaxy alone, its brightest pixel 1, shape `(bands, size, size)`.

    Raises:
        ValueError: If there is no usable galaxy; the message is two or three words.
    """
    bands = np.asarray(image, dtype=np.float64)
    observed = (bands != 0).any(axis=0)
    depth = ndimage.distance_transform_edt(np.pad(observed, 1))[1:-1, 1:-1]
    ring = observed & (depth <= max(2, _RING_SHARE * min(observed.shape)))
    if ring.sum() < 20:
        raise ValueError("empty")
    values = bands[:, ring]
    background = np.median(values, axis=1)
    noise = 1.4826 * np.median(np.abs(values - background[:, None]), axis=1)
    bands = np.where(observed, bands - background[:, None, None], 0)
    # simulated galaxies and retouched pictures have no noise
    noise = np.maximum(noise, 2e-3 * np.quantile(bands, 0.995, axis=(1, 2)))
    if not (noise > 0).all():
        raise ValueError("without light in a band")
    own, others, center = _find(bands, noise, ring)
    taper = max(3.0, 0.06 * size)
    reach = np.hypot(*(index - middle for index, middle in zip(np.nonzero(own), center, strict=True))).max()
    if (own & (depth <= 1)).any() or reach + taper > size / 2:
        raise ValueError("not wholly inside")
    if own.sum() < _SMALLEST_AREA or _half_light_radius(bands.mean(axis=0)[own]) < _SMALLEST_RADIUS:
        raise ValueError("not resolved")
    alone = isolate(Surroundings(bands, own, others, center, observed), noise, taper)
    offsets = np.arange(size) - (size - 1) / 2
    grid = np.meshgrid(center[0] + offsets, center[1] + offsets, indexing="ij")
    stamp = np.stack([ndimage.map_coordinates(band, grid, order=3, mode="constant") for band in alone])
    stamp[stamp < 1e-4 * stamp.max()] = 0
    if not (stamp.sum(axis=(1, 2)) > 0).all():
        raise ValueError("without light in a band")
    return (stamp / stamp.max()).astype(np.float32)


def hubble_selection_sheet(columns: int = 16) -> bytes:
    """Draw which objects of the deep field are used as galaxies, and which are not, by reason.

    Args:
        columns: Objects per row, the brightest of their kind.

    Returns:
        A PNG file.

    Raises:
        ImportError: If scikit-image is not installed.
    """
    galaxies = hubble_deep_field_galaxies()
    cut_outs = hubble_deep_field_cut_outs()
    by_reason: dict[str, list[NDArray[np.float32]]] = {}
    for cut_out in cut_outs:
        by_reason.setdefault(cut_out.rejected or "selected", []).append(cut_out.picture)
    rows: dict[str, NDArray[np.floating]] = {}
    chosen = by_reason.pop("selected")
    for start in range(0, min(len(chosen), 3 * columns), columns):
        rows[f"picture {start}"] = np.stack(chosen[start : start + columns])
        # every second stamp pixel, to the scale of the pictures
        rows[f"stamp {start}"] = galaxies.images[start : start + columns, :, ::2, ::2]
    for reason, pictures in sorted(by_reason.items()):
        rows[f"{reason} ({len(pictures)})"] = np.stack(pictures[:columns])
    title = f"Hubble deep field: {len(galaxies)} galaxies of {len(cut_outs)} objects"
    return contact_sheet(rows, galaxies.pixel_scale * 2, title)


def _pictures(source: str, column: str | None, split: str) -> Iterator[tuple[str, NDArray[np.floating], float | None]]:
    """Yield name, image with the bluest band first, and pixel scale if known."""
    path = Path(source).expanduser()
    if path.is_dir() and any(file.suffix in _DATA_SET_ENDINGS for file in path.rglob("*")):
        yield from _dataset_pictures(str(path), path, column, split)
    elif source.strip() and path.exists():
        yield from _file_pictures(path)
    elif _HUB_ID.fullmatch(source):
        yield from _dataset_pictures(source, None, column, split)
    else:
        raise FileNotFoundError(
            f"galaxies={source!r} is not {HUBBLE_DEEP_FIELD!r}, an existing file or folder, or the id of a data set on "
            f"the Hugging Face Hub such as {DEFAULT_DATASET!r}."
        )


def _file_pictures(path: Path) -> Iterator[tuple[str, NDArray[np.floating], float | None]]:
    root = path if path.is_dir() else path.parent
    for file in find_image_files([path]):
        try:
            for read in iterate_images(file):
                if isinstance(read, UnreadableImage):
                    _log.warning("%s", read.reason)
                    continue
                name = printable((file.parent.relative_to(root) / read.source_file).as_posix())
                coloured = file.suffix.lower() in PICTURE_ENDINGS or _is_colour_picture(read.image)
                yield name, _blue_first(read.image, coloured), read.pixel_scale
        except ValueError as error:
            _log.warning("%s", error)


def _dataset_pictures(
    source: str, folder: Path | None, column: str | None, split: str
) -> Iterator[tuple[str, NDArray[np.floating], float | None]]:
    from datasets import load_dataset, load_from_disk
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        if folder is not None and any((folder / name).exists() for name in ("state.json", "dataset_dict.json")):
            saved = load_from_disk(str(folder))
            rows = iter(saved[split] if isinstance(saved, dict) else saved)
        else:
            rows = iter(load_dataset(source, split=split, streaming=True))
        # whether the data set can be reached shows only when it is read
        first = list(islice(rows, 1))
    except (
        DatasetsError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        OSError,
        KeyError,
        ValueError,
    ) as error:
        reason = " ".join(str(error).split())[:160]
        raise FileNotFoundError(
            f"galaxies={source!r}, split {split!r}, cannot be read ({type(error).__name__}: {reason}); check the name "
            f"and the network, or use {HUBBLE_DEEP_FIELD!r}, which needs none."
        ) from None
    if not first:
        return
    column = column or _image_column(first[0], source)
    if column not in first[0]:
        raise ValueError(f"{source} has no column {column!r}; it has {', '.join(first[0])}.")
    for number, row in enumerate(chain(first, rows)):
        picture = row[column]
        coloured = hasattr(picture, "convert")
        if coloured and picture.mode not in ("L", "F", "I", "I;16", "RGB"):
            picture = picture.convert("RGB")
        pixels = np.asarray(picture)
        name = f"{split}-{number}"
        try:
            image = check_image(pixels[None] if pixels.ndim == 2 else bands_first(pixels, name), name)
        except ValueError as error:
            _log.warning("%s", error)
            continue
        yield name, _blue_first(image, coloured or _is_colour_picture(image)), None


def _image_column(row: dict[str, Any], source: str) -> str:
    """Name of the column of images: a usual one, else the first that holds a picture or an array."""
    for name in _IMAGE_COLUMNS:
        if name in row:
            return name
    for name, value in row.items():
        if hasattr(value, "convert") or np.ndim(value) in (2, 3):
            return name
    raise ValueError(f"{source} has no column of images among {', '.join(row)}; name it by column.")


def _is_colour_picture(image: NDArray[np.floating]) -> bool:
    """Whether three bands hold the 8-bit numbers of a picture for the eye, which is red first."""
    return image.shape[0] == 3 and image.min() >= 0 and image.max() <= 255 and bool((image == np.round(image)).all())


def _blue_first(image: NDArray[np.floating], coloured: bool) -> NDArray[np.floating]:
    return image[::-1] if coloured and image.shape[0] == 3 else image


def _reduce(image: NDArray[np.floating], binning: int) -> NDArray[np.floating]:
    """Mean of squares of pixels."""
    if binning == 1:
        return image
    height, width = (side // binning * binning for side in image.shape[1:])
    squares = image[:, :height, :width].reshape(len(image), height // binning, binning, width // binning, binning)
    reduced: NDArray[np.floating] = squares.mean(axis=(2, 4))
    return reduced


def _find(
    bands: FloatArray, noise: FloatArray, ring: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], tuple[float, float]]:
    """Pixels of the galaxy in the middle, those of other objects, and the galaxy's centre."""
    brightness = (bands / noise[:, None, None]).mean(axis=0)
    smooth = ndimage.gaussian_filter(brightness, 1.2)
    threshold = _DETECTION_SIGMA * max(1.4826 * float(np.median(np.abs(smooth[ring]))), 0.02 * float(smooth.max()) / 4)
    labels, count = ndimage.label(smooth > threshold)
    if not count:
        raise ValueError("without a galaxy")
    height, width = smooth.shape
    y, x = np.mgrid[:height, :width]
    central = np.exp(-0.5 * (((y - (height - 1) / 2) / (height / 8)) ** 2 + ((x - (width - 1) / 2) / (width / 8)) ** 2))
    light = ndimage.sum_labels(np.clip(smooth, 0, None) * central, labels, np.arange(1, count + 1))
    number = int(np.argmax(light)) + 1
    own = ndimage.binary_fill_holes(labels == number)
    others = (labels > 0) & ~own
    center = ndimage.center_of_mass(np.where(own, np.clip(brightness, 0, None), 0))
    return own, others, (float(center[0]), float(center[1]))


def _half_light_radius(values: FloatArray) -> float:
    """Radius of the circle that would have the area of the brighter pixels that hold half of the light [pixels]."""
    light = np.cumsum(np.sort(np.clip(values, 0, None))[::-1])
    return float(np.sqrt(np.searchsorted(light, light[-1] / 2) / np.pi))
