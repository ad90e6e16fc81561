"""Files and folders that are there complete or not at all."""

import errno
import glob
import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_MARK = ".partial-"
_UNFINISHED = ".unfinished"


@contextmanager
def whole_file(path: Path, folder: Path | None = None) -> Iterator[Path]:
    """Give a file to write, which takes its name once it is complete and on the disk; a failure leaves what was there.

    Every writer has a file of its own, so that of two writers at once neither names what the other has half written.

    Args:
        path: The file to be; its folder is created.
        folder: Where to write it, on the same disk; beside it, hidden, when absent.

    Yields:
        Path of the file to write.

    Raises:
        OSError: If the disk refuses.
    """
    folder = folder or path.parent
    for place in (folder, path.parent):
        place.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{path.name}.{secrets.token_hex(4)}"
    try:
        yield temporary
        # open for writing too, without which Windows does not synchronise
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a kill or a full disk leaves the old file or none, never a part.

    Args:
        path: The file; its folder is created.
        content: All of it.

    Raises:
        OSError: If the disk refuses.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


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


def check_replaceable(folder: Path, marker: str, what: str, overwrite: bool, remedy: str) -> None:
    """Refuse to write where something else would be lost.

    Args:
        folder: The folder that is to be written.
        marker: File that tells a folder of the own kind.
        what: The kind, with its article.
        overwrite: Whether one of the own kind may be replaced.
        remedy: The option that names another place.

    Raises:
        ValueError: If the folder holds something else, or one of the own kind that must stay.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / marker).is_file():
        raise ValueError(f"{folder} holds something that is no {what.partition(' ')[2]}; give another {remedy}.")
    if not overwrite:
        raise ValueError(f"{folder} holds {what} already; give another {remedy} or --overwrite.")


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, which takes the place of another once it is full; a failure leaves the other as it was.

    Args:
        folder: The other folder; need not exist. All that lies in it goes, so ask first.

    Yields:
        An empty folder beside it.

    Raises:
        OSError: If the disk refuses.
    """
    with temporary_sibling(folder) as temporary:
        finished = temporary / "new"
        finished.mkdir()
        yield finished
        if folder.exists():
            folder.rename(temporary / "earlier")
        finished.rename(folder)


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary siblings of a folder that no process uses any more.

    Args:
        folder: The folder.
    """
    from filelock import FileLock, Timeout

    for lock in folder.parent.glob(f".{glob.escape(folder.name)}{_MARK}*.lock"):
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


class Staging:
    """A hidden folder beside another, which several processes, also one after another, fill part by part.

    A part is a file that is there complete, with a record of its size and hash, or not at all; so what a killed process
    leaves behind is gone on with. Nothing depends on the locks but that work is not done twice: parts are the same
    whoever writes them, and both a part and the whole come into being by a rename.

    Args:
        folder: The other folder.
    """

    def __init__(self, folder: Path) -> None:
        self.target = folder.absolute()
        self.root = self.target.with_name(f".{self.target.name}{_UNFINISHED}")
        self.folder = self.root / "dataset"
        self._records = self.root / "records"
        self._scratch = self.root / "scratch"
        self._identity = self.root / "identity.json"
        self._own_turn: Path | None = None

    def open(self, identity: Mapping[str, Any]) -> None:
        """Make the folder, or go on with it; call it while holding `turn`, lest another process discards it.

        Args:
            identity: What decides the content, as JSON has it.

        Raises:
            ValueError: If it holds finished parts of something else.
            OSError: If the disk refuses.
        """
        with self.lock():
            found = read_json_object(self._identity)
            if found != identity and self.root.exists():
                if found and (self._is_begun() or self._is_used()):
                    raise ValueError(
                        f"{self.root} holds an unfinished data set {_difference(found, identity)}; go on with that "
                        "one, give another --output_dir or remove that folder."
                    )
                shutil.rmtree(self.root)
            for folder in (self.folder, self._records, self._scratch):
                folder.mkdir(parents=True, exist_ok=True)
            if found != identity:
                write_atomically(self._identity, json.dumps(identity).encode())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Exclude other processes while the folder is opened or renamed."""
        from filelock import FileLock

        self.target.parent.mkdir(parents=True, exist_ok=True)
        path = self._lock("")
        with FileLock(path):
            try:
                yield
            finally:
                if not self.root.exists():
                    path.unlink(missing_ok=True)

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """Exclude other processes that would do the same share of the work, by waiting for them.

        Args:
            name: Name of the share.

        Yields:
            Nothing.
        """
        from filelock import FileLock, Timeout

        self.target.parent.mkdir(parents=True, exist_ok=True)
        path = self._lock(f"-{name}")
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"waiting for another process that writes {self.target}", file=sys.stderr)
            lock.acquire()
        self._own_turn = path
        # half-written parts of processes that were killed, then or now
        half_written = self._scratch / name
        try:
            shutil.rmtree(half_written, ignore_errors=True)
            yield
        finally:
            shutil.rmtree(half_written, ignore_errors=True)
            self._own_turn = None
            path.unlink(missing_ok=True)
            lock.release()

    def size_of(self, part: str) -> int | None:
        """Return the size of a part, None if it is not finished.

        Args:
            part: Path of the file below `folder`.

        Returns:
            Size [bytes].
        """
        size = read_json_object(self._record(part)).get("bytes")
        path = self.folder / part
        return size if isinstance(size, int) and path.is_file() and path.stat().st_size == size else None

    def hash_of(self, part: str) -> str:
        """Return the hash of a finished part.

        Args:
            part: Path of the file below `folder`.

        Returns:
            Hexadecimal digits of its BLAKE2b hash.
        """
        return str(read_json_object(self._record(part)).get("blake2b", ""))

    def is_intact(self, part: str) -> bool:
        """Whether a part is finished and holds what was written; reads all of it.

        Args:
            part: Path of the file below `folder`.

        Returns:
            False if it is to be written again.
        """
        return self.size_of(part) is not None and _hash(self.folder / part) == self.hash_of(part)

    @contextmanager
    def writing(self, part: str, share: str) -> Iterator[Path]:
        """Write a part.

        Args:
            part: Path of the file below `folder`.
            share: Name of the share of the work that it belongs to.

        Yields:
            Path of a file to write; it becomes the part if nothing goes wrong.

        Raises:
            OSError: If the disk refuses.
        """
        with whole_file(self.folder / part, self._scratch / share) as temporary:
            yield temporary
            record = {"bytes": temporary.stat().st_size, "blake2b": _hash(temporary)}
        write_atomically(self._record(part), json.dumps(record).encode())

    def publish(self, is_same: Callable[[Path], bool]) -> None:
        """Give the finished folder its name; call it while holding `lock`.

        Args:
            is_same: Whether what meanwhile came to lie there, from another process, is as good.

        Raises:
            OSError: If something else lies there or the disk refuses.
        """
        move_into_place(self.folder, self.target, is_same)
        self._remove()

    def discard(self, finished_parts_too: bool) -> None:
        """Remove what is left, unless a process uses it.

        Args:
            finished_parts_too: Whether also if there are finished parts, because the folder lies in its place.
        """
        if self.root.exists() or self._locks("*"):
            with self.lock():
                if (finished_parts_too or not self._is_begun()) and not self._is_used():
                    self._remove()

    def _remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        for lock in self._locks("*"):
            lock.unlink(missing_ok=True)

    def _is_begun(self) -> bool:
        """Whether there is a finished part."""
        return any(self._records.glob("*.json"))

    def _is_used(self) -> bool:
        """Whether another process holds a share of the work."""
        from filelock import FileLock, Timeout

        for lock in self._locks("-*"):
            if lock == self._own_turn:
                continue
            try:
                with FileLock(lock, timeout=0):
                    lock.unlink(missing_ok=True)
            except Timeout:
                return True
        return False

    def _lock(self, suffix: str) -> Path:
        # beside the folder, which is removed while locks are held
        return self.root.with_name(f"{self.root.name}{suffix}.lock")

    def _locks(self, pattern: str) -> list[Path]:
        return list(self.root.parent.glob(f"{glob.escape(self.root.name)}{pattern}.lock"))

    def _record(self, part: str) -> Path:
        return self._records / f"{Path(part).name}.json"


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Say how two identities differ."""
    names = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name) and name != "code"]
    if not names:
        return "of another version of the code"
    return "with " + " and ".join(f"{name}={found.get(name)} instead of {wanted.get(name)}" for name in names)


def read_json_object(path: Path) -> dict[str, Any]:
    """Read an object from a JSON file.

    Args:
        path: The file.

    Returns:
        The object; an empty one if there is no such file or it holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _lock_of(temporary: Path) -> Path:
    return temporary.with_name(f"{temporary.name}.lock")
