"""From recipe, class, seed and index to the parameters of a system, whatever the batch around it."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .cosmology import point_mass_einstein_radius
from .image_multiplicity import count_images
from .instruments import Telescope
from .published_recipe import PublishedRecipe
from .random_streams import population_generator, system_numbers

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Systems:
    """Parameters of a batch of systems of one class, already reduced to the source's redshift.

    Args:
        class_name: Their class.
        indices: Their numbers within (recipe, class, seed), shape `(batch,)`.
        seed: The data set's seed.
        parameters: Columns of the data set by name, each of shape `(batch,)`; NaN where a class has no such
            parameter.
        point_x: Positions of the point masses along x [arcsec], shape `(batch, points)`.
        point_y: Positions of the point masses along y [arcsec], shape `(batch, points)`.
        point_einstein_radius: Einstein radii of the point masses [arcsec], shape `(batch, points)`; zero
            means absent.
        points_in_row: Whether the points are equal and evenly spaced on a line through the origin, as long and in the
            direction that the parameters `vortex_half_length` and `vortex_angle` say; these are quicker to sum.
    """

    class_name: str
    indices: NDArray[np.int64]
    seed: int
    parameters: dict[str, NDArray[np.generic]]
    point_x: FloatArray
    point_y: FloatArray
    point_einstein_radius: FloatArray
    points_in_row: bool = False

    def __len__(self) -> int:
        return len(self.indices)

    def without_substructure(self) -> "Systems":
        """The same systems with the smooth lens alone."""
        nothing = np.zeros((len(self), 0))
        return replace(self, point_x=nothing, point_y=nothing, point_einstein_radius=nothing, points_in_row=False)


def draw_systems(recipe: PublishedRecipe, class_name: str, indices: Sequence[int], seed: int) -> Systems:
    """Draw the parameters of systems.

    Args:
        recipe: What to draw from.
        class_name: One of the recipe's classes.
        indices: Numbers of the systems, zero or more, in any order.
        seed: Seed of the data set, zero or more.

    Returns:
        The systems in the order of the indices; each depends on (recipe, class, seed, index) only.

    Raises:
        ValueError: If the class is not in the recipe, or an index or the seed is negative or not whole.

    Warns:
        UserWarning: If the recipe allows substructure beyond the corners of the image.
    """
    numbers = system_numbers(recipe, class_name, indices, seed)
    capacity = _subhalo_capacity(recipe)
    uniform = np.empty((len(numbers), 3 + {"no_sub": 0, "cdm": 1 + 3 * capacity, "axion": 2}[class_name]))
    _fill_uniform(uniform, recipe.population or recipe.name, class_name, seed, numbers)
    parameters = _macro_parameters(recipe, uniform[:, :3])
    if class_name == "cdm":
        _warn_beyond_image(recipe, "subhalo_distance_range", recipe.subhalo_distance_range[1])
        substructure, points = _draw_subhaloes(recipe, uniform[:, 3:], capacity)
    elif class_name == "axion":
        longest = float(vortex_half_length(recipe, recipe.log10_axion_mass_range[0]))
        _warn_beyond_image(recipe, "log10_axion_mass_range", longest)
        substructure, points = _draw_vortex(recipe, uniform[:, 3:])
    else:
        substructure, points = {}, np.zeros((3, len(numbers), 0))
    parameters |= substructure
    in_row = class_name == "axion"
    return Systems(class_name, numbers, seed, parameters, points[0], points[1], points[2], in_row)


def einstein_radius(recipe: PublishedRecipe, mass: FloatArray | float) -> FloatArray:
    """Einstein radius that a recipe ascribes to a mass, before `deflection_factor` is applied.

    Args:
        recipe: Gives redshifts, cosmologies and conventions.
        mass: Mass [Msun], any shape.

    Returns:
        Einstein radius [arcsec], in the shape of the masses.

    Source:
        DeepLenseSim, `mass_to_radius`. A factor f on its deflections multiplies an isothermal lens's Einstein radius
        by f and a point mass's by sqrt(f).
    """
    cosmology, z_lens, z_source = recipe.mass_cosmology, recipe.redshift_lens, recipe.redshift_source
    if recipe.distance_convention == "luminosity":
        to_lens, to_source = cosmology.luminosity_distance(z_lens), cosmology.luminosity_distance(z_source)
        between = to_source - to_lens
    else:
        to_lens, to_source = (cosmology.angular_diameter_distance(0, z) for z in (z_lens, z_source))
        between = cosmology.angular_diameter_distance(z_lens, z_source)
    return point_mass_einstein_radius(mass, to_lens, to_source, between, recipe.arcsec_per_radian)


@lru_cache(maxsize=32)
def deflection_factor(recipe: PublishedRecipe) -> float:
    """Factor on every deflection that comes of reducing it for another source redshift than the source's.

    Args:
        recipe: Gives the redshifts and the cosmology.

    Returns:
        The factor; 1 where the reference redshift is the source's.
    """
    return recipe.deflection_cosmology.deflection_ratio(
        recipe.redshift_lens, recipe.redshift_source, recipe.deflection_reference_redshift
    )


def vortex_half_length(recipe: PublishedRecipe, log10_axion_mass_ev: FloatArray | float) -> FloatArray:
    """Half length of the vortex that a recipe ascribes to an axion mass.

    Args:
        recipe: Gives the constant of proportionality.
        log10_axion_mass_ev: Axion mass [log10 eV], any shape.

    Returns:
        Half length [arcsec], in the shape of the masses.

    Source:
        DeepLenseSim; see `PublishedRecipe.vortex_length_constant`.
    """
    return np.asarray(recipe.vortex_length_constant / (2 * 10 ** (np.asarray(log10_axion_mass_ev) + 22)))


def _fill_uniform(uniform: FloatArray, population: str, class_name: str, seed: int, indices: NDArray[np.int64]) -> None:
    """Fill a row per system with its own random numbers."""
    if not len(indices):
        return
    generator = population_generator(population, class_name, seed, 0)
    # A generator of its own for each system would give the same numbers and take ten times as long to make.
    state = generator.bit_generator.state
    for row, index in zip(uniform, indices.tolist(), strict=True):
        state["state"]["counter"][3] = index
        generator.bit_generator.state = state
        generator.random(out=row)


def _warn_beyond_image(recipe: PublishedRecipe, name: str, distance: float) -> None:
    """Warn of substructure that lies outside the image at any angle, where hardly anything of it is seen."""
    corner = math.sqrt(2) * recipe.instrument.image_size * recipe.instrument.pixel_scale / 2
    if distance > corner:
        warnings.warn(
            f"{name}={getattr(recipe, name)} of recipe {recipe.name} reaches {distance:.3g} arcsec from the lens, "
            f"beyond the corners of the image at {corner:.3g} arcsec. Narrow the range or enlarge the image.",
            stacklevel=3,
        )


def _macro_parameters(recipe: PublishedRecipe, uniform: FloatArray) -> dict[str, NDArray[np.generic]]:
    batch = len(uniform)
    factor = deflection_factor(recipe)
    if isinstance(recipe.instrument, Telescope):
        exposure_time = np.full(batch, recipe.instrument.total_exposure_time)
    else:
        lowest, highest = recipe.instrument.log10_exposure_time_range
        exposure_time = 10 ** (lowest + (highest - lowest) * uniform[:, 2])
    source_x, source_y = (recipe.source_position_limit * (2 * uniform[:, axis] - 1) for axis in (0, 1))
    same_for_all = {
        # An isothermal ellipsoid's and a shear's deflections are proportional to these two.
        "einstein_radius": factor * float(einstein_radius(recipe, recipe.lens_mass)),
        "shear_1": factor * recipe.shear_1,
        "shear_2": factor * recipe.shear_2,
        "ellipticity_1": recipe.lens_ellipticity_1,
        "ellipticity_2": recipe.lens_ellipticity_2,
        "redshift_lens": recipe.redshift_lens,
        "redshift_source": recipe.redshift_source,
        "source_radius": recipe.source_radius,
        "sersic_index": recipe.sersic_index,
        "source_ellipticity_1": recipe.source_ellipticity_1,
        "source_ellipticity_2": recipe.source_ellipticity_2,
        "source_magnitude": math.nan if recipe.source_magnitude is None else recipe.source_magnitude,
        "background_rms": math.nan if recipe.noise_discarded else recipe.instrument.background_rms,
        "log10_axion_mass_ev": math.nan,
        "vortex_mass": math.nan,
        "vortex_mass_fraction": math.nan,
        "vortex_half_length": math.nan,
        "vortex_angle": math.nan,
        "subhalo_total_mass": 0.0,
        "subhalo_mass_fraction": 0.0,
    }
    parameters: dict[str, NDArray[np.generic]] = {
        name: np.full(batch, value, dtype=np.float64) for name, value in same_for_all.items()
    }
    parameters |= {"source_x": source_x, "source_y": source_y, "exposure_time": exposure_time}
    parameters["subhalo_count"] = np.zeros(batch, dtype=np.int32)
    macro = (same_for_all[name] for name in ("einstein_radius", "ellipticity_1", "ellipticity_2", "shear_1", "shear_2"))
    parameters["number_of_images"] = count_images(source_x, source_y, *macro)
    return parameters


def _draw_subhaloes(
    recipe: PublishedRecipe, uniform: FloatArray, capacity: int
) -> tuple[dict[str, NDArray[np.generic]], FloatArray]:
    batch = len(uniform)
    if recipe.subhalo_count_distribution == "poisson":
        count = np.searchsorted(_poisson_cumulative(recipe.subhalo_count, capacity), uniform[:, 0], side="right")
    else:
        count = np.full(batch, recipe.subhalo_count)
    present = np.arange(capacity) < count[:, None]
    for_mass, for_distance, for_angle = uniform[:, 1:].reshape(batch, 3, capacity).transpose(1, 0, 2)
    mass = np.where(present, _power_law(for_mass, recipe.subhalo_mass_range, recipe.subhalo_mass_slope), 0.0)
    distance_slope = 0.0 if recipe.subhalo_distance_distribution == "uniform_in_radius" else 1.0
    distance = _power_law(for_distance, recipe.subhalo_distance_range, distance_slope)
    radius = math.sqrt(deflection_factor(recipe)) * einstein_radius(recipe, mass)
    points = np.stack([distance * np.sin(2 * np.pi * for_angle), distance * np.cos(2 * np.pi * for_angle), radius])
    total_mass = mass.sum(axis=1)
    parameters: dict[str, NDArray[np.generic]] = {
        "subhalo_count": count.astype(np.int32),
        "subhalo_total_mass": total_mass,
        "subhalo_mass_fraction": total_mass / recipe.lens_mass,
    }
    return parameters, points


def _draw_vortex(recipe: PublishedRecipe, uniform: FloatArray) -> tuple[dict[str, NDArray[np.generic]], FloatArray]:
    batch = len(uniform)
    lowest, highest = recipe.log10_axion_mass_range
    log10_mass = lowest + (highest - lowest) * uniform[:, 0]
    half_length = vortex_half_length(recipe, log10_mass)
    angle = 2 * np.pi * uniform[:, 1]
    along = half_length[:, None] * np.linspace(-1, 1, recipe.vortex_points)
    single = float(einstein_radius(recipe, recipe.vortex_mass / recipe.vortex_points))
    radius = np.full_like(along, math.sqrt(deflection_factor(recipe)) * single)
    points = np.stack([along * np.cos(angle)[:, None], along * np.sin(angle)[:, None], radius])
    parameters: dict[str, NDArray[np.generic]] = {
        "log10_axion_mass_ev": log10_mass,
        "vortex_mass": np.full(batch, recipe.vortex_mass),
        "vortex_mass_fraction": np.full(batch, recipe.vortex_mass / recipe.lens_mass),
        "vortex_half_length": half_length,
        "vortex_angle": angle,
    }
    return parameters, points


def _power_law(uniform: FloatArray, limits: tuple[float, float], slope: float) -> FloatArray:
    """Draw from p(x) proportional to x**slope between limits by inverting the cumulative distribution."""
    lowest, highest = limits
    exponent = slope + 1
    if exponent == 0:
        return lowest * (highest / lowest) ** uniform
    low, high = lowest**exponent, highest**exponent
    return (low + (high - low) * uniform) ** (1 / exponent)


def _subhalo_capacity(recipe: PublishedRecipe) -> int:
    """Number of subhaloes for which random numbers are set aside."""
    if recipe.subhalo_count_distribution == "fixed":
        return recipe.subhalo_count
    return recipe.subhalo_count + 10 * math.ceil(math.sqrt(recipe.subhalo_count + 1))


@lru_cache(maxsize=8)
def _poisson_cumulative(mean: int, capacity: int) -> FloatArray:
    terms = [
        math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) if mean else float(k == 0) for k in range(capacity)
    ]
    return np.cumsum(terms)
