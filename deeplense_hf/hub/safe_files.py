"""Which files of a folder may be published: nothing that executes when read, nothing secret."""

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

# what releases, exports, data sets and the Space are made of; pickles in any dress are not among it
_TEXTS = frozenset({".cff", ".csv", ".json", ".jsonl", ".md", ".py", ".txt", ".yaml", ".yml"})
_NUMBERS = frozenset({".fits", ".jpeg", ".jpg", ".npy", ".npz", ".parquet", ".png", ".safetensors"})
_ALLOWED_ENDINGS = _TEXTS | _NUMBERS
_ALLOWED_NAMES = frozenset({"LICENSE", "NOTICE"})
# hidden files, trainings in progress, logs, and what editors and desktops leave behind
_NOT_RELEASED = (".*", "checkpoint-*", "__pycache__", "*.tfevents.*", "*~", "#*#", "*.bak", "Thumbs.db", "desktop.ini")
# without word bounds: what stands beside a token does not make it another one
_SECRETS = tuple(
    re.compile(pattern)
    for pattern in (
        rb"hf_[A-Za-z0-9]{30}",
        rb"api_org_[A-Za-z0-9]{30}",
        rb"gh[opsru]_[A-Za-z0-9]{36}",
        rb"github_pat_[A-Za-z0-9_]{22}",
        rb"glpat-[A-Za-z0-9_-]{20}",
        rb"A[KS]IA[A-Z0-9]{16}",
        rb"AIza[A-Za-z0-9_-]{35}",
        rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY",
    )
)
_CHUNK = 1 << 20
# more than the shortest match of every pattern, also where a character takes two or four bytes
_OVERLAP = 1 << 9


def files_to_publish(folder: Path) -> dict[str, Path]:
    """List a folder's files, without hidden ones, checkpoints, logs, caches and what editors leave behind.

    What is left out is neither read nor followed.

    Args:
        folder: A release folder or data set folder.

    Returns:
        Path in the repository -> file, in alphabetical order.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If the folder is empty, or a file is a link or no regular file, is of none of the kinds that
            releases and data sets are made of, is not what its ending says (`.npy`, `.npz` and `.safetensors` are
            looked into), or holds what looks like an access token or a private key (as plain text, UTF-8 or UTF-16;
            not in compressed content).
        OSError: If a file cannot be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder.")
    found = {path.relative_to(folder).as_posix(): path for path in sorted(_visible(folder))}
    if not found:
        raise ValueError(f"{folder} is empty; there is nothing to publish.")
    for path in found.values():
        ending = path.suffix.lower()
        if ending not in _ALLOWED_ENDINGS and path.name not in _ALLOWED_NAMES:
            raise ValueError(
                f"{path} is of a kind that is never published, as it may execute code when it is read or hold secrets; "
                f"keep it elsewhere ({', '.join(sorted(_ALLOWED_ENDINGS))} files are published)."
            )
        if ending in _LOOKS and not _LOOKS[ending](path):
            raise ValueError(f"{path} is no {ending} file of plain numbers, so it may execute code; write it again.")
        if _holds_a_secret(path):
            raise ValueError(
                f"{path} holds what looks like an access token or a private key; remove it there and revoke it."
            )
    return found


def _visible(folder: Path) -> Iterator[Path]:
    """Yield the files at any depth that are not left out.

    A link or pipe is refused before it is followed or opened: it may lead to what is hidden, round in a circle, or
    never end.
    """
    for path in folder.iterdir():
        if any(fnmatch(path.name, pattern) for pattern in _NOT_RELEASED):
            continue
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            yield from _visible(path)
        elif stat.S_ISREG(mode):
            yield path
        else:
            kind = "a link" if stat.S_ISLNK(mode) else "no regular file"
            raise ValueError(f"{path} is {kind}, which is never published; put the file itself there.")


def _is_array_file(path: Path) -> bool:
    """Whether numpy reads it without a pickle."""
    import numpy as np

    try:
        content = np.load(path, mmap_mode="r" if path.suffix.lower() == ".npy" else None, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return path.suffix.lower() == ".npy"
        with content:
            # one at a time; other members than arrays come as bytes
            return all(isinstance(content[name], np.ndarray) for name in content.files)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        return False


def _is_safetensors_file(path: Path) -> bool:
    """Whether its header is one, and its content as long as that says."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):
            return True
    except SafetensorError:
        return False


_LOOKS = {".npy": _is_array_file, ".npz": _is_array_file, ".safetensors": _is_safetensors_file}


def _holds_a_secret(path: Path) -> bool:
    """Search a file of any size."""
    end = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            # without zeros, UTF-16 reads as UTF-8 does
            text = (end + chunk).replace(b"\0", b"")
            if any(pattern.search(text) for pattern in _SECRETS):
                return True
            end = (end + chunk)[-_OVERLAP:]
    return False
