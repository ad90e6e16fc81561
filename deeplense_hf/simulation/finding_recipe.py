"""Finding lenses in the images of a published population: its lenses beside what only looks like them."""

from dataclasses import dataclass, replace

from .instruments import Instrument
from .published_recipe import PublishedRecipe
from .published_recipes import PUBLISHED_RECIPES


@dataclass(frozen=True)
class FindingRecipe:
    """Lenses of a published population of all its classes, and look-alikes that its camera took.

    The look-alikes have the surface brightness of the lensed sources. Published populations show no light of the lens,
    and neither do these. A finder of such lenses can pass on to the classifiers of the population.

    Args:
        name: Key of the recipe; part of what the random numbers depend on, so that its lenses are none of the
            published population's.
        description: One sentence for a data set card.
        lenses: The published population.
        supersampling: Rays along each side of a pixel in the images of look-alikes; published ones have one.
    """

    name: str
    description: str
    lenses: PublishedRecipe
    supersampling: int = 1

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes in the order of their labels."""
        return "non_lens", "lens"

    @property
    def instrument(self) -> Instrument:
        """The camera."""
        return self.lenses.instrument

    @property
    def bands(self) -> tuple[Instrument, ...]:
        """The camera, as the only band."""
        return (self.lenses.instrument,)

    @property
    def num_bands(self) -> int:
        """Number of bands, which is one."""
        return 1

    @property
    def instrument_name(self) -> str:
        """Name of the camera."""
        return self.lenses.instrument_name

    def published(self, kind: str) -> PublishedRecipe:
        """Return the published recipe with random numbers of this one.

        Args:
            kind: `lens` or `non_lens`, whose systems share no random numbers.

        Returns:
            The recipe.
        """
        return replace(self.lenses, name=self.name, population=f"{self.name}/{kind}")


FINDING_RECIPES: dict[str, FindingRecipe] = {
    recipe.name: recipe
    for recipe in (
        FindingRecipe(
            name="model_1_lens_finding",
            description="Lenses of Model I of all three classes beside arms, companions, rings, mergers and single "
            "galaxies of the same surface brightness, in the images of its camera.",
            lenses=PUBLISHED_RECIPES["model_1"],
        ),
    )
}
