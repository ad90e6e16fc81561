"""Gather the images of original files: what they are, where they belong, what is left out and why."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .build import SplitPlan
from .file_names import printable
from .readers import READERS, LensImage, UnreadableImage, find_image_files, iterate_images
from .records import RecordBatch
from .schema import (
    INSTRUMENT,
    PIXEL_SCALE,
    SOURCE_FILE,
    SPLITS,
    SYSTEM_ID,
    UNLABELLED,
    class_and_split,
    known_class_folders,
    label_set,
    place_of,
)
from .splits import split_by_hash

_BATCH = 128
_HELD_OUT_FIRST = ("test", "validation", "train")
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class FoundFile:
    r"""An image file of the source.

    Attributes:
        path: The file.
        inner: Its name relative to the source, with `\xff` for a byte that is not UTF-8.
        class_name: Class by folder, None where no folder says it.
        split: Split by folder, None where no folder says it.
    """

    path: Path
    inner: str
    class_name: str | None
    split: str | None


@dataclass(frozen=True)
class Item:
    """An image that was read.

    Attributes:
        source_file: File relative to the source, with `#3` behind it for the fourth image of several.
        system_id: Hash of the pixels: the same image under two names is one system.
        class_name: Class by folder, None where no folder says it.
        split: Split by folder, None where no folder says it.
        parameters: Physical parameters of the file.
        pixel_scale: [arcsec/pixel], if the file says it.
        instrument: Camera, if the file says it.
        shape: Bands, height, width.
        place: Row in the spool of its shape.
    """

    source_file: str
    system_id: str
    class_name: str | None
    split: str | None
    parameters: dict[str, float]
    pixel_scale: float | None
    instrument: str | None
    shape: Shape
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
        folder: Where the raw pixels lie, one file per shape, so that memory holds a file at a time.
        class_names: Classes in the order of their labels; empty if nothing is labelled.
        items: Images of one shape.
        rejected: What is left out.
    """

    folder: Path
    class_names: tuple[str, ...]
    items: list[Item] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    @property
    def shape(self) -> Shape:
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

        Raises:
            ValueError: If the fractions are out of range.
        """
        if any(item.split for item in self.items):
            chosen = [item.split or "train" for item in self.items]
        else:
            labels = [self.label(item) for item in self.items]
            systems = [item.system_id for item in self.items]
            chosen = split_by_hash(systems, labels, validation_fraction, test_fraction, seed)
        splits = {}
        for number, split in enumerate(SPLITS):
            rows = np.array([row for row, name in enumerate(chosen) if name == split], dtype=np.int64)
            if len(rows):
                splits[split] = np.random.default_rng([seed, number]).permutation(rows).tolist()
        return splits

    def plans(
        self, splits: Mapping[str, list[int]], pixel_scale: float | None, instrument: str | None
    ) -> dict[str, SplitPlan]:
        """Turn splits into what `write_dataset` takes.

        Args:
            splits: Rows of `items` by split.
            pixel_scale: Scale of files that do not say it [arcsec/pixel].
            instrument: Camera of files that do not say it.

        Returns:
            One plan per split; pixels are read from disk a batch at a time.
        """
        return {
            split: SplitPlan(len(rows), self._batches(rows, pixel_scale, instrument)) for split, rows in splits.items()
        }

    def label(self, item: Item) -> int:
        """Return the number of an image's class, -1 where it has none."""
        return UNLABELLED if item.class_name is None else self.class_names.index(item.class_name)

    def _batches(self, rows: Sequence[int], pixel_scale: float | None, instrument: str | None) -> Iterator[RecordBatch]:
        pixels = np.memmap(_spool_of(self.folder, self.shape), dtype=np.float32, mode="r").reshape(-1, *self.shape)
        for start in range(0, len(rows), _BATCH):
            items = [self.items[row] for row in rows[start : start + _BATCH]]
            parameters = sorted({name for item in items for name in item.parameters})
            columns: dict[str, list[Any]] = {name: [item.parameters.get(name) for item in items] for name in parameters}
            columns[SYSTEM_ID] = [item.system_id for item in items]
            columns[SOURCE_FILE] = [item.source_file for item in items]
            columns[PIXEL_SCALE] = [item.pixel_scale or pixel_scale for item in items]
            columns[INSTRUMENT] = [item.instrument or instrument for item in items]
            labels = np.array([self.label(item) for item in items])
            yield RecordBatch(pixels[[item.place for item in items]], labels, columns)

    def report(self, source: str, counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
        """Return what `import_report.json` says.

        Args:
            source: Name of what was imported.
            counts: Images of each class by split.

        Returns:
            Counts and all rejections.
        """
        return {
            "source": source,
            "imported": len(self.items),
            "image_shape": list(self.shape),
            "splits": {split: dict(row) for split, row in counts.items()},
            "rejected_count": len(self.rejected),
            "rejected": [{"file": entry.file, "reason": entry.reason} for entry in self.rejected],
        }


def collect(root: Path, name: str, aliases: Mapping[str, str], unlabelled: bool, scratch: Path) -> Collection:
    """Read all images below a folder.

    Of images of several shapes the commonest shape is kept, the larger of equally common ones. An image that lies in
    two splits stays in the most held-out one only, one that lies in two classes in none.

    Args:
        root: Folder or file.
        name: Name of the source, which may say class or split as a folder does.
        aliases: Further names of class folders.
        unlabelled: Whether folders say nothing about classes.
        scratch: Empty folder for the pixels.

    Returns:
        The images; everything else is listed as rejected.

    Raises:
        FileNotFoundError: If the root does not exist.
        ValueError: If there is no image file, a folder of images has an unknown class name, or classes do not fit
            together.
    """
    files = _found_files(root, name, aliases, unlabelled)
    if not files:
        raise ValueError(f"'{name}' holds no image file; known endings are {', '.join(READERS)}.")
    if not unlabelled:
        _check_folders(files, name)
    classes = {file.class_name for file in files if file.class_name}
    collection = Collection(scratch, label_set(classes))
    with tqdm(files, desc="reading", unit="file") as progress:
        _read_files(progress, collection, bool(classes))
    _keep_common_shape(collection)
    _drop_contradictions(collection)
    _drop_copies(collection)
    return collection


def _read_files(files: Iterable[FoundFile], collection: Collection, labelled: bool) -> None:
    """Read files into a collection."""
    spooled: Counter[Shape] = Counter()
    for file in files:
        if labelled and file.class_name is None:
            collection.rejected.append(Rejected(file.inner, "it lies in no class folder, while others do."))
            continue
        for image in _images_of(file.path):
            number = image.source_file.removeprefix(file.path.name)
            if isinstance(image, UnreadableImage):
                collection.rejected.append(Rejected(file.inner + number, printable(image.reason)))
            else:
                collection.items.append(_spool(image, file, number, spooled, collection.folder))


def _found_files(root: Path, name: str, aliases: Mapping[str, str], unlabelled: bool) -> list[FoundFile]:
    """Say of every image file where it belongs."""
    found = []
    for path in find_image_files([root]):
        inner = printable(path.name if root.is_file() else path.relative_to(root).as_posix())
        class_name, split = place_of((name, *Path(inner).parts[:-1]), aliases)
        found.append(FoundFile(path, inner, None if unlabelled else class_name, split))
    return found


def _check_folders(files: Sequence[FoundFile], name: str) -> None:
    """Refuse class folders of unknown name: their images would silently lose their label."""
    unknown = sorted({_folder_without_meaning(file.inner) for file in files if file.class_name is None} - {""})
    labelled = any(file.class_name for file in files)
    if unknown and (labelled or len(unknown) > 1):
        last = Path(unknown[0]).name
        raise ValueError(
            f"'{name}': the folder '{unknown[0]}' names no known class; known are {known_class_folders()}; say what it "
            f"holds with --aliases {last}=no_sub, or import without labels by --unlabelled."
        )


def _folder_without_meaning(inner: str) -> str:
    """The folder of a file, if it says neither class nor split; else nothing."""
    folder = Path(inner).parent
    return "" if folder == Path() or class_and_split(folder.name)[1] else folder.as_posix()


def _images_of(path: Path) -> Iterator[LensImage | UnreadableImage]:
    """The images of a file; what stops the reading stands at the end."""
    try:
        yield from iterate_images(path)
    except (ValueError, OSError) as error:
        yield UnreadableImage(path.name, " ".join(str(error).split()))


def _spool(image: LensImage, file: FoundFile, number: str, spooled: Counter[Shape], scratch: Path) -> Item:
    """Append the pixels of an image to the file of its shape."""
    bands, height, width = image.image.shape
    shape = (bands, height, width)
    pixels = image.image.tobytes()
    with _spool_of(scratch, shape).open("ab") as spool:
        spool.write(pixels)
    spooled[shape] += 1
    return Item(
        source_file=file.inner + number,
        system_id=hashlib.blake2b(pixels, digest_size=12).hexdigest(),
        class_name=file.class_name,
        split=file.split,
        parameters=image.parameters,
        pixel_scale=image.pixel_scale,
        instrument=image.instrument,
        shape=shape,
        place=spooled[shape] - 1,
    )


def _spool_of(folder: Path, shape: Shape) -> Path:
    return folder / f"{'x'.join(map(str, shape))}.float32"


def _keep_common_shape(collection: Collection) -> None:
    """Keep the images of the commonest shape."""
    counts = Counter(item.shape for item in collection.items)
    common = max(counts, key=lambda shape: (counts[shape], shape), default=None)
    for item in collection.items:
        if item.shape != common:
            reason = f"its shape {item.shape} differs from the commonest, {common}; import it into another folder."
            collection.rejected.append(Rejected(item.source_file, reason))
    collection.items = [item for item in collection.items if item.shape == common]


def _drop_contradictions(collection: Collection) -> None:
    """Drop images that are said to be of two classes."""
    classes: dict[str, set[str | None]] = defaultdict(set)
    for item in collection.items:
        classes[item.system_id].add(item.class_name)
    kept = []
    for item in collection.items:
        if len(classes[item.system_id]) == 1:
            kept.append(item)
            continue
        names = ", ".join(sorted(map(str, classes[item.system_id])))
        collection.rejected.append(Rejected(item.source_file, f"the same image lies in the classes {names}."))
    collection.items = kept


def _drop_copies(collection: Collection) -> None:
    """Keep a system in one split, the most held-out one, where folders say the splits."""
    if not any(item.split for item in collection.items):
        return
    home: dict[str, Item] = {}
    for item in collection.items:
        first = home.setdefault(item.system_id, item)
        if _rank(item) < _rank(first):
            home[item.system_id] = item
    kept = []
    for item in collection.items:
        stays = home[item.system_id]
        if _rank(item) == _rank(stays):
            kept.append(item)
            continue
        reason = f"the same image as {stays.source_file}, which is held out."
        collection.rejected.append(Rejected(item.source_file, reason))
    collection.items = kept


def _rank(item: Item) -> int:
    return _HELD_OUT_FIRST.index(item.split or "train")
