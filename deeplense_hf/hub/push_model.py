"""The command `push`: a release folder becomes a repository of the Hub."""

import json
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
        ValueError: If a file must not be published, the folder is made for another repository, or the options do not
            go with the repository.
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
    _check_place(folder, options.repo_id)
    upload = Upload(
        options.repo_id,
        "model",
        files,
        options.message,
        revision=options.revision,
        private=options.private,
        create_pr=options.create_pr,
        delete_below=("",) if options.delete_absent else (),
    )
    carry_out(upload, options.dry_run)


def _check_place(folder: Path, repo_id: str) -> None:
    """Refuse to push a card to where it is not for; what it says to load would be somebody else's code."""
    from .release import RELEASE_FILE
    from .stock_export import STOCK_FILE

    owner, _, name = repo_id.partition("/")
    for marker, command in (
        (RELEASE_FILE, f"scripts/make_release.py --model {folder}"),
        (STOCK_FILE, "scripts/export_stock.py --model RUN"),
    ):
        path = folder / marker
        if not path.is_file():
            continue
        try:
            written_for = json.loads(path.read_text(encoding="utf-8"))["repo_id"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path} is damaged; make the folder again with: python {command}") from None
        if written_for != repo_id:
            raise ValueError(
                f"{folder} is made for {written_for}, and its card loads the model from there; make one for {repo_id} "
                f"with: python {command} --name {name} --owner {owner} --output_dir my_releases"
            )
