"""Folders that are there complete or not at all."""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_MARK = ".partial-"


@contextmanager
def temporary_sibling(folder: Path) -> Iterator[Path]:
    """Give a hidden folder on the same disk as another, and remove it afterwards.

    Whoever uses it holds a lock, which ends with the process however that ends. What killed processes left behind is
    therefore told from what another one is working on, and removed here.

    Args:
        folder: The other folder; need not exist.

    Yields:
        An empty folder beside it.

    Raises:
        OSError: If the disk refuses.
    """
    from filelock import FileLock

    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    temporary = folder.with_name(f".{folder.name}{_MARK}{secrets.token_hex(4)}")
    lock = _lock_of(temporary)
    with FileLock(lock):
        try:
            temporary.mkdir()
            yield temporary
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            # some libraries do not say which disk
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}; {folder} is not written") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            lock.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary siblings of a folder that no process uses any more.

    Args:
        folder: The folder.
    """
    from filelock import FileLock, Timeout

    for lock in folder.parent.glob(f".{folder.name}{_MARK}*.lock"):
        try:
            with FileLock(lock, timeout=0):
                shutil.rmtree(lock.with_name(lock.name.removesuffix(".lock")), ignore_errors=True)
                lock.unlink(missing_ok=True)
        except Timeout:
            # another process is at work
            continue


def move_into_place(finished: Path, folder: Path, is_same: Callable[[Path], bool]) -> None:
    """Rename a finished folder to its name.

    Args:
        finished: The folder, on the same disk.
        folder: Its name; must not exist or be empty.
        is_same: Whether what meanwhile came to lie there, from another process, is as good.

    Raises:
        OSError: If something else lies there or the disk refuses.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        # Windows does not rename onto an empty folder
        folder.rmdir()
    try:
        finished.rename(folder)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY) or not is_same(folder):
            raise


def _lock_of(temporary: Path) -> Path:
    return temporary.with_name(f"{temporary.name}.lock")
