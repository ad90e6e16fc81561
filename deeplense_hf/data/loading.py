"""Load lens images by whatever name, and decode them fast."""

import difflib
import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Array3D, Dataset, DatasetDict, load_dataset
from numpy.typing import NDArray

from .build import is_dataset_folder
from .display import COLOUR_BANDS
from .readers import PICTURE_ENDINGS
from .schema import IMAGE, LABEL, PIXEL_SCALE, SOURCE_FILE, SYSTEM_ID, UNLABELLED

DEFAULT_IMAGES_PER_CLASS = 1000
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def cache_root() -> Path:
    """Return the folder of simulated and imported data sets.

    Returns:
        `$DEEPLENSE_HF_CACHE`, else `~/.cache/deeplense_hf`.
    """
    return Path(os.environ.get("DEEPLENSE_HF_CACHE", "~/.cache/deeplense_hf")).expanduser()


def load_lenses(
    source: str,
    *,
    seed: int = 0,
    images_per_class: int | None = None,
    cache_dir: str | Path | None = None,
    splits: Sequence[str] | None = None,
) -> DatasetDict:
    """Load lens images.

    Args:
        source: Name of a recipe (simulated into the cache), folder of a built data set, folder or archive of original
            files (imported into the cache), or id on the Hugging Face Hub.
        seed: Seed of a simulation, or of the splits of an import.
        images_per_class: Systems per class of a simulation; 1000 when absent.
        splits: Which splits of a simulation are wanted; all when absent. Their systems are the same either way.
        cache_dir: Where simulated and imported data sets are kept; see `cache_root`.

    Returns:
        The splits, with the columns of `data.schema`.

    Raises:
        FileNotFoundError: If the source is nothing of these.
        ValueError: If its content cannot be used.
    """
    from deeplense_hf.simulation.recipes import RECIPES

    root = Path(cache_dir) if cache_dir is not None else cache_root()
    path = Path(source).expanduser()
    if source in RECIPES:
        from .simulate import simulate_into_cache

        count = DEFAULT_IMAGES_PER_CLASS if images_per_class is None else images_per_class
        return _load_folder(simulate_into_cache(source, count, seed, root, splits))
    if path.is_dir() and is_dataset_folder(path):
        return _load_folder(path)
    if source.strip() and path.exists():
        from .importing import import_into_cache

        return _load_folder(import_into_cache(path, seed, root))
    return _load_from_hub(source, list(RECIPES))


def _load_folder(folder: Path) -> DatasetDict:
    """Load a data set folder, or say in one sentence why not."""
    from datasets.exceptions import DatasetsError

    try:
        splits = load_dataset(str(folder.resolve()))
    except (DatasetsError, OSError, ValueError) as error:
        _raise_if_disk_fails(error)
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        raise ValueError(f"{folder} cannot be read as a data set ({reason}); remove it and build it again.") from None
    return check_schema(splits, str(folder))


def _raise_if_disk_fails(error: BaseException | None) -> None:
    """Pass on that the disk is full or refuses, which `datasets` wraps; the data set is not to blame."""
    while error is not None:
        if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
            raise OSError(error.errno, error.strerror, error.filename) from None
        error = error.__cause__ or error.__context__


def _load_from_hub(source: str, recipes: Sequence[str]) -> DatasetDict:
    """Load a data set of the Hub."""
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    if _HUB_ID.fullmatch(source):
        try:
            return check_schema(load_dataset(source), source)
        except (DatasetsError, HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, OSError) as error:
            if isinstance(error, DatasetsError):
                _raise_if_disk_fails(error)
            # nothing of that name can be reached: one sentence for all of it below
    close = difflib.get_close_matches(source, recipes, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    raise FileNotFoundError(
        f"data set '{source}' is not a recipe ({', '.join(recipes)}), an existing folder or archive, or a data set "
        f"that can be reached on the Hugging Face Hub{hint}"
    )


def check_schema(splits: DatasetDict, name: str) -> DatasetDict:
    """Refuse a data set without the image column of `data.schema`.

    Args:
        splits: The data set.
        name: Its name, for the message.

    Returns:
        The data set.

    Raises:
        ValueError: If the column is missing or of another kind.
    """
    for split in splits.values():
        feature = split.features.get(IMAGE)
        if isinstance(feature, Array3D) and feature.dtype == "float32" and None not in feature.shape:
            continue
        found = f"is {feature}" if feature is not None else f"is missing among {', '.join(split.features)}"
        raise ValueError(
            f"'{name}' needs a column '{IMAGE}' of float32 arrays of one shape (bands, height, width), but it {found}; "
            "import the original files with scripts/import_dataset.py."
        )
    return splits


class LensImageDecoder:
    """Random access to the images of a data set at the speed of memory.

    `datasets` decodes an array column list by list. The numbers of an image lie side by side in the Arrow file all the
    same, so each chunk is viewed as one NumPy array, without a copy, and rows are taken from it. The file stays
    memory-mapped: only the rows that are asked for are read.

    Args:
        dataset: A split with the columns of `data.schema`; selected, shuffled and filtered ones as well.

    Raises:
        ValueError: If an image is missing, or the image column is of another kind.
    """

    def __init__(self, dataset: Dataset) -> None:
        check_schema(DatasetDict({"dataset": dataset}), "the data set")
        self.dataset = dataset
        self.shape: tuple[int, int, int] = tuple(dataset.features[IMAGE].shape)
        self._views = [_view(chunk, self.shape) for chunk in dataset.data.column(IMAGE).chunks if len(chunk)]
        self._starts = np.cumsum([0, *(len(view) for view in self._views)])
        self._indices = _row_mapping(dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, rows: int | Sequence[int] | NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """Return images.

        Args:
            rows: One row, or several.

        Returns:
            `(bands, height, width)` for one row, `(rows, bands, height, width)` for several; a copy.

        Raises:
            IndexError: If a row does not exist, or is not given by a number.
        """
        if isinstance(rows, slice):
            rows = range(*rows.indices(len(self)))
        asked = np.asarray(rows)
        if asked.dtype.kind not in "iu" and asked.size:
            raise IndexError(f"rows are given by their numbers, not by values of type {asked.dtype}.")
        positions = np.where(asked < 0, asked + len(self), asked).reshape(-1)
        if positions.size and (positions.min() < 0 or positions.max() >= len(self)):
            raise IndexError(f"row {asked} is not among the {len(self)} rows of the data set.")
        if self._indices is not None:
            positions = self._indices[positions]
        images = self._take(positions.astype(np.int64))
        return images if asked.ndim else images[0]

    def __reduce__(self) -> tuple[type["LensImageDecoder"], tuple[Dataset]]:
        """Travel to worker processes as the name of the mapped file, not as its content."""
        return LensImageDecoder, (self.dataset,)

    def _take(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Copy stored rows out of the chunks they lie in; row by row, which is faster than chunk by chunk."""
        images = np.empty((len(positions), *self.shape), dtype=np.float32)
        chunks = np.searchsorted(self._starts, positions, side="right") - 1
        places = positions - self._starts[chunks]
        for row, (chunk, place) in enumerate(zip(chunks.tolist(), places.tolist(), strict=True)):
            images[row] = self._views[chunk][place]
        return images

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class of each row, -1 where unknown, `(rows,)`."""
        if LABEL not in self.dataset.column_names:
            return np.full(len(self), UNLABELLED, dtype=np.int64)
        labels = self.dataset.data.column(LABEL).fill_null(UNLABELLED).to_numpy().astype(np.int64)
        return labels if self._indices is None else labels[self._indices]

    @property
    def pixel_scales(self) -> NDArray[np.float32]:
        """Pixel scale of each row [arcsec/pixel], NaN where unknown, `(rows,)`."""
        if PIXEL_SCALE not in self.dataset.column_names:
            return np.full(len(self), np.nan, dtype=np.float32)
        return self.column(PIXEL_SCALE).astype(np.float32)

    @property
    def system_ids(self) -> NDArray[np.str_]:
        """Lens system of each row, `(rows,)`; a row of which none is known is one of its own."""
        if SYSTEM_ID not in self.dataset.column_names:
            return np.arange(len(self)).astype(str)
        known = self.column(SYSTEM_ID).astype(str)
        unknown = self.dataset.data.column(SYSTEM_ID).is_null(nan_is_null=True).to_numpy()
        unknown = unknown if self._indices is None else unknown[self._indices]
        # words that no system is called, as it might be by a number
        return np.where(unknown, [f"row {row} without a system" for row in range(len(self))], known)

    @property
    def red_first(self) -> NDArray[np.bool_]:
        """Whether each row's bands are red, green and blue of the picture that it was imported from, `(rows,)`."""
        if self.shape[0] != len(COLOUR_BANDS) or SOURCE_FILE not in self.dataset.column_names:
            return np.zeros(len(self), dtype=bool)
        return np.array([str(file).lower().endswith(PICTURE_ENDINGS) for file in self.column(SOURCE_FILE)], dtype=bool)

    def column(self, name: str) -> NDArray[Any]:
        """Return a column beside the images.

        Args:
            name: A name of `data.schema`.

        Returns:
            One value per row: numbers, with NaN for null in floating columns; objects with None for null in others.

        Raises:
            KeyError: If there is no such column.
        """
        if name not in self.dataset.column_names:
            raise KeyError(f"the data set has no column '{name}'; it has {', '.join(self.dataset.column_names)}.")
        values = self.dataset.data.column(name)
        plain = pa.types.is_floating(values.type) or (pa.types.is_integer(values.type) and not values.null_count)
        array = values.to_numpy() if plain else np.array(values.to_pylist(), dtype=object)
        return array if self._indices is None else array[self._indices]


def _view(chunk: Any, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """View a chunk of an array column as one array, without a copy."""
    values = chunk.storage
    for _ in shape:
        if values.null_count:
            raise ValueError(f"the column '{IMAGE}' has missing images; filter them out and call flatten_indices().")
        values = values.flatten()
    return values.to_numpy(zero_copy_only=True).reshape(len(chunk), *shape)


def _row_mapping(dataset: Dataset) -> NDArray[np.int64] | None:
    """Return which stored row each row is, or None where they agree; `select` and `shuffle` move no data."""
    if dataset._indices is None:
        return None
    return dataset._indices.column(0).to_numpy().astype(np.int64)
