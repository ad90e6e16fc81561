"""What data sets and models are called in public, and which recipe or Hub repository a name stands for."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deeplense_hf.simulation.recipes import Recipe

_STREAMED = "simulate:"


def check_hub_names(**names: str) -> None:
    """Refuse what cannot be the name of a repository or of its owner.

    Args:
        **names: By option, what was given.

    Raises:
        ValueError: If one is no name on the Hub.
    """
    for option, name in names.items():
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
            raise ValueError(
                f"{option}='{name}' is no name on the Hub; begin with a letter or digit and use letters, digits, '-', "
                "'_' and '.' alone, as in deeplense-swin."
            )


def dataset_name(dataset: str) -> str:
    """Return the name of a data set without saying that it was simulated while training.

    Args:
        dataset: Recipe, `simulate:` before it or not, Hub id, or name of a folder.

    Returns:
        The name.
    """
    return dataset.removeprefix(_STREAMED)


def is_streamed(dataset: str) -> bool:
    """Tell whether systems of a recipe were simulated while training.

    Args:
        dataset: As for `dataset_name`.

    Returns:
        Whether they were.
    """
    return dataset.startswith(_STREAMED)


def recipe_of(dataset: str) -> "Recipe | None":
    """Return the recipe of that name, if there is one.

    Args:
        dataset: As for `dataset_name`.

    Returns:
        The recipe; None for other data sets.
    """
    from deeplense_hf.simulation.recipes import RECIPES

    return RECIPES.get(dataset_name(dataset))


def dataset_id(dataset: str, owner: str) -> str | None:
    """Return the place of a data set on the Hub.

    Args:
        dataset: As for `dataset_name`; what follows a comma says what was done to it.
        owner: Owner of the release.

    Returns:
        The Hub id; None of a folder, which nobody else has.
    """
    name = dataset_name(dataset).partition(",")[0]
    if recipe_of(name) is not None:
        return f"{owner}/deeplense-{name.replace('_', '-')}"
    return hub_id(name)


def hub_id(name: str) -> str | None:
    """Return a name if it is one on the Hub, with an owner.

    Args:
        name: Data set or model.

    Returns:
        The name; None of a recipe, named size or folder.
    """
    return name if re.fullmatch(r"[\w.-]+/[\w.-]+", name) else None


def public_name(name: str) -> str:
    """Return how a data set or model may be called in public.

    Args:
        name: Recipe, named size, Hub id or local path.

    Returns:
        The last part of a local path, which is nobody's business; other names stay as they are.
    """
    local = Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or "\\" in name
    return re.split(r"[\\/]", name.rstrip("\\/"))[-1] if local or Path(name).exists() else name
