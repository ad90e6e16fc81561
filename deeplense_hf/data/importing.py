"""The command `import`: original lens files as a data set."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .archives import archive_stem, is_archive, unpack
from .file_names import printable
from .schema import CLASS_ALIASES, normalise_name

if TYPE_CHECKING:
    from .collecting import Collection

REPORT_FILE = "import_report.json"
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
    instrument: str | None = field(default=None, metadata={"help": "camera of files that do not say it"})
    aliases: list[str] = field(
        default_factory=list, metadata={"help": "further names of class folders, for example smooth_set=no_sub"}
    )
    validation_fraction: float = field(
        default=0.1, metadata={"help": "share of the validation split, if no folder names a split"}
    )
    test_fraction: float = field(default=0.1, metadata={"help": "share of the test split, if no folder names a split"})
    unlabelled: bool = field(default=False, metadata={"help": "folders say nothing about classes; no label is given"})
    seed: int = field(default=0, metadata={"help": "seed of the splits and of the order of rows"})

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("source", "output_dir"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name} is empty; give a path as --{name}.")
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
    cache = root / "imported"
    options = ImportOptions(str(source), str(cache), seed=seed)
    folder = cache / f"{normalise_name(source.resolve().name)}-{fingerprint(options)}"
    build_imported(replace(options, output_dir=str(folder)))
    return folder


def fingerprint(options: ImportOptions) -> str:
    """Return what decides the content of an imported data set: options, and names, sizes and times of the files.

    Args:
        options: Options of the command.

    Returns:
        Twelve hexadecimal digits.

    Raises:
        FileNotFoundError: If the source does not exist.
    """
    from .build import fingerprint_of, is_dataset_folder
    from .readers import find_image_files

    source = Path(options.source).expanduser()
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist; give a folder, a file or an archive as --source.")
    if source.is_dir() and is_dataset_folder(source):
        raise ValueError(f"{source} is a data set already; load it with load_dataset('{source}').")
    choices = [source.resolve().name, repr(sorted(_deciding(options).items()))]
    for path in [source] if is_archive(source) else find_image_files([source]):
        status = path.stat()
        name = path.name if source.is_file() else path.relative_to(source).as_posix()
        choices.append(f"{name} {status.st_size} {status.st_mtime_ns}")
    return fingerprint_of(choices, Path(__file__).parent.glob("*.py"))


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
    from .splits import check_fractions
    from .staging import temporary_sibling

    check_fractions(options.validation_fraction, options.test_fraction)
    aliases = parse_aliases(options.aliases)
    mark = fingerprint(options)
    output_dir = Path(options.output_dir)
    if already_built(output_dir, mark):
        return False
    source = Path(options.source).expanduser()
    with temporary_sibling(output_dir) as temporary:
        root, name, pixels = source, source.resolve().name, temporary / "pixels"
        pixels.mkdir()
        if is_archive(source):
            root, name = temporary / "unpacked", archive_stem(source)
            root.mkdir()
            unpack(source, root)
        elif source.is_file():
            name = source.stem
        collection = collect(root, name, aliases, options.unlabelled, pixels)
        if not collection.items:
            reasons = " ".join(rejected.reason for rejected in collection.rejected[:3])
            raise ValueError(f"{source} holds no readable image ({len(collection.rejected)} files tried): {reasons}")
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


def _deciding(options: ImportOptions) -> dict[str, Any]:
    """Options that decide the content."""
    return {name: value for name, value in asdict(options).items() if name not in ("source", "output_dir")}


def _write(options: ImportOptions, collection: "Collection", mark: str, output_dir: Path) -> None:
    """Write the collected images as a data set."""
    from .build import write_dataset
    from .card import DatasetCard
    from .schema import features

    splits = collection.assign_splits(options.validation_fraction, options.test_fraction, options.seed)
    shape = collection.shape
    names = list(collection.class_names)
    # the last part only, for data sets are published and the rest of a local path is nobody's business
    source = printable(Path(options.source).expanduser().resolve().name)
    counts = {}
    for split, rows in splits.items():
        found = Counter(collection.items[row].class_name or "" for row in rows)
        counts[split] = {name: found[name] for name in names or [""]}
    report = collection.report(source, counts)
    provenance = {
        "fingerprint": mark,
        "command": "import",
        "source": source,
        "options": _deciding(options),
        "counts": counts,
    }
    card = DatasetCard(
        title=f"{source}, imported",
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
        collection.plans(splits, options.pixel_scale, options.instrument),
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
