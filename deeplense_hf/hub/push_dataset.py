"""The command `push-dataset`: data set folders become one repository of the Hub, a configuration each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .push_options import RepositoryOptions

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from .upload import Content

# how a card of `data.card` calls the place that it is loaded from
_PLACE = '"path/of/this/folder"'


@dataclass
class PushDatasetOptions(RepositoryOptions):
    """Options of the command `push-dataset`."""

    datasets: list[str] = field(metadata={"help": "data set folders, as simulate and import write them"})
    config_names: list[str] = field(
        default_factory=list,
        metadata={
            "help": "name of each folder's configuration; needed for several, and to add one to a repository that has "
            "named ones"
        },
    )
    title: str = field(
        default="Simulated strong gravitational lenses",
        metadata={"help": "title of a repository of several configurations"},
    )

    def __post_init__(self) -> None:
        """Check that there is a folder, and that every folder has a name.

        Raises:
            ValueError: If there is none, or names are missing, are no names, or are twice the same.
        """
        super().__post_init__()
        if not self.datasets:
            raise ValueError("datasets is empty; give the folder of a data set, as simulate and import write it.")
        names = self.config_names
        if len(names) != len(self.datasets) and (names or len(self.datasets) > 1):
            raise ValueError(f"{len(self.datasets)} datasets need as many config_names, not {len(names)}.")
        wrong = [name for name in names if not name.replace("-", "").replace("_", "").isalnum() or name == "default"]
        if wrong:
            raise ValueError(f"config_names: '{wrong[0]}' is no name; use letters, digits, - and _, not 'default'.")
        if len(set(names)) < len(names):
            raise ValueError(f"config_names: {', '.join(names)} names one twice.")


def push_dataset(options: PushDatasetOptions) -> None:
    """Push data set folders, or tell what would be pushed.

    Shards go as they are, and earlier ones of the same configuration go away in the same commit, so what is loaded from
    the Hub equals what lies on the disk, bit by bit.

    Args:
        options: Which folders, where to.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If a folder is no complete data set, a file must not be published, or the repository is of the other
            kind: with named configurations, or one without a name.
        OSError: If the Hub does not answer or refuses.
    """
    from huggingface_hub import HfApi

    from deeplense_hf.data.build import is_dataset_folder

    from .safe_files import files_to_publish
    from .upload import LIBRARY, Upload, carry_out

    api = HfApi(library_name=LIBRARY)
    files: dict[str, Content] = {}
    names = options.config_names or [""]
    for folder, name in zip(map(Path, options.datasets), names, strict=True):
        found = files_to_publish(folder)
        if not is_dataset_folder(folder) or "README.md" not in found:
            raise ValueError(f"{folder} is no data set folder; scripts/simulate.py and import_dataset.py make such.")
        prefix = f"{name}/" if name else ""
        files |= {prefix + path: file for path, file in found.items()}
        files[f"{prefix}README.md"] = _card_of_configuration(found["README.md"], options.repo_id, name)
    commit, paths = _on_the_hub(options, api)
    _check_kind(options, paths)
    if options.config_names:
        files["README.md"] = _card_of_all(options, files, _cards(options, api, commit, paths)).encode()
    upload = Upload(
        options.repo_id,
        "dataset",
        files,
        options.message,
        revision=options.revision,
        private=options.private,
        create_pr=options.create_pr,
        delete_below=tuple(f"{name}/data/" if name else "data/" for name in names),
        based_on=commit,
    )
    carry_out(upload, options.dry_run)


def _card_of_configuration(card: Path, repo_id: str, name: str) -> bytes:
    """Return a folder's card with the address that it is loaded from on the Hub."""
    place = f'"{repo_id}", "{name}"' if name else f'"{repo_id}"'
    return card.read_text(encoding="utf-8").replace(_PLACE, place).encode()


def _card_of_all(options: PushDatasetOptions, files: "Mapping[str, Content]", others: "Mapping[str, str]") -> str:
    """Return the card of a repository of several configurations, those that lie there already among them."""
    from .dataset_card import ConfigurationCard, card_of_configurations

    cards = {}
    for name, text in others.items():
        cards[name] = ConfigurationCard.read(name, text, f"{options.repo_id}, {name}/README.md")
    for name in options.config_names:
        content = files[f"{name}/README.md"]
        text = content.decode() if isinstance(content, bytes) else content.read_text(encoding="utf-8")
        cards[name] = ConfigurationCard.read(name, text, f"the card of '{name}'")
    return card_of_configurations(options.title, options.repo_id, [cards[name] for name in sorted(cards)])


def _on_the_hub(options: PushDatasetOptions, api: "HfApi") -> tuple[str | None, list[str]]:
    """Return the commit that a push is to follow, and its paths; of main for a new branch, which begins with it."""
    from .refusals import one_sentence
    from .upload import look_up

    try:
        place = look_up(options.repo_id, "dataset", options.revision, api)
        if place is None:
            return None, []
        with one_sentence(options.repo_id):
            return place.commit, api.list_repo_files(options.repo_id, repo_type="dataset", revision=place.commit)
    except OSError:
        if options.dry_run:
            # which says itself that the Hub was not reached
            return None, []
        raise


def _named(paths: list[str]) -> list[str]:
    """Return the named configurations among the paths of a repository."""
    with_data = {path.partition("/data/")[0] for path in paths if "/data/" in path}
    return sorted(name for name in with_data if "/" not in name and f"{name}/README.md" in paths)


def _check_kind(options: PushDatasetOptions, paths: list[str]) -> None:
    """Refuse to mix named configurations and one without a name: `load_dataset` would find only the last."""
    named = _named(paths)
    if named and not options.config_names:
        raise ValueError(
            f"{options.repo_id} has named configurations ({', '.join(named)}); name this one too, with --config_names, "
            "or push it to another repository."
        )
    if options.config_names and not named and any(path.startswith("data/") for path in paths):
        raise ValueError(
            f"{options.repo_id} has one configuration without a name; push the others to another repository."
        )


def _cards(options: PushDatasetOptions, api: "HfApi", commit: str | None, paths: list[str]) -> dict[str, str]:
    """Return the cards of the other named configurations that the repository has."""
    from .refusals import one_sentence

    cards = {}
    for name in _named(paths):
        if name in options.config_names:
            continue
        with one_sentence(options.repo_id):
            local = api.hf_hub_download(options.repo_id, f"{name}/README.md", repo_type="dataset", revision=commit)
        cards[name] = Path(local).read_text(encoding="utf-8")
    return cards
