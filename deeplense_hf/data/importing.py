"""The command `import`: original lens files as a data set."""

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .archives import archive_stem, is_archive, unpack
from .schema import CLASS_ALIASES, normalise_name

if TYPE_CHECKING:
    from .collecting import Collection

REPORT_FILE = "import_report.json"
# raised whenever the same files would give another data set
GENERATION = 1
_SHOWN_REJECTIONS = 10


@dataclass
class ImportOptions:
    """Options of the command `import`.

    Raises:
        ValueError: If a number is out of range.
    """

    source: str = field(metadata={"help": "folder, file or archive (zip, tar, tgz) of original files"})
    output_dir: str = field(metadata={"help": "folder of the data set; must not hold anything else"})
    pixel_scale: float | None = field(
        default=None, metadata={"help": "pixel scale of files that do not say it [arcsec/pixel]"}
    )
    instrument: str | None = field(default=None, metadata={"help": "camera that took the images"})
    aliases: list[str] = field(
        default_factory=list, metadata={"help": "further names of class folders, for example smooth_set=no_sub"}
    )
    validation_fraction: float = field(
        default=0.1, metadata={"help": "share of the validation split, if no folder names a split"}
    )
    test_fraction: float = field(
        default=0.1, metadata={"help": "share of the test split, if no folder names a split"}
    )
    seed: int = field(default=0, metadata={"help": "seed of the splits and of the order of rows"})

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.pixel_scale is not None and not self.pixel_scale > 0:
            raise ValueError(f"pixel_scale={self.pixel_scale} arcsec must be positive.")
        if self.seed < 0:
            raise ValueError(f"seed={self.seed} must not be negative.")


def import_dataset(options: ImportOptions) -> int:
    """Import original files into a data set folder, with a report of what could not be read.

    Args:
        options: What to import, and where to.

    Returns:
        0, also if some files were left out.

    Raises:
        FileNotFoundError: If the source does not exist.
        ValueError: If it holds no readable image, or the folder is in use.
        OSError: If the disk refuses.
    """
    folder = Path(options.output_dir)
    if build_imported(options):
        report = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))
        _print_report(report)
        print(f"written: {folder}\nload it with: load_dataset('{folder}')")
    else:
        print(f"already there: {folder}")
    return 0


def import_into_cache(source: Path, seed: int, root: Path) -> Path:
    """Import original files into the cache, unless they are there unchanged.

    Args:
        source: Folder, file or archive.
        seed: Seed of the splits.
        root: The cache.

    Returns:
        Folder of the data set.

    Raises:
        ValueError: If there is no readable image.
        OSError: If the disk refuses.
    """
    options = ImportOptions(source=str(source), output_dir="", seed=seed)
    options.output_dir = str(root / "imported" / f"{normalise_name(source.name)}-{fingerprint(options)}")
    build_imported(options)
    return Path(options.output_dir)


def fingerprint(options: ImportOptions) -> str:
    """Return what decides the content of an imported data set: options, and names, sizes and times of the files.

    Args:
        options: Options of the command.

    Returns:
        Twelve hexadecimal digits.

    Raises:
        FileNotFoundError: If the source does not exist.
    """
    source = Path(options.source).expanduser()
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist; give a folder, a file or an archive as --source.")
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    deciding = hashlib.blake2b(digest_size=6)
    for path in files:
        status = path.stat()
        name = path.name if source.is_file() else path.relative_to(source)
        deciding.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    choices = {name: value for name, value in vars(options).items() if name not in ("source", "output_dir")}
    deciding.update(f"{GENERATION} {source.name} {choices}".encode())
    return deciding.hexdigest()


def build_imported(options: ImportOptions) -> bool:
    """Import original files into a folder, unless they are there unchanged.

    Args:
        options: What to import, and where to.

    Returns:
        Whether anything was to be done.

    Raises:
        FileNotFoundError: If the source does not exist.
        ValueError: If it holds no readable image, or the folder is in use.
        OSError: If the disk refuses.
    """
    from .build import already_built
    from .collecting import collect

    mark = fingerprint(options)
    output_dir = Path(options.output_dir)
    if already_built(output_dir, mark):
        return False
    source = Path(options.source).expanduser()
    aliases = parse_aliases(options.aliases)
    with _opened(source, output_dir) as root, _scratch(output_dir) as scratch:
        name = archive_stem(source) if is_archive(source) else source.resolve().name
        collection = collect(root, name, aliases, scratch)
        if not collection.items:
            reasons = "; ".join(rejected.reason for rejected in collection.rejected[:3])
            raise ValueError(f"{source} holds no readable image" + (f": {reasons}" if reasons else "."))
        _write(options, collection, mark, output_dir)
    return True


def parse_aliases(aliases: list[str]) -> dict[str, str]:
    """Read `folder=class` pairs.

    Args:
        aliases: For example `["smooth_set=no_sub"]`; the class may be a new one.

    Returns:
        Class by normalised name of the folder.

    Raises:
        ValueError: If a pair has no `=`.
    """
    parsed = {}
    for pair in aliases:
        folder, equals, name = pair.partition("=")
        if not (folder and equals and name):
            raise ValueError(f"alias '{pair}' is not of the form folder=class, for example smooth_set=no_sub.")
        normalised = normalise_name(name)
        parsed[normalise_name(folder)] = CLASS_ALIASES.get(normalised, normalised)
    return parsed


@contextmanager
def _opened(source: Path, output_dir: Path) -> Iterator[Path]:
    """Give the folder or file to read; archives are unpacked into a temporary folder beside the output."""
    if not is_archive(source) or source.is_dir():
        yield source
        return
    with _scratch(output_dir) as folder:
        unpack(source, folder)
        yield folder


@contextmanager
def _scratch(output_dir: Path) -> Iterator[Path]:
    """Give a temporary folder on the disk of the output."""
    parent = output_dir.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".deeplense-import-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(options: ImportOptions, collection: "Collection", mark: str, output_dir: Path) -> None:
    """Write the collected images as a data set."""
    from .build import write_dataset
    from .card import DatasetCard
    from .schema import features

    splits = collection.assign_splits(options.validation_fraction, options.test_fraction, options.seed)
    shape = collection.shape
    names = list(collection.class_names)
    counts = {
        split: dict(Counter(collection.items[row].class_name or "" for row in rows)) for split, rows in splits.items()
    }
    report = collection.report(options.source, counts)
    provenance = {
        "fingerprint": mark,
        "command": "import",
        "options": {name: value for name, value in vars(options).items() if name != "output_dir"},
        "counts": counts,
    }
    card = DatasetCard(
        title=f"{Path(options.source).name}, imported",
        summary=f"Lens images imported from original files by deeplense_hf ({len(collection.items)} images).",
        class_counts=counts,
        image_shape=shape,
        details=_report_section(report),
        origin="Imported from original files; their licence and citation apply.",
        tags=("imported",),
        licence="unknown",
    )
    write_dataset(
        output_dir,
        features(names, *shape),
        collection.plans(splits, options.pixel_scale, options.instrument, options.seed),
        provenance,
        card,
        {REPORT_FILE: json.dumps(report, indent=2) + "\n"},
    )


def _report_section(report: dict[str, Any]) -> str:
    """What the card says about the import."""
    return (
        f"## Import\n\n{report['imported']} images were imported and {report['rejected_count']} files or images left "
        f"out; `{REPORT_FILE}` lists them with the reasons."
    )


def _print_report(report: dict[str, Any]) -> None:
    """Print a summary and the first rejections."""
    for split, counts in report["splits"].items():
        print(f"{split}: " + ", ".join(f"{count} {name or 'unlabelled'}" for name, count in counts.items()))
    if report["rejected"]:
        print(f"left out: {report['rejected_count']} (all in {REPORT_FILE})")
        for entry in report["rejected"][:_SHOWN_REJECTIONS]:
            print(f"  {entry['file']}: {entry['reason']}")
