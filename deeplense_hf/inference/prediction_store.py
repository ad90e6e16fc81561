"""A table of predictions that grows in parts, survives a kill, and ends as one file."""

import csv
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from deeplense_hf.data.staging import read_json_object, whole_file, write_atomically

from .spreadsheets import spreadsheet_safe

PATH = "path"
INDEX = "index"
ERROR = "error"
FORMATS = (".parquet", ".csv")

_METADATA_KEY = b"deeplense_hf"
_POSITION_KEY = b"position"


class Position(NamedTuple):
    """Where to go on.

    Attributes:
        unit: Number of the unit of input.
        offset: How many of its images are done.
    """

    unit: int
    offset: int


@dataclass(frozen=True)
class PredictionRow:
    """One row of the table.

    Attributes:
        path: File of the image.
        index: Number of the image in its file.
        answer: The model's answer, a value for each of its columns; None where there is none.
        error: Why there is none.
    """

    path: str
    index: int
    answer: Mapping[str, Any] | None
    error: str | None


def schema(answer_columns: Mapping[str, str]) -> pa.Schema:
    """Return the columns of the table.

    Args:
        answer_columns: Columns of the model's answer and their types, `string` or `float32`.

    Returns:
        `path`, `index`, the answer, `error`.
    """
    return pa.schema(
        [
            (PATH, pa.string()),
            (INDEX, pa.int64()),
            *((name, pa.type_for_alias(kind)) for name, kind in answer_columns.items()),
            (ERROR, pa.string()),
        ]
    )


class PredictionStore:
    """The parts of an unfinished table, beside the file that they become.

    Rows are written in parts, each one atomically and with the position after it, so that a killed run goes
    on exactly after the last complete part. Use it in a `with` block: it locks out a second run.

    Args:
        output: The table to be, `.parquet` or `.csv`.
        identity: Everything that decides the rows; a table of another identity is never continued.
        about: What else a reader of the table may want to know; kept in it, never compared.
        answer_columns: Columns of the model's answer and their types.

    Raises:
        ValueError: If the table is a folder, or its name has another ending.
    """

    def __init__(
        self, output: Path, identity: Mapping[str, Any], about: Mapping[str, Any], answer_columns: Mapping[str, str]
    ) -> None:
        check_output(output)
        self.output = output
        self.folder = output.with_name(output.name + ".parts")
        self.identity, self.about = dict(identity), dict(about)
        self.answer_columns = tuple(answer_columns)
        self.schema = schema(answer_columns)
        self._lock = FileLock(output.with_name(output.name + ".lock"))

    def __enter__(self) -> Self:
        """Lock other runs out, and look at what is there already.

        Returns:
            The store.

        Raises:
            ValueError: If another run is writing the table, an unfinished or finished one of another identity is in the
                way, or a file that predict did not write lies where the table or what tells its identity is to be.
            OSError: If the disk refuses.
        """
        self.output.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(f"another run is writing {self.output}; wait for it or choose another --output.") from None
        try:
            self._check_identity()
        except (ValueError, OSError):
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        """Let other runs write; the lock's file goes while it is still held."""
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    @property
    def finished(self) -> bool:
        """Whether the table is complete."""
        return self.output.exists()

    @property
    def position(self) -> Position:
        """Where to go on: after the last complete part."""
        parts = self._parts()
        if not parts:
            return Position(0, 0)
        unit, offset = json.loads(pq.read_schema(parts[-1]).metadata[_POSITION_KEY])
        return Position(unit, offset)

    def append(self, rows: Sequence[PredictionRow], position: Position) -> None:
        """Write rows as the next part.

        Args:
            rows: The rows since the last part.
            position: Where to go on after them.

        Raises:
            OSError: If the disk refuses; earlier parts stay.
        """
        columns: dict[str, list[Any]] = {name: [] for name in self.schema.names}
        for row in rows:
            columns[PATH].append(row.path)
            columns[INDEX].append(row.index)
            columns[ERROR].append(row.error)
            for name in self.answer_columns:
                columns[name].append(None if row.answer is None else row.answer[name])
        part_schema = self.schema.with_metadata({_POSITION_KEY: json.dumps(position)})
        buffer = pa.BufferOutputStream()
        pq.write_table(pa.table(columns, schema=part_schema), buffer)
        write_atomically(self.folder / f"part-{len(self._parts()):06d}.parquet", buffer.getvalue().to_pybytes())

    def failures(self) -> tuple[int, int, str | None]:
        """Count the rows without a prediction.

        Returns:
            Number of rows, number of rows with an error, the first error.
        """
        rows, failed, first = 0, 0, None
        for table in self._tables(columns=[ERROR]):
            errors = table.column(ERROR)
            rows += len(errors)
            failed += len(errors) - errors.null_count
            if first is None and errors.null_count < len(errors):
                first = errors.drop_null()[0].as_py()
        return rows, failed, first

    def finish(self) -> None:
        """Join the parts into the table, atomically and in constant memory, and remove them.

        Raises:
            OSError: If the disk refuses; the parts stay and the next run finishes.
        """
        # among the parts, which go: a killed run leaves nothing beside the table
        with whole_file(self.output, self.folder) as temporary:
            if self.output.suffix == ".csv":
                write_atomically(_companion(self.output), self._identity_json())
                self._write_csv(temporary)
            else:
                self._write_parquet(temporary)
        self.discard()

    def discard(self) -> None:
        """Remove the parts."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _write_parquet(self, path: Path) -> None:
        final_schema = self.schema.with_metadata({_METADATA_KEY: self._identity_json()})
        with pq.ParquetWriter(path, final_schema) as writer:
            for table in self._tables():
                writer.write_table(table.replace_schema_metadata(final_schema.metadata))

    def _write_csv(self, path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(map(_cell, self.schema.names))
            for table in self._tables():
                columns = (map(_cell, column.to_pylist()) for column in table.columns)
                writer.writerows(zip(*columns, strict=True))

    def _tables(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        for part in self._parts():
            yield pq.read_table(part, columns=columns)

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))

    def _identity_json(self) -> bytes:
        return json.dumps({**self.about, **self.identity}, indent=2).encode()

    def _check_identity(self) -> None:
        """Refuse to continue or replace a table that other options made; note the identity of a new one."""
        if self.output.exists():
            self._refuse_unless_equal(_finished_identity(self.output), "is there already", "delete it")
            # a kill may have come between the last two steps of `finish`
            self.discard()
            return
        companion = _companion(self.output)
        # that of a table which was deleted is of no more use
        ours = set(read_json_object(companion)) >= set(self.identity)
        if self.output.suffix == ".csv" and companion.exists() and not ours:
            raise ValueError(
                f"{companion}, where predict notes what made {self.output.name}, is there already and was not written "
                "by predict; choose another --output or move it away."
            )
        note = self.folder / "run.json"
        if note.is_file():
            self._refuse_unless_equal(read_json_object(note), "was begun", f"delete {self.folder}")
            return
        write_atomically(note, self._identity_json())

    def _refuse_unless_equal(self, found: Mapping[str, Any], state: str, remedy: str) -> None:
        if not found:
            raise ValueError(
                f"{self.output} {state} and was not written by predict; choose another --output or {remedy}."
            )
        different = [key for key, value in self.identity.items() if found.get(key) != value]
        if different:
            raise ValueError(
                f"{self.output} {state} with a different choice of {', '.join(different)}; choose another "
                f"--output or {remedy}."
            )


def _cell(value: Any) -> Any:
    """Return what a CSV table holds for a value: names of files and classes must not become formulas."""
    return spreadsheet_safe(value) if isinstance(value, str) else value


def check_output(output: Path) -> None:
    """Check the name of the table.

    Args:
        output: The table to be.

    Raises:
        ValueError: If it is a folder, or its name ends neither in `.parquet` nor in `.csv`.
    """
    if output.is_dir():
        raise ValueError(f"{output} is a folder; give a file name that ends in .parquet or .csv as --output.")
    if output.suffix not in FORMATS:
        raise ValueError(f"{output} does not end in .parquet or .csv, the two formats that --output can have.")


def _companion(output: Path) -> Path:
    """Return the file that tells what made a CSV table, which has no room for it."""
    return output.with_name(output.name + ".json")


def _finished_identity(output: Path) -> dict[str, Any]:
    """Return the identity of a finished table, nothing if predict did not write it."""
    if output.suffix == ".csv":
        return read_json_object(_companion(output))
    try:
        metadata = pq.read_schema(output).metadata or {}
    except pa.ArrowInvalid:
        return {}
    identity: dict[str, Any] = json.loads(metadata.get(_METADATA_KEY, b"{}"))
    return identity
