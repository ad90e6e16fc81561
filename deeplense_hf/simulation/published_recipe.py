"""What a published population is made of: which systems, how observed, and each quirk of the data by name."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from .cosmology import FlatCosmology
from .instruments import CountingCamera, Telescope

ClassName = Literal["no_sub", "cdm", "axion"]
DistanceConvention = Literal["luminosity", "angular_diameter"]
CountDistribution = Literal["fixed", "poisson"]
RadiusDistribution = Literal["uniform_in_radius", "uniform_in_area"]
NoiseModel = Literal["photon_counts", "gaussian"]

PUBLISHED_COSMOLOGY = FlatCosmology("DeepLenseSim", hubble_constant=70.0, matter_density=0.3)
PYHALO_COSMOLOGY = FlatCosmology("pyHalo WMAP9", hubble_constant=69.7, matter_density=0.2814)


@dataclass(frozen=True)
class PublishedRecipe:
    """Everything that decides the images of a simulated data set, except seed and number.

    The defaults are those of DeepLenseSim, Models I to III. A copy with other values keeps its name and hence
    its random numbers: `dataclasses.replace(get_recipe("model_2"), noise_discarded=False)` shows the same
    systems with noise.

    Args:
        name: Key of the recipe; part of what the random numbers depend on.
        description: One sentence for a data set card.
        instrument: The camera.
        class_names: Classes in the order of their labels.
        redshift_lens: Redshift of the lens.
        redshift_source: Redshift of the source.
        lens_mass: Mass that is turned into the Einstein radius of the main lens [Msun].
        lens_ellipticity_1: First component of the main lens's ellipticity.
        lens_ellipticity_2: Second component of the main lens's ellipticity.
        shear_1: First component of the external shear.
        shear_2: Second component of the external shear.
        source_amplitude: Surface brightness at the half-light radius [counts/s/arcsec^2]; None where a
            magnitude is given.
        source_magnitude: Apparent magnitude of the unlensed source [mag]; None where an amplitude is given.
        source_radius: Half-light radius of the source [arcsec].
        sersic_index: Sersic index of the source.
        source_ellipticity_1: First component of the source's ellipticity.
        source_ellipticity_2: Second component of the source's ellipticity.
        source_position_limit: The source's centre is uniform in a square of plus or minus this [arcsec].
        subhalo_count: Number (or mean number) of subhaloes of a `cdm` system.
        subhalo_mass_range: Lowest and highest subhalo mass [Msun].
        subhalo_distance_range: Lowest and highest distance of a subhalo from the lens's centre [arcsec].
        vortex_mass: Mass of the vortex of an `axion` system [Msun].
        vortex_points: Number of equal point masses that stand for the vortex, evenly spaced, both ends
            included.
        log10_axion_mass_range: Lowest and highest decimal logarithm of the axion mass [log10 eV], drawn
            uniformly.
        distance_convention: Quirk. "luminosity": masses become Einstein radii by luminosity distances, the
            lens-source distance being their difference (1.28" where angular diameter distances give 1.66").
        arcsec_per_radian: Quirk. The published conversion, rounded.
        mass_cosmology: Cosmology by which masses become Einstein radii.
        deflection_reference_redshift: Quirk. Source redshift for which Einstein radii and shear are taken to
            be reduced. Models II and III put the source at 1.0 but leave 2.5 here, so that all deflections,
            of lens, shear and substructure, are about 0.63 times those meant.
        deflection_cosmology: Quirk. Cosmology of that rescaling: that of a pyHalo realisation, not
            `mass_cosmology`.
        subhalo_mass_slope: Quirk. Exponent of the mass function dN/dm; published as -1.9, used as -0.9.
        subhalo_count_distribution: Quirk. "fixed": a Poisson number is drawn and ignored; "poisson" uses one.
        subhalo_distance_distribution: Quirk. "uniform_in_radius" crowds subhaloes at small radii;
            "uniform_in_area" does not.
        vortex_length_constant: Quirk. Half length of the vortex [arcsec] times twice the axion mass [1e-22
            eV]; holds for a lens at redshift 0.5 only. The vortex always passes through the lens's centre.
        noise_model: "photon_counts" gives integer counts over the exposure, "gaussian" a rate with normal
            noise.
        poisson_applied_twice: Quirk of "photon_counts". True: the mean of the final Poisson draw already
            holds shot noise. False: the mean holds the background's fluctuation only.
        noise_discarded: Quirk. True: noise is computed and thrown away; the noise-free image is kept.
        population: What the systems' random numbers depend on beside class and seed; recipes of the same population
            show the same systems. Empty: the recipe's name.
        image_multiplier: Quirk. The kept image is multiplied by this (Models II and III: the model added to
            itself).

    Raises:
        ValueError: If a value is unphysical or not among the choices.

    Source:
        DeepLenseSim (github.com/mwt5345/DeepLenseSim), a0c0191; Alexander et al. (2020), arXiv:1909.07346.
    """

    name: str
    description: str
    instrument: CountingCamera | Telescope
    class_names: tuple[ClassName, ...] = ("no_sub", "cdm", "axion")

    redshift_lens: float = 0.5
    redshift_source: float = 1.0
    lens_mass: float = 1e12
    lens_ellipticity_1: float = 0.1
    lens_ellipticity_2: float = 0.0
    shear_1: float = 0.05
    shear_2: float = 0.0

    source_amplitude: float | None = None
    source_magnitude: float | None = None
    source_radius: float = 0.25
    sersic_index: float = 1.0
    source_ellipticity_1: float = -0.1
    source_ellipticity_2: float = 0.1
    source_position_limit: float = 0.35

    subhalo_count: int = 25
    subhalo_mass_range: tuple[float, float] = (1e6, 1e10)
    subhalo_distance_range: tuple[float, float] = (0.25, 2.0)
    vortex_mass: float = 3e10
    vortex_points: int = 100
    log10_axion_mass_range: tuple[float, float] = (-24.0, -22.0)

    distance_convention: DistanceConvention = "luminosity"
    arcsec_per_radian: float = 206_265.0
    mass_cosmology: FlatCosmology = PUBLISHED_COSMOLOGY
    deflection_reference_redshift: float = 1.0
    deflection_cosmology: FlatCosmology = PUBLISHED_COSMOLOGY
    subhalo_mass_slope: float = -0.9
    subhalo_count_distribution: CountDistribution = "fixed"
    subhalo_distance_distribution: RadiusDistribution = "uniform_in_radius"
    vortex_length_constant: float = 0.06
    noise_model: NoiseModel = "gaussian"
    poisson_applied_twice: bool = False
    noise_discarded: bool = False
    image_multiplier: float = 1.0
    population: str = ""

    @property
    def num_bands(self) -> int:
        """Number of bands, which is one."""
        return 1

    @property
    def instrument_name(self) -> str:
        """Name of the camera."""
        return self.instrument.name

    def __post_init__(self) -> None:
        _check_choices(self)
        _check_lens(self)
        _check_source(self)
        _check_substructure(self)


def _check_choices(recipe: PublishedRecipe) -> None:
    choices = {
        "distance_convention": DistanceConvention,
        "subhalo_count_distribution": CountDistribution,
        "subhalo_distance_distribution": RadiusDistribution,
        "noise_model": NoiseModel,
    }
    for field, literal in choices.items():
        if getattr(recipe, field) not in get_args(literal):
            raise ValueError(f"{field}={getattr(recipe, field)!r} is not one of {', '.join(get_args(literal))}.")
    unknown = set(recipe.class_names) - set(get_args(ClassName))
    if unknown or not recipe.class_names:
        raise ValueError(f"class_names={recipe.class_names} must be chosen from {', '.join(get_args(ClassName))}.")


def _check_positive(recipe: PublishedRecipe, *fields: str) -> None:
    for field in fields:
        value = getattr(recipe, field)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{field}={value} is not a positive number.")


def _check_modulus(name: str, first: float, second: float) -> None:
    if not math.hypot(first, second) < 1:
        raise ValueError(f"{name}=({first}, {second}) has a modulus of 1 or more; it must be below 1.")


def _check_lens(recipe: PublishedRecipe) -> None:
    _check_positive(recipe, "lens_mass", "arcsec_per_radian")
    farthest = min(recipe.redshift_source, recipe.deflection_reference_redshift)
    if not 0 < recipe.redshift_lens < farthest:
        raise ValueError(
            f"redshift_lens={recipe.redshift_lens} must be above 0 and below both redshift_source="
            f"{recipe.redshift_source} and "
            f"deflection_reference_redshift={recipe.deflection_reference_redshift}."
        )
    _check_modulus("lens_ellipticity", recipe.lens_ellipticity_1, recipe.lens_ellipticity_2)
    _check_modulus("shear", recipe.shear_1, recipe.shear_2)


def _check_source(recipe: PublishedRecipe) -> None:
    _check_positive(recipe, "source_radius", "sersic_index", "image_multiplier")
    _check_modulus("source_ellipticity", recipe.source_ellipticity_1, recipe.source_ellipticity_2)
    amplitude, magnitude = recipe.source_amplitude, recipe.source_magnitude
    if (amplitude is None) == (magnitude is None):
        raise ValueError(f"source_amplitude={amplitude} and source_magnitude={magnitude}: give exactly one.")
    if amplitude is not None:
        _check_positive(recipe, "source_amplitude")
    elif not isinstance(recipe.instrument, Telescope):
        raise ValueError(
            f"source_magnitude={magnitude} needs an instrument with a zero point; "
            f"{recipe.instrument.name} has none. Give source_amplitude instead."
        )
    if not recipe.source_position_limit >= 0:
        raise ValueError(f"source_position_limit={recipe.source_position_limit} arcsec must be zero or more.")


def _check_substructure(recipe: PublishedRecipe) -> None:
    _check_positive(recipe, "vortex_mass", "vortex_length_constant")
    if recipe.subhalo_count < 0 or recipe.vortex_points < 2:
        raise ValueError(
            f"subhalo_count={recipe.subhalo_count} must be 0 or more and "
            f"vortex_points={recipe.vortex_points} 2 or more."
        )
    for field in ("subhalo_mass_range", "subhalo_distance_range"):
        lowest, highest = getattr(recipe, field)
        if not 0 < lowest <= highest:
            raise ValueError(f"{field}=({lowest}, {highest}) must be positive and in rising order.")
    lightest, heaviest = recipe.log10_axion_mass_range
    if not -math.inf < lightest <= heaviest < math.inf:
        raise ValueError(f"log10_axion_mass_range=({lightest}, {heaviest}) must be finite and in rising order.")
