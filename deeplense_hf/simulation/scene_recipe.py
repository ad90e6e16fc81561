"""A population in which everything that varies in the sky varies: priors, bands, and how finely it is rendered."""

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from .cosmology import FlatCosmology
from .galaxy_stamps import GalaxyStamps
from .halo_structure import kiloparsec_per_arcsec
from .instruments import Telescope
from .scene_priors import LensPrior, PyHaloPrior, QuasarPrior, SourcePrior, VortexPrior
from .subhalo_population import SubhaloPopulation

SceneClass = Literal["no_sub", "cdm", "axion", "non_lens", "lens"]
PLANCK_COSMOLOGY = FlatCosmology("Planck 2018", hubble_constant=67.66, matter_density=0.3111)


@dataclass(frozen=True)
class SceneRecipe:
    """A population in which everything that varies in the sky varies, for every class alike.

    Args:
        name: Key of the recipe; part of what the noise depends on.
        description: One sentence for a data set card.
        bands: One telescope per band, of equal pixels; the first is the reference band.
        class_names: Classes in the order of their labels.
        population: What the systems' random numbers depend on beside class and seed; recipes of the same
            population show the same systems. Empty: the recipe's name.
        lens: Mass and light of the lens.
        source: The source.
        lens_light: Whether the lens's light is in the image; False shows the same systems with it removed.
        lens_of_no_sub: Quirk. Another prior of the lenses of `no_sub` systems, by which they can be told from the
            others without any substructure; None for the same.
        subhaloes: Subhaloes of a `cdm` system.
        vortex: Vortex of an `axion` system.
        pyhalo: Haloes by pyHalo instead of `subhaloes` and `vortex`; None for these.
        quasar: Point of light within the source; None for a galaxy.
        galaxies: Real galaxies as sources, or a name that `data.galaxy_images.load_galaxies` knows; None for Sersic
            profiles.
        real_galaxy_fraction: Share of sources that are real galaxies where there are any.
        supersampling: Rays along each side of a pixel.
        cosmology: Cosmology of all distances, which are angular diameter distances.

    Raises:
        ValueError: If values are unphysical or do not fit one another.
    """

    name: str
    description: str
    bands: tuple[Telescope, ...]
    class_names: tuple[SceneClass, ...] = ("no_sub", "cdm", "axion")
    population: str = ""
    lens: LensPrior = LensPrior()
    lens_light: bool = True
    lens_of_no_sub: LensPrior | None = None
    source: SourcePrior = SourcePrior()
    subhaloes: SubhaloPopulation = field(default_factory=SubhaloPopulation)
    vortex: VortexPrior = VortexPrior()
    pyhalo: PyHaloPrior | None = None
    quasar: QuasarPrior | None = None
    galaxies: GalaxyStamps | str | None = None
    real_galaxy_fraction: float = 1.0
    supersampling: int = 2
    cosmology: FlatCosmology = PLANCK_COSMOLOGY

    def __post_init__(self) -> None:
        unknown = set(self.class_names) - set(get_args(SceneClass))
        if unknown or not self.class_names:
            raise ValueError(f"class_names={self.class_names} must be chosen from {', '.join(get_args(SceneClass))}.")
        if not self.bands or len({(band.pixel_scale, band.image_size) for band in self.bands}) != 1:
            raise ValueError(f"bands of recipe {self.name} must be one or more telescopes of equal pixels.")
        if self.supersampling < 1:
            raise ValueError(f"supersampling={self.supersampling} must be at least 1.")
        if not self.source.redshift.limits[0] > self.lens.redshift.limits[1]:
            raise ValueError(
                f"redshift_source={self.source.redshift} reaches in front of redshift_lens={self.lens.redshift}; "
                "every source must lie behind every lens."
            )
        _check_colours(self)
        _check_fits_the_image(self)

    @property
    def instrument(self) -> Telescope:
        """Telescope of the reference band."""
        return self.bands[0]

    @property
    def instrument_name(self) -> str:
        """Name for the data set's column: those of all bands."""
        return "+".join(dict.fromkeys(band.name for band in self.bands))

    @property
    def num_bands(self) -> int:
        """Number of bands."""
        return len(self.bands)


def _check_colours(recipe: SceneRecipe) -> None:
    lights = {"source": recipe.source, "lens light": recipe.lens.light, "quasar": recipe.quasar}
    for name, light in lights.items():
        if light is not None and len(light.colours) != recipe.num_bands:
            raise ValueError(
                f"{name} has {len(light.colours)} colours, but recipe {recipe.name} has {recipe.num_bands} bands."
            )


def _check_fits_the_image(recipe: SceneRecipe) -> None:
    half_width = recipe.instrument.field_of_view / 2
    largest_radius = recipe.lens.einstein_radius.limits[1]
    if largest_radius >= half_width:
        raise ValueError(
            f"einstein_radius={largest_radius} arcsec does not fit into images that reach {half_width:g} arcsec from "
            "their centre; use a larger image_size or smaller lenses."
        )
    if "axion" not in recipe.class_names or recipe.pyhalo is not None:
        return
    lightest = recipe.vortex.log10_axion_mass.limits[0]
    longest = recipe.vortex.half_length(
        lightest, kiloparsec_per_arcsec(recipe.lens.redshift.limits[0], recipe.cosmology)
    )
    if longest > half_width or not math.isfinite(longest):
        raise ValueError(
            f"log10_axion_mass={lightest} gives a vortex with a half length of {longest:.3g} arcsec, which reaches out "
            f"of images of {half_width:g} arcsec from centre to edge; use heavier axions or a larger image_size."
        )
