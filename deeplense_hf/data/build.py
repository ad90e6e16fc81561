"""Write a data set folder: sharded parquet and a card, complete or not at all."""

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .records import RecordBatch, as_table

if TYPE_CHECKING:
    from datasets import Features

PROVENANCE_FILE = "provenance.json"
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
    batches: Iterator[RecordBatch]


def is_dataset_folder(folder: Path) -> bool:
    """Whether a folder is a finished data set of `write_dataset`, or one of the same layout from the Hub.

    Args:
        folder: Any path.

    Returns:
        True if it holds a card and parquet files.
    """
    return (folder / "README.md").is_file() and any(folder.glob("**/*.parquet"))


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
        ValueError: If something else is in the way.
    """
    if not output_dir.exists():
        return False
    if not output_dir.is_dir():
        raise ValueError(f"{output_dir} is a file; give a folder as --output_dir.")
    if not any(output_dir.iterdir()):
        return False
    if read_provenance(output_dir).get("fingerprint") == fingerprint:
        return True
    raise ValueError(f"{output_dir} is not empty and holds something else; give another --output_dir or remove it.")


def write_dataset(
    output_dir: Path,
    declared: "Features",
    splits: Mapping[str, SplitPlan],
    provenance: Mapping[str, Any],
    card: str,
    extra_files: Mapping[str, str] | None = None,
) -> None:
    """Write a data set folder that `load_dataset(output_dir)` reads, also streaming.

    Everything is written into a hidden sibling that is renamed at the end, so a kill or a full disk leaves no half data
    set. Memory is bounded by a row group of a shard.

    Args:
        output_dir: The folder; must not exist or be empty.
        declared: `schema.features` of the data set.
        splits: The splits in their order.
        provenance: How it was made; needs a `fingerprint`.
        card: Text of README.md.
        extra_files: Further texts by file name.

    Raises:
        OSError: If the disk refuses.
        ValueError: If a split yields another number of records than announced.
    """
    with _staging(output_dir) as folder:
        for name, plan in splits.items():
            _write_split(folder / "data", name, plan, declared)
        texts = {
            **(extra_files or {}),
            "README.md": card,
            PROVENANCE_FILE: json.dumps(dict(provenance), indent=2, sort_keys=True) + "\n",
        }
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")


def _write_split(folder: Path, name: str, plan: SplitPlan, declared: "Features") -> None:
    """Write the shards of one split."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    shape = declared["image"].shape
    image_bytes = 4 * math.prod(shape)
    group_rows = max(1, _ROW_GROUP_BYTES // image_bytes)
    shards = max(1, math.ceil(plan.rows * image_bytes / _SHARD_BYTES))
    per_shard = math.ceil(plan.rows / shards) if plan.rows else 0
    tables = (as_table(batch, declared) for batch in plan.batches)
    pending: list[pa.Table] = []
    written = 0
    for shard in range(shards):
        wanted = min(per_shard, plan.rows - shard * per_shard)
        path = folder / f"{name}-{shard:05d}-of-{shards:05d}.parquet"
        with pq.ParquetWriter(path, declared.arrow_schema, compression="zstd") as writer:
            while wanted > 0:
                table = pending.pop() if pending else next(tables, None)
                if table is None:
                    raise ValueError(f"split '{name}' was announced with {plan.rows} records but has {written}.")
                if len(table) > wanted:
                    pending.append(table.slice(wanted))
                    table = table.slice(0, wanted)
                writer.write_table(table, row_group_size=group_rows)
                wanted -= len(table)
                written += len(table)
    if pending or next(tables, None) is not None:
        raise ValueError(f"split '{name}' has more records than the {plan.rows} announced.")


@contextmanager
def _staging(output_dir: Path) -> Iterator[Path]:
    """Give a hidden sibling of a folder and, if all goes well, rename it to the folder."""
    output_dir = output_dir.absolute()
    output_dir.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(output_dir)
    staging = _staging_path(output_dir, os.getpid())
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
        if output_dir.is_dir() and not any(output_dir.iterdir()):
            output_dir.rmdir()
        staging.rename(output_dir)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _staging_path(output_dir: Path, process: int) -> Path:
    return output_dir.with_name(f".{output_dir.name}.partial-{process}")


def _remove_abandoned(output_dir: Path) -> None:
    """Remove what killed builds of the same folder left behind."""
    for path in output_dir.parent.glob(f".{output_dir.name}.partial-*"):
        process = path.name.rpartition("-")[2]
        if process.isdigit() and not _is_running(int(process)):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    """Whether a process of this machine exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
