"""The command `app`: serve the page."""

import hashlib
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gradio

_FOLDER_VARIABLE = "GRADIO_TEMP_DIR"


@dataclass
class AppOptions:
    """Options of the command `app`."""

    models: list[str] = field(
        default_factory=list,
        metadata={"help": "folders or Hub ids of models to choose from; all under model_cards when absent"},
    )
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:1, mps"})
    host: str = field(default="127.0.0.1", metadata={"help": "address to listen on; 0.0.0.0 for other machines"})
    port: int = field(default=7860, metadata={"help": "port"})

    def __post_init__(self) -> None:
        """Check the port.

        Raises:
            ValueError: If it is none.
        """
        if not 0 < self.port < 65536:
            raise ValueError(f"port={self.port} is not between 1 and 65535.")


def run_app(options: AppOptions) -> None:
    """Serve the page until interrupted.

    Args:
        options: Models and address.

    Raises:
        ImportError: If Gradio is missing.
        ValueError: If there is no model, or one is none of ours.
        OSError: If a model cannot be loaded, or the port is taken.
    """
    serve(options.models or released_models(Path("model_cards")), options.device, options.host, options.port)


def serve(places: Sequence[str], device: str = "auto", host: str | None = None, port: int | None = None) -> None:
    """Make the page and serve it until interrupted; what is sent to it is stored in a bounded folder of its own.

    Args:
        places: Folders or Hub ids of models.
        device: See `Predictor`.
        host: Address to listen on; Gradio's own choice when absent, which on a Space is the right one.
        port: Port, likewise.

    Raises:
        ImportError: If Gradio is missing.
        ValueError: If there is no model, or one is none of ours.
        OSError: If a model cannot be loaded, or the port is taken.
    """
    with _own_folder() as folder:
        page = build_page(places, device)
        address = _launch(page, folder, host, port)
        print(f"The page is at {address} until it is interrupted.", flush=True)
        page.block_thread()


@contextmanager
def _own_folder() -> Iterator[Path]:
    """Make the folder that Gradio stores files in, and delete it when the page ends, also when a service ends it."""
    above = os.environ.get(_FOLDER_VARIABLE)
    if above is not None:
        Path(above).mkdir(parents=True, exist_ok=True)
    ends = signal.signal(signal.SIGTERM, signal.default_int_handler)
    with TemporaryDirectory(prefix="deeplense-page-", dir=above, ignore_cleanup_errors=True) as folder:
        # Gradio reads it while the page is made and when it is launched
        os.environ[_FOLDER_VARIABLE] = folder
        try:
            yield Path(folder).resolve()
        finally:
            signal.signal(signal.SIGTERM, ends)
            if above is None:
                del os.environ[_FOLDER_VARIABLE]
            else:
                os.environ[_FOLDER_VARIABLE] = above


def _launch(page: "gradio.Blocks", folder: Path, host: str | None, port: int | None) -> str:
    """Start to serve the page, in threads, and return its address.

    Raises:
        OSError: If the port is taken.
    """
    from starlette.middleware import Middleware

    from .request_bodies import RequestBodies
    from .storage_bound import StorageBound
    from .uploads import LARGEST_FILE

    try:
        _, address, _ = page.queue(default_concurrency_limit=2, max_size=32).launch(
            server_name=host,
            server_port=port,
            max_file_size=LARGEST_FILE,
            show_error=True,
            # it speaks of options of its own that no command here has
            quiet=True,
            prevent_thread_lock=True,
            # with it, uploads may go to processes that know no bound
            ssr_mode=False,
            app_kwargs={"middleware": [Middleware(StorageBound, folder=folder), Middleware(RequestBodies)]},
        )
    except OSError:
        raise OSError(f"port {port} of {host} cannot be listened on; choose another --port or --host.") from None
    return str(address)


def released_models(folder: Path) -> list[str]:
    """List the release folders.

    Args:
        folder: Folder of release folders.

    Returns:
        Their paths.
    """
    return [str(path.parent) for path in sorted(folder.glob("*/release.json"))]


def build_page(places: Sequence[str], device: str = "auto") -> "gradio.Blocks":
    """Load the models and make the page.

    Args:
        places: Folders or Hub ids of models.
        device: See `Predictor`.

    Returns:
        The page, to be launched.

    Raises:
        ImportError: If Gradio is missing.
        ValueError: If there is no model, or one is none of ours.
        OSError: If a model cannot be loaded.
    """
    try:
        import gradio  # noqa: F401 - whether it is there
    except ImportError:
        raise ImportError("the page needs Gradio. Install it with: pip install 'deeplense-hf[demo]'") from None
    if not places:
        raise ValueError("there is no model to show; give --models FOLDER, for example outputs/main_job.")

    from .answers import Models, names_of
    from .page import make_page

    return make_page(Models(places, device), example_files(names_of(places)))


def example_files(places: Mapping[str, str]) -> dict[str, str]:
    """Find the example images of release folders.

    Args:
        places: Folders or Hub ids of models by the names of the models.

    Returns:
        Files by what they are called on the page, each distinct image once, called by the first model that has it.
    """
    found: dict[str, tuple[str, str]] = {}
    for model, place in places.items():
        for path in sorted(Path(place).glob("examples/*.npy")):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found.setdefault(digest, (f"{path.stem} ({model})", str(path)))
    return dict(found.values())
