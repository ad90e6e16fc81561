"""What a physically varied population is drawn from: priors over lens, source, substructure and their light."""

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from .cosmology import ARCSEC_PER_RADIAN, FlatCosmology
from .galaxy_stamps import GalaxyStamps
from .instruments import Telescope
from .priors import LogUniform, Prior, TruncatedNormal, Uniform, check_within
from .subhalo_population import SubhaloPopulation

SceneClass = Literal["no_sub", "cdm", "axion", "non_lens", "lens"]
PLANCK_COSMOLOGY = FlatCosmology("Planck 2018", hubble_constant=67.66, matter_density=0.3111)


@dataclass(frozen=True)
class LensLightPrior:
    """Light of the lens galaxy: a Sersic profile that follows its mass.

    Args:
        magnitude: Apparent magnitude in the reference band [mag].
        radius_in_einstein_radii: Half-light radius in units of the Einstein radius.
        sersic_index: Sersic index.
        colours: Magnitude in each band minus that in the reference band [mag].
        axial_ratio_scatter: Standard deviation of the light's axial ratio about the mass's.
        angle_scatter: Standard deviation of the light's position angle about the mass's [rad].

    Source:
        Koopmans et al. (2006), arXiv:astro-ph/0601628: light and mass are aligned within about 10 degrees.
        Sonnenfeld et al. (2013), arXiv:1307.4759, fig. 3: sizes of a few tenths to twice the Einstein radius.
    """

    magnitude: Prior = TruncatedNormal(19.2, 0.8, 17.5, 21.0)
    radius_in_einstein_radii: Prior = LogUniform(0.4, 1.2)
    sersic_index: Prior = Uniform(3.0, 5.0)
    colours: tuple[float, ...] = (0.0,)
    axial_ratio_scatter: float = 0.08
    angle_scatter: float = 0.17

    def __post_init__(self) -> None:
        check_within("lens sersic_index", self.sersic_index, 0.3, 10)
        check_within("lens radius_in_einstein_radii", self.radius_in_einstein_radii, 1e-3, 100)


@dataclass(frozen=True)
class LensPrior:
    """Mass of the lens galaxy: an isothermal ellipsoid in an external shear.

    Args:
        redshift: Redshift.
        einstein_radius: Product-averaged Einstein radius of all mass, substructure included [arcsec].
        axial_ratio: Minor over major axis of the mass.
        shear: Modulus of the external shear, of random orientation.
        largest_offset: The lens's centre is uniform in a disc of this radius about the image's centre [arcsec].
        light: Its light, or None for a lens whose light has been removed.

    Source:
        Bolton et al. (2008), arXiv:0805.1931 (axial ratios of SLACS lenses 0.79 +- 0.12, Einstein radii 1.2
        +- 0.3 arcsec); Keeton et al. (1997), arXiv:astro-ph/9610163 (shear of a few percent).
    """

    redshift: Prior = TruncatedNormal(0.5, 0.2, 0.2, 0.9)
    einstein_radius: Prior = Uniform(0.8, 1.8)
    axial_ratio: Prior = TruncatedNormal(0.79, 0.12, 0.5, 1.0)
    shear: Prior = TruncatedNormal(0.0, 0.05, 0.0, 0.15)
    largest_offset: float = 0.1
    light: LensLightPrior | None = LensLightPrior()

    def __post_init__(self) -> None:
        check_within("redshift_lens", self.redshift, 1e-3, 20)
        check_within("einstein_radius [arcsec]", self.einstein_radius, 1e-3, 100)
        check_within("lens axial_ratio", self.axial_ratio, 0.05, 1)
        check_within("shear", self.shear, 0, 0.5)
        if not self.largest_offset >= 0:
            raise ValueError(f"largest_offset={self.largest_offset} arcsec must be zero or more.")


@dataclass(frozen=True)
class SourcePrior:
    """The galaxy behind the lens.

    Args:
        redshift: Redshift.
        magnitude: Apparent magnitude without lensing, in the reference band [mag].
        radius: Half-light radius [arcsec]; for a real galaxy that of its picture.
        sersic_index: Sersic index; does not apply to real galaxies.
        axial_ratio: Minor over major axis; does not apply to real galaxies.
        largest_position: The source's centre is uniform in a disc of this radius about the lens's [Einstein
            radii].
        colours: Magnitude in each band minus that in the reference band [mag].

    Source:
        Newton et al. (2011), arXiv:1104.2608: sources of SLACS lenses have half-light radii of 0.05 to 0.4
        arcsec, magnitudes of 22 to 26 and Sersic indices around 1.
    """

    redshift: Prior = Uniform(1.2, 3.0)
    magnitude: Prior = Uniform(22.5, 25.0)
    radius: Prior = LogUniform(0.08, 0.4)
    sersic_index: Prior = LogUniform(0.7, 3.0)
    axial_ratio: Prior = Uniform(0.35, 1.0)
    largest_position: float = 0.5
    colours: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        check_within("redshift_source", self.redshift, 1e-3, 30)
        check_within("source_radius [arcsec]", self.radius, 1e-4, 100)
        check_within("sersic_index", self.sersic_index, 0.3, 10)
        check_within("source axial_ratio", self.axial_ratio, 0.05, 1)
        if not self.largest_position >= 0:
            raise ValueError(f"largest_position={self.largest_position} Einstein radii must be zero or more.")


@dataclass(frozen=True)
class VortexPrior:
    """The vortex of an axion condensate: a straight line of mass with a finite core.

    Args:
        log10_axion_mass: Decimal logarithm of the axion mass [log10 eV].
        mass_fraction: Mass of the vortex in units of the mass within the Einstein radius.
        length_constant: Half length times twice the axion mass [kpc 1e-22 eV].
        largest_offset: The vortex's centre is uniform in a disc of this radius about the lens's [Einstein radii].
        core_fraction: Core radius in units of the half length.

    Source:
        Alexander et al. (2020), arXiv:1909.07346, whose 0.06 arcsec at redshift 0.5 are 0.37 kpc here, so that
        the relation holds at every redshift.
    """

    log10_axion_mass: Prior = Uniform(-23.5, -22.0)
    mass_fraction: Prior = LogUniform(0.003, 0.03)
    length_constant: float = 0.366
    largest_offset: float = 0.7
    core_fraction: float = 0.1

    def __post_init__(self) -> None:
        check_within("vortex mass_fraction", self.mass_fraction, 0, 0.5)
        for name in ("length_constant", "core_fraction"):
            if not getattr(self, name) > 0:
                raise ValueError(f"vortex {name}={getattr(self, name)} must be above zero.")

    def half_length(self, log10_axion_mass: float, kiloparsec_per_arcsec: float) -> float:
        """Half length of a vortex.

        Args:
            log10_axion_mass: Axion mass [log10 eV].
            kiloparsec_per_arcsec: Scale at the lens [kpc/arcsec].

        Returns:
            Half length [arcsec].
        """
        return self.length_constant / (2 * 10 ** (log10_axion_mass + 22)) / kiloparsec_per_arcsec


@dataclass(frozen=True)
class QuasarPrior:
    """A point of light at the centre of the source.

    Args:
        magnitude: Apparent magnitude without lensing, in the reference band [mag].
        colours: Magnitude in each band minus that in the reference band [mag].

    Source:
        Oguri & Marshall (2010), arXiv:1001.2037: lensed quasars of Rubin have unlensed magnitudes of 21 to 25.
    """

    magnitude: Prior = Uniform(21.5, 24.0)
    colours: tuple[float, ...] = (0.0,)


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
        subhaloes: Subhaloes of a `cdm` system.
        vortex: Vortex of an `axion` system.
        quasar: Point of light within the source; None for a galaxy.
        galaxies: Real galaxies as sources, or the name of a collection in `galaxy_collections`; None for Sersic
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
    source: SourcePrior = SourcePrior()
    subhaloes: SubhaloPopulation = field(default_factory=SubhaloPopulation)
    vortex: VortexPrior = VortexPrior()
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

    def kiloparsec_per_arcsec(self, redshift: float) -> float:
        """Scale at a redshift.

        Args:
            redshift: Redshift of the object.

        Returns:
            Length that is seen as one arcsecond [kpc/arcsec].
        """
        return self.cosmology.angular_diameter_distance(0, redshift) * 1e3 / ARCSEC_PER_RADIAN


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
    if "axion" not in recipe.class_names:
        return
    lightest = recipe.vortex.log10_axion_mass.limits[0]
    longest = recipe.vortex.half_length(lightest, recipe.kiloparsec_per_arcsec(recipe.lens.redshift.limits[0]))
    if longest > half_width or not math.isfinite(longest):
        raise ValueError(
            f"log10_axion_mass={lightest} gives a vortex with a half length of {longest:.3g} arcsec, which reaches out "
            f"of images of {half_width:g} arcsec from centre to edge; use heavier axions or a larger image_size."
        )
