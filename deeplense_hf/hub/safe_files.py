"""Which files of a folder may be published: nothing that executes when read, nothing secret."""

import stat
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from .found_secrets import holds_a_secret, without_secrets
from .true_kinds import TEXTS, is_what_it_says

# what releases, exports, data sets and the Space are made of; pickles in any dress are not among it
_NUMBERS = frozenset({".fits", ".jpeg", ".jpg", ".npy", ".npz", ".parquet", ".png", ".safetensors"})
_ALLOWED_ENDINGS = TEXTS | _NUMBERS
_ALLOWED_NAMES = frozenset({"LICENSE", "NOTICE"})
# hidden files, trainings in progress, logs, and what editors and desktops leave behind
_NOT_RELEASED = (".*", "checkpoint-*", "__pycache__", "*.tfevents.*", "*~", "#*#", "*.bak", "Thumbs.db", "desktop.ini")


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
            releases and data sets are made of, is not what its ending says, or holds what looks like an access token,
            a password or a private key, be it in its name (see `true_kinds` and `found_secrets`).
        OSError: If a file cannot be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder.")
    found = {path.relative_to(folder).as_posix(): path for path in sorted(_visible(folder))}
    if not found:
        raise ValueError(f"{folder} is empty; there is nothing to publish.")
    for name, path in found.items():
        _check(name, path)
    return found


def _check(name: str, path: Path) -> None:
    """Refuse a file; `name` is its path in the repository."""
    if without_secrets(name) != name:
        raise ValueError(
            f"the name of the file '{without_secrets(name)}' holds what looks like an access token; rename it and "
            "revoke the token."
        )
    ending = path.suffix.lower()
    if ending not in _ALLOWED_ENDINGS and path.name not in _ALLOWED_NAMES:
        raise ValueError(
            f"{path} is of a kind that is never published, as it may execute code when it is read or hold secrets; "
            f"keep it elsewhere ({', '.join(sorted(_ALLOWED_ENDINGS))} files are published)."
        )
    is_text = ending not in _NUMBERS
    if holds_a_secret(path, is_text):
        raise ValueError(
            f"{path} holds what looks like an access token, a password or a private key; remove it there and revoke it."
        )
    if not is_what_it_says(path):
        kind = "plain text in UTF-8" if is_text else f"{ending} file of plain numbers"
        raise ValueError(f"{path} is no {kind}, so it may execute code; write it again.")


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
