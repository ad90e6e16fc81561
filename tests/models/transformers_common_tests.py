"""Fetches transformers' own tests, of the installed version, into the cache; they are not part of this repository."""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest
import transformers

# what the sdist leaves out and our families do not need
_STUBS = {
    "common/exporters/test_export.py": "class ExportTesterMixin:\n    pass\n",
    "common/generation/test_utils.py": "class GenerationTesterMixin:\n    pass\n",
    "common/utils/test_configuration_utils.py": "config_common_kwargs = {}\n",
    "utils/fetch_hub_objects_for_ci.py": "def url_to_local_path(url):\n    return url\n",
}


def fetch() -> Path:
    """Return the folder that holds transformers' tests as the package `common`; skip the module where it cannot."""
    pytest.importorskip("parameterized")
    cache = Path(os.environ.get("DEEPLENSE_HF_CACHE", Path.home() / ".cache" / "deeplense_hf"))
    folder = cache / "transformers-tests" / transformers.__version__
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            complete = _unpack(_download(Path(scratch)), Path(scratch) / "complete")
            try:
                complete.rename(folder)
            except OSError:  # another process was quicker
                shutil.rmtree(complete)
    return folder


def _download(scratch: Path) -> Path:
    """Download the sdist of the installed transformers with pip."""
    version = transformers.__version__
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    command += ["--no-deps", "--no-binary", "transformers", "--no-build-isolation", f"transformers=={version}"]
    try:
        subprocess.run(command, cwd=scratch, check=True, capture_output=True, text=True, timeout=120)
    except (subprocess.SubprocessError, OSError) as error:
        cause = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
        pytest.skip(f"pip cannot download the sdist of transformers {version}: {cause}", allow_module_level=True)
    return next(scratch.glob("transformers-*.tar.gz"))


def _unpack(sdist: Path, target: Path) -> Path:
    """Take the common tests out of the sdist and put empty classes where it leaves something out."""
    with tarfile.open(sdist) as archive:
        for member in archive:
            parts = Path(member.name).parts[1:]
            source = archive.extractfile(member)
            if len(parts) == 2 and parts[0] == "tests" and parts[1].endswith(".py") and source is not None:
                path = target / "common" / parts[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(source.read())
    for name, text in _STUBS.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for package in [target / "common", *(child for child in (target / "common").iterdir() if child.is_dir())]:
        (package / "__init__.py").touch()
    return target
