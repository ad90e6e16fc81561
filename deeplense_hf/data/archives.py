"""Unpack archives of original files without letting them write anywhere else."""

import shutil
import tarfile
import zipfile
from pathlib import Path

ARCHIVE_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


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

    Links, devices and names that lead outside the folder are refused; so is an archive larger than the free disk.

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
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError) as error:
        raise ValueError(f"{archive.name} is damaged or unsafe: {' '.join(str(error).split())}.") from None


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        _check_room(archive, sum(member.file_size for member in content.infolist()), folder)
        for member in content.infolist():
            target = (folder / member.filename).resolve()
            if not target.is_relative_to(folder.resolve()):
                raise ValueError(f"{archive.name} is unsafe: '{member.filename}' leads outside its folder.")
            content.extract(member, folder)


def _unpack_tar(archive: Path, folder: Path) -> None:
    try:
        content = tarfile.open(archive)  # noqa: SIM115 - closed below
    except OSError as error:
        raise ValueError(f"{archive.name} is damaged or unsafe: {error}.") from None
    with content:
        size = 0
        for member in content:
            if not (member.isfile() or member.isdir()):
                raise ValueError(f"{archive.name} is unsafe: '{member.name}' is neither a file nor a folder.")
            size += member.size
            _check_room(archive, size, folder)
        content.extractall(folder, filter="data")


def _check_room(archive: Path, size: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ValueError(f"{archive.name} unpacks to {size} bytes, but {folder} has room for {free}.")
