"""The command `app`: serve the page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gradio


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
    page = build_page(options.models or released_models(Path("model_cards")), options.device)
    page.queue(default_concurrency_limit=2, max_size=32).launch(
        server_name=options.host, server_port=options.port, max_file_size="64mb", show_error=True
    )


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

    from .answers import Models
    from .page import make_page

    return make_page(Models(places, device), example_files(places))


def example_files(places: Sequence[str]) -> dict[str, str]:
    """Find the example images of release folders.

    Args:
        places: Folders or Hub ids of models.

    Returns:
        Files by what they are called on the page.
    """
    return {
        f"{path.stem} ({Path(place).name})": str(path)
        for place in places
        for path in sorted(Path(place).glob("examples/*.npy"))
    }
