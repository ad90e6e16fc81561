"""The command `app`: serve the page."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gradio

_FOLDER_VARIABLE = "GRADIO_TEMP_DIR"
_MARKS = ("release.json", "stock.json")
"""Files that tell a model that was made to be shown."""
MODEL_CARDS = (Path("model_cards"), Path(__file__).parents[2] / "model_cards")
"""Where released models are looked for: here, and beside the package, where an editable installation has them."""


@dataclass
class AppOptions:
    """Options of the command `app`."""

    models: list[str] = field(
        default_factory=list,
        metadata={
            "help": "folders or Hub ids of models; when absent all under model_cards, here or beside the package"
        },
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
    serve(options.models or released_models(MODEL_CARDS), options.device, options.host, options.port)


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


def released_models(folders: Sequence[Path]) -> list[str]:
    """List the models of the first folder that holds any: releases, and those that transformers alone runs.

    Args:
        folders: Folders of model folders.

    Returns:
        Their paths.

    Raises:
        ValueError: If none of the folders holds a model.
    """
    for folder in folders:
        found = {path.parent for name in _MARKS for path in folder.glob(f"*/{name}")}
        if found:
            return [str(path) for path in sorted(found)]
    searched = " and ".join(dict.fromkeys(str(folder.resolve()) for folder in folders))
    raise ValueError(
        f"there is no model to show in {searched}; give --models FOLDER or Hub id, for example outputs/main_job."
    )


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
    from .examples import example_files
    from .page import make_page

    return make_page(Models(places, device), example_files(names_of(places)))
