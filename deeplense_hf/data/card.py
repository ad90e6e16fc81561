"""The card of a data set: what a reader and the Hub need to know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from .schema import COLUMNS, IMAGE, LABEL

_SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table.

    Args:
        header: Names of the columns.
        rows: Cells.

    Returns:
        The table in Markdown.
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def size_category(images: int) -> str:
    """Return the Hub's name of a size.

    Args:
        images: Number of images.

    Returns:
        The category.
    """
    return next((name for limit, name in _SIZE_CATEGORIES if images < limit), "n>1M")


@dataclass(frozen=True)
class DatasetCard:
    """What the card of a data set says.

    Attributes:
        title: Name for people.
        summary: One sentence.
        class_counts: Images of each class by split; the class is empty for unlabelled images.
        image_shape: Bands, height, width.
        details: Further section: the recipe, or the report of an import.
        origin: Where the images come from.
        tags: Tags beside the common ones.
        licence: Licence identifier of the Hub.
    """

    title: str
    summary: str
    class_counts: Mapping[str, Mapping[str, int]]
    image_shape: tuple[int, int, int]
    details: str
    origin: str
    tags: tuple[str, ...] = ()
    licence: str = "mit"

    @property
    def total(self) -> int:
        """Number of images."""
        return sum(sum(counts.values()) for counts in self.class_counts.values())

    def text(self, content: str) -> str:
        """Return the text of README.md, with the metadata that `load_dataset` and the Hub read.

        Args:
            content: Hash of the data. `load_dataset` keys its cache by a folder's last name and this metadata, never by
                the files: without it, another data set in a folder of the same name would come out.

        Returns:
            YAML and Markdown.
        """
        return f"---\n{self._metadata(content)}---\n\n{self._body()}"

    def _metadata(self, content: str) -> str:
        data_files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in self.class_counts]
        values = {
            "license": self.licence,
            "pretty_name": self.title,
            "task_categories": ["image-classification"],
            "size_categories": [size_category(self.total)],
            "tags": ["astronomy", "gravitational-lensing", "dark-matter", *self.tags],
            "configs": [{"config_name": "default", "description": f"content {content}", "data_files": data_files}],
        }
        return yaml.safe_dump(values, sort_keys=False)

    def _body(self) -> str:
        names = list(dict.fromkeys(name for counts in self.class_counts.values() for name in counts))
        counts = markdown_table(
            ("split", *(name or "unlabelled" for name in names)),
            [(split, *(str(row.get(name, 0)) for name in names)) for split, row in self.class_counts.items()],
        )
        bands, height, width = self.image_shape
        columns = markdown_table(
            ("column", "type", "unit", "meaning"),
            [
                (
                    f"`{IMAGE}`",
                    f"float32 ({bands}, {height}, {width})",
                    "as observed",
                    "bands, rows, columns; not normalised",
                ),
                (f"`{LABEL}`", "ClassLabel", "", ", ".join(names) if any(names) else "-1: no class is known"),
                *((f"`{n}`", c.dtype, c.unit, c.description) for n, c in COLUMNS.items()),
            ],
        )
        return "\n\n".join(
            (
                f"# {self.title}",
                self.summary,
                "## Images",
                counts,
                "A lens system lies in one split only. Columns that do not apply to an image are null.",
                "## Use",
                '```python\nfrom datasets import load_dataset\n\nlenses = load_dataset("path/of/this/folder")\n'
                'image = lenses["train"].with_format("numpy")[0]["image"]\n```',
                "## Columns",
                columns,
                self.details,
                "## Origin",
                self.origin + "\n",
            )
        )
