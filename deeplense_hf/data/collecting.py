"""Gather the images of original files: what they are, where they belong, what is left out and why."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .build import SplitPlan
from .readers import LensImage, find_image_files, read_images
from .records import RecordBatch
from .schema import INSTRUMENT, PIXEL_SCALE, SOURCE_FILE, SPLITS, SYSTEM_ID, UNLABELLED, label_set, place_of
from .splits import split_by_hash

_BATCH = 128
_HELD_OUT_FIRST = {"test": 0, "validation": 1, "train": 2, None: 3}


@dataclass(frozen=True)
class Item:
    """An image that was read.

    Attributes:
        source_file: File relative to the source.
        system_id: Hash of the pixels: the same image under two names is one system.
        class_name: Class by folder, None where no folder says it.
        split: Split by folder, None where no folder says it.
        parameters: Physical parameters of the file.
        pixel_scale: [arcsec/pixel], if the file says it.
        shape: Bands, height, width.
        place: Row in the spool of its shape.
    """

    source_file: str
    system_id: str
    class_name: str | None
    split: str | None
    parameters: dict[str, float]
    pixel_scale: float | None
    shape: tuple[int, int, int]
    place: int


@dataclass(frozen=True)
class Rejected:
    """A file or image that is left out.

    Attributes:
        file: Its name relative to the source.
        reason: Why.
    """

    file: str
    reason: str


@dataclass
class Collection:
    """What was found in a source.

    Attributes:
        items: Images of one shape, none twice.
        rejected: What is left out.
        spools: Raw pixels on disk, by shape.
        class_names: Classes in the order of their labels; empty if nothing is labelled.
    """

    items: list[Item] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    spools: dict[tuple[int, int, int], Path] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Bands, height and width of the images."""
        return self.items[0].shape

    def assign_splits(self, validation_fraction: float, test_fraction: float, seed: int) -> dict[str, list[int]]:
        """Assign images to splits: as the folders say, else by system.

        Args:
            validation_fraction: Share of the validation split, if no folder names a split.
            test_fraction: Share of the test split, if no folder names a split.
            seed: Seed of the assignment and of the order within a split.

        Returns:
            Rows of `items` by split, shuffled; without empty splits.
        """
        if any(item.split for item in self.items):
            chosen = [item.split or "train" for item in self.items]
        elif not self.class_names:
            # nothing to train on: one split, as `datasets` calls it
            chosen = ["train"] * len(self.items)
        else:
            labels = [self._label(item) for item in self.items]
            systems = [item.system_id for item in self.items]
            chosen = split_by_hash(systems, labels, validation_fraction, test_fraction, seed)
        splits = {}
        for number, split in enumerate(SPLITS):
            rows = np.array([row for row, name in enumerate(chosen) if name == split], dtype=np.int64)
            if len(rows):
                splits[split] = np.random.default_rng([seed, number]).permutation(rows).tolist()
        return splits

    def plans(
        self, splits: dict[str, list[int]], pixel_scale: float | None, instrument: str | None, seed: int
    ) -> dict[str, SplitPlan]:
        """Turn splits into what `write_dataset` takes.

        Args:
            splits: Rows of `items` by split.
            pixel_scale: Scale of files that do not say it [arcsec/pixel].
            instrument: Camera.
            seed: Seed of the splits.

        Returns:
            One plan per split; pixels are read from disk a batch at a time.
        """
        return {
            split: SplitPlan(len(rows), self._batches(rows, pixel_scale, instrument)) for split, rows in splits.items()
        }

    def _batches(self, rows: list[int], pixel_scale: float | None, instrument: str | None) -> Iterator[RecordBatch]:
        pixels = np.memmap(self.spools[self.shape], dtype=np.float32, mode="r").reshape(-1, *self.shape)
        for start in range(0, len(rows), _BATCH):
            items = [self.items[row] for row in rows[start : start + _BATCH]]
            parameters = {name for item in items for name in item.parameters}
            columns: dict[str, list[Any]] = {
                name: [item.parameters.get(name) for item in items] for name in sorted(parameters)
            }
            columns[SYSTEM_ID] = [item.system_id for item in items]
            columns[SOURCE_FILE] = [item.source_file for item in items]
            columns[PIXEL_SCALE] = [item.pixel_scale or pixel_scale for item in items]
            columns[INSTRUMENT] = [instrument] * len(items)
            labels = np.array([self._label(item) for item in items])
            yield RecordBatch(pixels[[item.place for item in items]], labels, columns)

    def _label(self, item: Item) -> int:
        return UNLABELLED if item.class_name is None else self.class_names.index(item.class_name)

    def report(self, source: str, counts: dict[str, dict[str, int]]) -> dict[str, Any]:
        """Return what `import_report.json` says.

        Args:
            source: What was imported.
            counts: Images of each class by split.

        Returns:
            Counts and all rejections.
        """
        return {
            "source": source,
            "imported": len(self.items),
            "image_shape": list(self.shape),
            "splits": counts,
            "rejected_count": len(self.rejected),
            "rejected": [{"file": entry.file, "reason": entry.reason} for entry in self.rejected],
        }


def collect(root: Path, name: str, aliases: dict[str, str], scratch: Path) -> Collection:
    """Read all images below a folder; pixels go to disk, so memory is bounded by a file.

    Args:
        root: Folder or file.
        name: Name of the source, which may say class or split as a folder does.
        aliases: Further names of class folders.
        scratch: Folder for the pixels.

    Returns:
        The images of the commonest shape; everything else is listed as rejected.

    Raises:
        FileNotFoundError: If the root does not exist.
        ValueError: If a folder of images has an unknown class name beside known ones, or classes do not fit together.
    """
    collection = Collection()
    files = find_image_files([root])
    spools: dict[tuple[int, int, int], Any] = {}
    try:
        for path in tqdm(files, desc="reading", unit="file"):
            inner = path.name if root.is_file() else str(path.relative_to(root))
            folders = (name, *Path(inner).parts[:-1])
            class_name, split = place_of(folders, aliases)
            try:
                images = read_images(path)
            except (ValueError, OSError) as error:
                collection.rejected.append(Rejected(inner, " ".join(str(error).split())))
                continue
            for image in images:
                item = _spool(image, inner, class_name, split, spools, scratch, collection)
                collection.items.append(item)
    finally:
        for file, _ in spools.values():
            file.close()
    _check_folders(collection.items, name)
    _keep_common_shape(collection)
    _drop_copies(collection)
    collection.class_names = label_set({item.class_name for item in collection.items if item.class_name} or {"no_sub"})
    if not any(item.class_name for item in collection.items):
        collection.class_names = ()
    return collection


def _spool(
    image: LensImage,
    inner: str,
    class_name: str | None,
    split: str | None,
    spools: dict[tuple[int, int, int], Any],
    scratch: Path,
    collection: Collection,
) -> Item:
    """Append the pixels of an image to the file of its shape."""
    bands, height, width = image.image.shape
    shape = (bands, height, width)
    if shape not in spools:
        path = scratch / f"{bands}x{height}x{width}.f32"
        collection.spools[shape] = path
        spools[shape] = [path.open("wb"), 0]
    pixels = image.image.tobytes()
    spools[shape][0].write(pixels)
    spools[shape][1] += 1
    number = image.source_file.rpartition("#")[2] if "#" in image.source_file else ""
    return Item(
        source_file=f"{inner}#{number}" if number.isdigit() else inner,
        system_id=hashlib.blake2b(pixels, digest_size=12).hexdigest(),
        class_name=class_name,
        split=split,
        parameters=image.parameters,
        pixel_scale=image.pixel_scale,
        shape=shape,
        place=spools[shape][1] - 1,
    )


def _check_folders(items: list[Item], name: str) -> None:
    """Refuse class folders of unknown name beside known ones: their images would silently lose their label."""
    unlabelled = {str(Path(item.source_file).parent) for item in items if item.class_name is None}
    unlabelled.discard(".")
    if unlabelled and any(item.class_name for item in items):
        raise ValueError(
            f"{name}: the folder '{sorted(unlabelled)[0]}' names no class, while others do; give it one, for example "
            f"--aliases {Path(sorted(unlabelled)[0]).name}=no_sub."
        )


def _keep_common_shape(collection: Collection) -> None:
    """Keep the images of the commonest shape."""
    if not collection.items:
        return
    counts = Counter(item.shape for item in collection.items)
    common = max(counts, key=lambda shape: (counts[shape], shape))
    for item in collection.items:
        if item.shape != common:
            reason = f"its shape {item.shape} differs from the {common} of most images; import it into another folder."
            collection.rejected.append(Rejected(item.source_file, reason))
    collection.items = [item for item in collection.items if item.shape == common]


def _drop_copies(collection: Collection) -> None:
    """Keep one of identical images, that of the most held-out split, so that no system lies in two splits."""
    first: dict[str, Item] = {}
    for item in sorted(collection.items, key=lambda item: _HELD_OUT_FIRST[item.split]):
        kept = first.setdefault(item.system_id, item)
        if kept is not item:
            collection.rejected.append(Rejected(item.source_file, f"the same image as {kept.source_file}."))
    collection.items = [item for item in collection.items if first[item.system_id] is item]
