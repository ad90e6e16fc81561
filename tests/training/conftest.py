"""A small data set and options of quick runs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

QUICK = [
    "--dataset", "test", "--images_per_class", "40", "--model", "deeplense-swin-test", "--cpu_threads", "1",
    "--per_device_train_batch_size", "16", "--use_cpu",
]  # fmt: skip


@pytest.fixture(scope="session")
def quick() -> list[str]:
    """Options of a run of seconds."""
    return list(QUICK)


@pytest.fixture(scope="session")
def lens_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that all runs of the session share."""
    return tmp_path_factory.mktemp("lens_cache")


@pytest.fixture(scope="session")
def environment(lens_cache: Path) -> dict[str, str]:
    """Environment of a run in a process of its own."""
    return os.environ | {
        "DEEPLENSE_HF_CACHE": str(lens_cache),
        "HF_HOME": str(lens_cache / "huggingface"),
        "HF_DATASETS_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def train_process(
    environment: dict[str, str], repository_root: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run scripts/train.py on a small data set in a process of its own."""

    def run(*options: str, launcher: tuple[str, ...] = (sys.executable,)) -> subprocess.CompletedProcess[str]:
        command = [*launcher, str(repository_root / "scripts" / "train.py"), *QUICK, *options]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)

    return run
