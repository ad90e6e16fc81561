"""The card of a repository of several data sets, made of the cards of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from deeplense_hf.data.card import markdown_table, size_category


@dataclass(frozen=True)
class ConfigurationCard:
    """What the card of one configuration says.

    Attributes:
        name: Its name in the repository.
        title: Its title.
        summary: Its first sentence.
        images: Number of images of all splits.
        metadata: The YAML at its head.
    """

    name: str
    title: str
    summary: str
    images: int
    metadata: dict[str, Any]

    @classmethod
    def read(cls, name: str, text: str, where: str) -> "ConfigurationCard":
        """Read the card that `data.card.DatasetCard` wrote, and perhaps somebody changed on the Hub since.

        Args:
            name: Name of the configuration.
            text: The card.
            where: The card, as messages name it.

        Returns:
            What it says.

        Raises:
            ValueError: If it is no such card, or does not name the files of one configuration in a form of the Hub.
        """
        head, _, body = text.removeprefix("---\n").partition("\n---\n")
        try:
            metadata = yaml.safe_load(head)
        except yaml.YAMLError:
            metadata = None
        metadata = metadata if isinstance(metadata, dict) and _has_one_entry(metadata) else None
        lines = [line for line in body.splitlines() if line.strip()]
        if metadata is None or len(lines) < 2:
            raise ValueError(f"{where} is no card of a data set of deeplense_hf; simulate or import it again.")
        return cls(name, lines[0].lstrip("# "), lines[1], _count(body), metadata)

    def entry(self) -> dict[str, Any]:
        """Return its entry of the metadata key `configs`, for files in a folder of its name."""
        (own,) = self.metadata["configs"]
        return {**own, "config_name": self.name, "data_files": self._below(own["data_files"])}

    def _below(self, files: Any) -> Any:
        """Put the folder in front of the files' patterns, which stay in the form that they have."""
        if isinstance(files, list):
            return [self._below(each) for each in files]
        if isinstance(files, dict):
            return {**files, "path": self._below(files["path"])}
        return f"{self.name}/{files}"


def _has_one_entry(metadata: dict[str, Any]) -> bool:
    """Whether a card has one configuration, whose files are named in one of the forms that the Hub reads.

    Source: https://huggingface.co/docs/hub/datasets-manual-configuration
    """
    entries = metadata.get("configs")
    if not isinstance(entries, list) or len(entries) != 1 or not isinstance(entries[0], dict):
        return False
    files = entries[0].get("data_files")
    of_splits = isinstance(files, list) and all(isinstance(each, dict) for each in files)
    if files and of_splits:
        return all(isinstance(each.get("split"), str) and _are_patterns(each.get("path")) for each in files)
    return _are_patterns(files)


def _are_patterns(paths: Any) -> bool:
    """Whether there is a pattern of files of the repository, or a list of such."""
    several = paths if isinstance(paths, list) else [paths]
    return bool(several) and all(isinstance(path, str) and path and "://" not in path for path in several)


def card_of_configurations(title: str, repo_id: str, cards: Sequence[ConfigurationCard]) -> str:
    """Write the card of a repository.

    Args:
        title: Its title.
        repo_id: Its name on the Hub.
        cards: What its configurations' cards say.

    Returns:
        The text of README.md.
    """
    licences = _union(cards, "license")
    metadata = {
        "license": licences[0] if len(licences) == 1 else licences,
        "pretty_name": title,
        "task_categories": _union(cards, "task_categories"),
        "size_categories": [size_category(sum(card.images for card in cards))],
        "tags": _union(cards, "tags"),
        "configs": [card.entry() for card in cards],
    }
    table = markdown_table(
        ("configuration", "images", "what it is"),
        [(f"[`{card.name}`]({card.name}/README.md)", f"{card.images:,}", card.summary) for card in cards],
    )
    use = (
        "```python\nfrom datasets import load_dataset\n\n"
        f'lenses = load_dataset("{repo_id}", "{cards[0].name}")\n'
        'image = lenses["test"].with_format("numpy")[0]["image"]\n```'
    )
    body = (f"# {title}", "## Configurations", table, "Each has a card of its own, with its columns, units and origin.")
    head = yaml.safe_dump(metadata, sort_keys=False)
    return "\n\n".join((f"---\n{head}---", *body, "## Use", use)) + "\n"


def _union(cards: Sequence[ConfigurationCard], key: str) -> list[str]:
    """Return the values of a key of all cards, in order, each once."""
    values: dict[str, None] = {}
    for card in cards:
        value = card.metadata.get(key, [])
        # what is no text is of no use there
        values |= dict.fromkeys(
            each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)
        )
    return list(values)


def _count(body: str) -> int:
    """Sum the table of images by split and class."""
    _, _, after = body.partition("## Images\n")
    table, _, _ = after.partition("\n## ")
    rows = [line.split("|")[2:-1] for line in table.splitlines() if line.startswith("|")]
    return sum(int(cell) for row in rows for cell in row if cell.strip().isdigit())
