"""A local Hub and clients of it, each in a process of its own: the address is read when the client is imported."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_SPEC = importlib.util.spec_from_file_location("local_hub", Path(__file__).with_name("local_hub.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
sys.modules["local_hub"] = _MODULE
_SPEC.loader.exec_module(_MODULE)


@pytest.fixture
def hub() -> Iterator[Any]:
    """A Hub without repositories, where ml4sci is writable."""
    server = _MODULE.LocalHub()
    yield server
    server.close()


# before the code of a process that is to do without this package
HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "deeplense_hf":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
sys.meta_path.insert(0, Hidden())
"""
Client = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def client(hub: Any, tmp_path: Path) -> Client:
    """Return a function that runs Python words against the Hub in a fresh process."""

    def run(
        *words: str, token: str | None = "hf_writer", home: str = "home", without_package: bool = False
    ) -> subprocess.CompletedProcess[str]:
        if without_package:
            flag, code, *arguments = words
            words = (flag, HIDE + code, *arguments)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment |= {
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(tmp_path / home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "OMP_NUM_THREADS": "1",
        }
        if token:
            environment["HF_TOKEN"] = token
        return subprocess.run(
            [sys.executable, *words], env=environment, capture_output=True, text=True, timeout=240, check=False
        )

    return run
