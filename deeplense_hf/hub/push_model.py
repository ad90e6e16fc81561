"""The command `push`: a release folder becomes a repository of the Hub."""

from dataclasses import dataclass, field
from pathlib import Path

from .push_options import RepositoryOptions

# what a repository needs to be loaded and understood
NEEDED_FILES = ("README.md", "config.json", "model.safetensors", "preprocessor_config.json")


@dataclass
class PushOptions(RepositoryOptions):
    """Options of the command `push`."""

    folder: str = field(metadata={"help": "release folder, the exact content of the repository"})
    delete_absent: bool = field(
        default=False, metadata={"help": "delete what lies in the repository and not in the folder"}
    )


def push_model(options: PushOptions) -> None:
    """Push a release folder, or tell what would be pushed.

    Args:
        options: Which folder, where to.

    Raises:
        FileNotFoundError: If the folder or a file that a release needs is missing.
        ValueError: If a file must not be published.
        OSError: If the Hub does not answer or refuses.
    """
    from .safe_files import files_to_publish
    from .upload import Upload, carry_out

    folder = Path(options.folder)
    files = files_to_publish(folder)
    missing = [name for name in NEEDED_FILES if name not in files]
    if missing:
        raise FileNotFoundError(
            f"{folder} is no release folder: it lacks {', '.join(missing)}; scripts/make_release.py makes one of a "
            "training run."
        )
    upload = Upload(
        options.repo_id,
        "model",
        files,
        options.message,
        revision=options.revision,
        private=options.private,
        create_pr=options.create_pr,
        delete_absent=options.delete_absent,
    )
    carry_out(upload, options.dry_run)
