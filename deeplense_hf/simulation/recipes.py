"""All recipes by name."""

from .finding_recipe import FINDING_RECIPES, FindingRecipe
from .model_4_recipes import MODEL_4_RECIPES
from .published_recipe import PublishedRecipe
from .published_recipes import PUBLISHED_RECIPES
from .scene_recipe import SceneRecipe
from .scene_recipes import SCENE_RECIPES

Recipe = PublishedRecipe | SceneRecipe | FindingRecipe

RECIPES: dict[str, Recipe] = {**PUBLISHED_RECIPES, **MODEL_4_RECIPES, **SCENE_RECIPES, **FINDING_RECIPES}


def get_recipe(name: str) -> Recipe:
    """Look up a recipe.

    Args:
        name: Key of RECIPES.

    Returns:
        The recipe.

    Raises:
        ValueError: If there is no such recipe.

    >>> get_recipe("model_1").instrument.image_size
    150
    """
    if name not in RECIPES:
        raise ValueError(f"recipe={name!r} is not known. Use one of {', '.join(RECIPES)}.")
    return RECIPES[name]
