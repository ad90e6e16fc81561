"""Write a data set folder: sharded parquet and a card, complete or not at all."""

import hashlib
import json
import math
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .records import RecordBatch, as_table
from .schema import IMAGE, SPLITS
from .staging import move_into_place, temporary_sibling

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features

    from .card import DatasetCard

CARD_FILE = "README.md"
PROVENANCE_FILE = "provenance.json"
DATA_FOLDER = "data"
_SHARD_BYTES = 256 * 2**20
_ROW_GROUP_BYTES = 16 * 2**20


@dataclass(frozen=True)
class SplitPlan:
    """One split to write.

    Attributes:
        rows: How many records there will be.
        batches: The records.
    """

    rows: int
    batches: Iterable[RecordBatch]


def is_dataset_folder(folder: Path) -> bool:
    """Whether a folder is a finished data set of `write_dataset`, or one of the same layout from the Hub.

    Args:
        folder: Any path.

    Returns:
        True if it holds parquet files in `data/`, or such that are named after splits.
    """
    named = any(any(folder.glob(f"{split}*.parquet")) for split in SPLITS)
    return named or any((folder / DATA_FOLDER).glob("*.parquet"))


def read_provenance(folder: Path) -> dict[str, Any]:
    """Return what a data set folder says of its making.

    Args:
        folder: Folder of a data set.

    Returns:
        The content of `provenance.json`, empty if there is none.
    """
    try:
        content = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def already_built(output_dir: Path, fingerprint: str) -> bool:
    """Whether the wanted data set is there already.

    Args:
        output_dir: Where it would be written.
        fingerprint: What decides its content.

    Returns:
        True if nothing is to be done.

    Raises:
        ValueError: If something else is in the way, or the data set is damaged.
    """
    if not output_dir.exists():
        return False
    if not output_dir.is_dir():
        raise ValueError(f"{output_dir} is a file; give a folder as --output_dir.")
    if not any(output_dir.iterdir()):
        return False
    provenance = read_provenance(output_dir)
    if provenance.get("fingerprint") != fingerprint:
        raise ValueError(f"{output_dir} is not empty and holds something else; give another --output_dir or remove it.")
    for name, size in provenance.get("shards", {}).items():
        shard = output_dir / DATA_FOLDER / name
        if not shard.is_file() or shard.stat().st_size != size:
            raise ValueError(f"{output_dir} is damaged: {shard.name} is missing or cut off; remove the folder.")
    return True


def fingerprint_of(choices: Iterable[str], code: Iterable[Path]) -> str:
    """Hash what decides the content of a data set.

    Other code may give other images, so a data set of an earlier version is made anew and not taken for the same.

    Args:
        choices: Options, names of files and the like.
        code: Python files whose output the data set is.

    Returns:
        Twelve hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=6)
    for choice in choices:
        digest.update(choice.encode() + b"\n")
    for path in sorted(code):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def write_dataset(
    output_dir: Path,
    declared: "Features",
    splits: Mapping[str, SplitPlan],
    provenance: Mapping[str, Any],
    card: "DatasetCard",
    extra_files: Mapping[str, str] | None = None,
) -> None:
    """Write a data set folder that `load_dataset(output_dir)` reads, also streaming.

    Everything is written into a hidden sibling that is renamed at the end, so a kill or a full disk leaves no half data
    set. Memory is bounded by a row group of a shard, and the files are the same for any size of batches.

    Args:
        output_dir: The folder; must not exist or be empty.
        declared: `schema.features` of the data set.
        splits: The splits in their order.
        provenance: How it was made; needs a `fingerprint`. Written to `provenance.json`, with the shards.
        card: The card.
        extra_files: Further texts by file name.

    Raises:
        OSError: If the disk refuses.
        ValueError: If a split yields another number of records than announced.
    """
    with temporary_sibling(output_dir) as temporary, ExitStack() as progress:
        for plan in splits.values():
            if isinstance(plan.batches, Generator):
                # on failure too, so that a progress bar ends before the error is told
                progress.callback(plan.batches.close)
        folder = temporary / "dataset"
        data = folder / DATA_FOLDER
        data.mkdir(parents=True)
        content = hashlib.blake2b(digest_size=16)
        for name, plan in splits.items():
            _write_split(data, name, plan, declared)
        shards = {}
        for path in sorted(data.iterdir()):
            shards[path.name] = path.stat().st_size
            with path.open("rb") as file:
                content.update(hashlib.file_digest(file, "blake2b").digest())
        texts = {
            **(extra_files or {}),
            CARD_FILE: card.text(content.hexdigest()),
            PROVENANCE_FILE: json.dumps({**provenance, "shards": shards}, indent=2, sort_keys=True) + "\n",
        }
        for file_name, text in texts.items():
            (folder / file_name).write_text(text, encoding="utf-8")
        fingerprint = provenance["fingerprint"]
        move_into_place(
            folder, output_dir.absolute(), lambda place: read_provenance(place).get("fingerprint") == fingerprint
        )


def _write_split(folder: Path, name: str, plan: SplitPlan, declared: "Features") -> None:
    """Write the shards of one split."""
    import pyarrow.parquet as pq

    image_bytes = 4 * math.prod(declared[IMAGE].shape)
    shards = max(1, math.ceil(plan.rows * image_bytes / _SHARD_BYTES))
    per_shard = math.ceil(plan.rows / shards)
    group_rows = min(per_shard, max(1, _ROW_GROUP_BYTES // image_bytes))
    tables = _regroup(plan, declared, per_shard, group_rows)
    written = 0
    for shard in range(shards):
        end = min(plan.rows, (shard + 1) * per_shard)
        path = folder / f"{name}-{shard:05d}-of-{shards:05d}.parquet"
        with pq.ParquetWriter(path, declared.arrow_schema, compression="zstd") as writer:
            while written < end:
                table = next(tables, None)
                if table is None:
                    raise ValueError(f"split '{name}' was announced with {plan.rows} records but has {written}.")
                writer.write_table(table)
                written += len(table)
    if next(tables, None) is not None:
        raise ValueError(f"split '{name}' has more records than the {plan.rows} announced.")


def _regroup(plan: SplitPlan, declared: "Features", per_shard: int, group_rows: int) -> Iterator["pa.Table"]:
    """Cut and join batches to the row groups of shards."""
    import pyarrow as pa

    pending: list[pa.Table] = []
    in_shard = 0
    for batch in plan.batches:
        start = 0
        while start < len(batch):
            group = min(group_rows, per_shard - in_shard)
            stop = min(len(batch), start + group - sum(map(len, pending)))
            pending.append(as_table(batch.part(start, stop), declared))
            start = stop
            if sum(map(len, pending)) == group:
                yield pa.concat_tables(pending).combine_chunks()
                pending = []
                in_shard = (in_shard + group) % per_shard
    if pending:
        yield pa.concat_tables(pending).combine_chunks()
