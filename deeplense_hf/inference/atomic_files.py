"""Files that exist completely or not at all."""

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a kill or a full disk leaves the old file or none, never a part.

    Args:
        path: The file; its folder is created.
        content: All of it.

    Raises:
        OSError: If the disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_path(path: Path) -> Path:
    """Return the hidden neighbour in which a file is prepared; on the same disk, so that renaming is atomic.

    Args:
        path: The file to be.

    Returns:
        Its temporary name, the same for every attempt, so that a killed one leaves at most one behind.
    """
    return path.with_name(f".{path.name}.tmp")
