"""Fixtures shared by all tests; every test is offline and deterministic."""

import os
from pathlib import Path

# Read at import by the libraries, hence before any of them is imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest


@pytest.fixture(scope="session")
def repository_root() -> Path:
    """The folder that holds pyproject.toml."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data(repository_root: Path) -> Path:
    """The workplace's folder of real and original-format images; tests that need it are skipped without it."""
    folder = Path(os.environ.get("DEEPLENSE_SHARED_DATA", repository_root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist (set DEEPLENSE_SHARED_DATA to run on the workplace's images)")
    return folder
