"""Batches of records on their way into a data set: images, labels and columns as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .schema import COLUMNS, IMAGE

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features


@dataclass(frozen=True)
class RecordBatch:
    """Some records of a data set.

    Attributes:
        images: Raw images, float32, `(records, bands, height, width)`.
        labels: Classes, -1 where unknown, `(records,)`.
        columns: Values by name of `schema.COLUMNS`, one per record; None, NaN and absent columns are null.
    """

    images: np.ndarray
    labels: np.ndarray
    columns: Mapping[str, Sequence[Any] | np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, start: int, stop: int) -> "RecordBatch":
        """Return successive records.

        Args:
            start: Number of the first.
            stop: Number behind the last.

        Returns:
            The records; images are not copied.
        """
        columns = {name: values[start:stop] for name, values in self.columns.items()}
        return RecordBatch(self.images[start:stop], self.labels[start:stop], columns)


def as_table(batch: RecordBatch, declared: "Features") -> "pa.Table":
    """Turn records into an Arrow table with the declared features.

    The image column is built around the array's own memory: through Python lists it would take a hundred times longer.

    Args:
        batch: Records.
        declared: `schema.features` of the data set.

    Returns:
        A table whose schema carries the features, as `datasets` reads them back.

    Raises:
        ValueError: If a column is not declared.
    """
    import pyarrow as pa

    unknown = sorted(set(batch.columns) - set(COLUMNS))
    if unknown:
        raise ValueError(f"column '{unknown[0]}' is not declared in data/schema.py.")
    schema = declared.arrow_schema
    arrays: list[pa.Array] = [
        _image_array(batch.images, schema.field(IMAGE).type),
        pa.array(np.asarray(batch.labels, dtype=np.int64)),
    ]
    for name in COLUMNS:
        kind = schema.field(name).type
        values = batch.columns.get(name)
        arrays.append(pa.nulls(len(batch), kind) if values is None else _column_array(values, kind))
    return pa.Table.from_arrays(arrays, schema=schema)


def _image_array(images: np.ndarray, kind: Any) -> "pa.Array":
    """Wrap images as nested lists without copying pixel by pixel."""
    import pyarrow as pa

    array = pa.array(np.ascontiguousarray(images, dtype=np.float32).reshape(-1))
    for axis in (3, 2, 1):
        length = images.shape[axis]
        count = len(array) // length
        array = pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32) * length), array)
    return pa.ExtensionArray.from_storage(kind, array)


def _column_array(values: Sequence[Any] | np.ndarray, kind: Any) -> "pa.Array":
    """Build a column; NaN is how an array says null."""
    import pyarrow as pa

    if isinstance(values, np.ndarray) and values.dtype.kind == "f" and not pa.types.is_string(kind):
        missing = np.isnan(values)
        if not pa.types.is_floating(kind):
            values = np.where(missing, 0, values).astype(np.bool_ if pa.types.is_boolean(kind) else np.int64)
        return pa.array(values, mask=missing).cast(kind)
    cleaned = [None if isinstance(value, float | np.floating) and np.isnan(value) else value for value in values]
    if pa.types.is_integer(kind):
        cleaned = [None if value is None else int(value) for value in cleaned]
    elif pa.types.is_floating(kind):
        cleaned = [None if value is None else float(value) for value in cleaned]
    return pa.array(cleaned, type=kind)
