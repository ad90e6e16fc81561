"""Which files of a folder may be published: nothing that executes when read, nothing secret."""

import re
from collections.abc import Iterator
from pathlib import Path

# formats that run code when they are read; a release has safetensors instead
_EXECUTABLE_FORMATS = frozenset(
    {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".h5", ".keras", ".msgpack"}
)
_TOKEN = re.compile(rb"\bhf_[A-Za-z0-9]{30,}\b|\bapi_org_[A-Za-z0-9]{30,}\b")
_NOT_RELEASED = ("checkpoint-*", "__pycache__")
_LARGEST_TEXT = 50 * 1024 * 1024


def files_to_publish(folder: Path) -> dict[str, Path]:
    """List a folder's files, without hidden ones, checkpoints and caches.

    Args:
        folder: A release folder or data set folder.

    Returns:
        Path in the repository -> file, in alphabetical order.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If a file is of a format that can execute code, is a link that leads out of the folder, or holds
            what looks like a token.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder.")
    found = {}
    for path in sorted(_visible(folder)):
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() in _EXECUTABLE_FORMATS:
            raise ValueError(f"{path} can execute code when it is read and is never published; remove it.")
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{path} is a link that leads out of the folder; put the file itself there.")
        if path.stat().st_size <= _LARGEST_TEXT and _TOKEN.search(path.read_bytes()):
            raise ValueError(f"{path} holds what looks like a token of the Hub; remove it and revoke the token.")
        found[name] = path
    if not found:
        raise ValueError(f"{folder} is empty; there is nothing to publish.")
    return found


def _visible(folder: Path) -> Iterator[Path]:
    """Yield the files at any depth that are neither hidden nor of a training in progress."""
    for path in folder.iterdir():
        if path.name.startswith(".") or any(path.match(pattern) for pattern in _NOT_RELEASED):
            continue
        if path.is_dir():
            yield from _visible(path)
        else:
            yield path
