"""Unpack archives of original files without letting them write anywhere else, or fill the disk."""

import lzma
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

ARCHIVE_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_MAX_EXPANSION = 200
_ALWAYS_ALLOWED = 2**30
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)
# a member that is a file here and a folder there
_CONTRADICTIONS = (FileExistsError, NotADirectoryError, IsADirectoryError)


def is_archive(path: Path) -> bool:
    """Whether a file has the ending of an archive.

    Args:
        path: The file.

    Returns:
        True for zip and tar files.
    """
    return path.name.lower().endswith(ARCHIVE_ENDINGS)


def archive_stem(path: Path) -> str:
    """Return the name of an archive without its ending.

    Args:
        path: The archive.

    Returns:
        For example `Model_I_test` for `Model_I_test.tar.gz`.
    """
    name = path.name
    for ending in sorted(ARCHIVE_ENDINGS, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return path.stem


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the regular files of an archive below a folder.

    Refused are links, devices, names that lead outside the folder, and archives that grow beyond 200 times their size
    (and 1 GiB) or the free disk; a refused archive may leave files in the folder.

    Args:
        archive: A zip or tar file.
        folder: An existing folder.

    Raises:
        ValueError: If the archive is damaged or unsafe.
        OSError: If the disk refuses.
    """
    try:
        if archive.name.lower().endswith(".zip"):
            _unpack_zip(archive, folder)
        else:
            _unpack_tar(archive, folder)
    except OSError as error:
        of_the_disk = error.errno is not None and not isinstance(error, _CONTRADICTIONS)
        if of_the_disk:
            raise
        raise _damaged(archive, error) from None
    except _DAMAGED as error:
        raise _damaged(archive, error) from None


def _damaged(archive: Path, error: BaseException) -> ValueError:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return ValueError(f"{archive.name} is damaged or unsafe ({reason}); nothing was imported.")


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        _check_room(archive, sum(member.file_size for member in content.infolist()), folder)
        for member in content.infolist():
            _check_name(archive, member.filename)
            content.extract(member, folder)


def _unpack_tar(archive: Path, folder: Path) -> None:
    room = shutil.disk_usage(folder).free
    size = 0
    with tarfile.open(archive) as content:
        for member in content:
            if not (member.isfile() or member.isdir()):
                raise ValueError(f"{archive.name} is unsafe: '{member.name}' is neither a file nor a folder.")
            _check_name(archive, member.name)
            size += member.size
            _check_room(archive, size, folder, room)
            content.extract(member, folder, filter="data")


def _check_name(archive: Path, name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{archive.name} is unsafe: '{name}' leads outside its folder.")


def _check_room(archive: Path, size: int, folder: Path, room: int | None = None) -> None:
    room = shutil.disk_usage(folder).free if room is None else room
    if size > room:
        raise ValueError(
            f"{archive.name} unpacks to {size} bytes or more, but the disk of the output has room for {room}."
        )
    if size > max(_ALWAYS_ALLOWED, _MAX_EXPANSION * archive.stat().st_size):
        raise ValueError(
            f"{archive.name} is refused: it unpacks to {size} bytes or more, over {_MAX_EXPANSION} times its size."
        )
