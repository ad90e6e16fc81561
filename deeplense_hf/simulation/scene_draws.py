"""What is drawn for one system of a scene recipe, from its own random numbers."""

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from .cosmology import ARCSEC_PER_RADIAN, SPEED_OF_LIGHT_KM_S
from .galaxy_stamps import GalaxyStamps
from .halo_structure import critical_surface_density, kiloparsec_per_arcsec
from .instruments import fluxes
from .look_alikes import Ingredients, LookAlike, draw_look_alike, magnified_flux
from .priors import draw_direction, draw_in_disc
from .pyhalo_substructure import HaloRealization, draw_realization
from .recipes import Recipe
from .scene_priors import LensLightPrior, LensPrior, PyHaloPrior
from .scene_recipe import SceneRecipe
from .subhalo_population import DrawnSubhaloes

# Points along a vortex at which it is asked whether they lie within the Einstein radius.
POINTS_ALONG_VORTEX = 65


@dataclass
class DrawnSystem:
    """What is drawn for one system.

    Attributes:
        numbers: Columns of the data set, and numbers that only the components need (`PRIVATE`).
        source_galaxy: Name of the real galaxy that is the source; empty for a Sersic profile.
        subhaloes: Subhaloes, of a `cdm` system.
        realization: Haloes by pyHalo, of a recipe that asks for them.
        look_alike: What looks like a lens, of a `non_lens` system.
    """

    numbers: dict[str, float] = field(default_factory=dict)
    source_galaxy: str = ""
    subhaloes: DrawnSubhaloes | None = None
    realization: HaloRealization | None = None
    look_alike: LookAlike | None = None


PRIVATE = (
    "smooth_einstein_radius", "removed_convergence", "disc_radius", "lens_ellipticity_1", "lens_ellipticity_2",
    "source_angle", "stamp", "vortex_einstein_radius",
)  # fmt: skip
"""Numbers of components that are not columns of the data set."""


def draw_system(recipe: SceneRecipe, class_name: str, generator: np.random.Generator) -> DrawnSystem:
    """Draw one system.

    Args:
        recipe: What to draw from.
        class_name: One of the recipe's classes.
        generator: Random numbers of this system.

    Returns:
        What was drawn. Everything that does not belong to the class is drawn first, by the same priors for all.
    """
    system = DrawnSystem()
    numbers = system.numbers
    lens = recipe.lens_of_no_sub if class_name == "no_sub" and recipe.lens_of_no_sub is not None else recipe.lens
    numbers.update(_draw_lens(recipe, lens, generator))
    numbers.update(_draw_source(recipe, generator, numbers["einstein_radius"]))
    if recipe.galaxies is not None:
        _draw_galaxy(recipe, generator, system)
    if lens.light is not None:
        numbers.update(_draw_lens_light(lens.light, generator, numbers))
    numbers.update(smooth_einstein_radius=numbers["einstein_radius"], removed_convergence=0.0, disc_radius=1.0)
    numbers.update(subhalo_count=0, subhalo_total_mass=0.0, subhalo_mass_fraction=0.0)
    if class_name in ("cdm", "axion") and recipe.pyhalo is not None:
        _draw_realization(recipe, recipe.pyhalo, class_name, generator, system)
    elif class_name == "cdm":
        _draw_subhaloes(recipe, generator, system)
    elif class_name == "axion":
        numbers.update(_draw_vortex(recipe, generator, numbers))
    elif class_name == "non_lens":
        system.look_alike = _draw_look_alike(recipe, generator, numbers)
        numbers.update(dict.fromkeys(OF_LENSES, math.nan), smooth_einstein_radius=0.0)
        # a look-alike has galaxies of its own
        system.source_galaxy = ""
    if not recipe.lens_light:
        numbers.update(dict.fromkeys(("lens_magnitude", "lens_light_radius", "lens_sersic_index"), math.nan))
    return system


def _draw_lens(recipe: SceneRecipe, prior: LensPrior, generator: np.random.Generator) -> dict[str, float]:
    velocity_dispersion = math.inf
    while velocity_dispersion > prior.largest_velocity_dispersion:
        redshift_lens, redshift_source = prior.redshift.draw(generator), recipe.source.redshift.draw(generator)
        if recipe.pyhalo is not None:
            # pyHalo's lens planes have two decimals
            redshift_lens, redshift_source = round(redshift_lens, 2), round(redshift_source, 2)
        radius = prior.einstein_radius.draw(generator)
        velocity_dispersion = _velocity_dispersion(recipe, redshift_lens, redshift_source, radius)
    ratio = prior.axial_ratio.draw(generator)
    ellipticity = draw_direction(generator, (1 - ratio) / (1 + ratio))
    shear, twice_angle = prior.shear.draw(generator), 2 * prior.shear_angle.draw(generator)
    lens_x, lens_y = draw_in_disc(generator, prior.largest_offset)
    return {
        "redshift_lens": redshift_lens,
        "redshift_source": redshift_source,
        "einstein_radius": radius,
        "velocity_dispersion": velocity_dispersion,
        "ellipticity_1": ellipticity[0],
        "ellipticity_2": ellipticity[1],
        "shear_1": shear * math.cos(twice_angle),
        "shear_2": shear * math.sin(twice_angle),
        "lens_x": lens_x,
        "lens_y": lens_y,
    }


def _velocity_dispersion(recipe: SceneRecipe, redshift_lens: float, redshift_source: float, radius: float) -> float:
    """Of a singular isothermal sphere [km/s]: Schneider, Ehlers & Falco (1992), eq. 8.34b."""
    distance = recipe.cosmology.angular_diameter_distance
    efficiency = distance(redshift_lens, redshift_source) / distance(0, redshift_source)
    return SPEED_OF_LIGHT_KM_S * math.sqrt(radius / ARCSEC_PER_RADIAN / (4 * math.pi * efficiency))


def _draw_source(recipe: SceneRecipe, generator: np.random.Generator, einstein_radius: float) -> dict[str, float]:
    prior = recipe.source
    if prior.square_position is not None:
        source_x, source_y = (prior.square_position * (2 * generator.random() - 1) for _ in "xy")
    else:
        source_x, source_y = draw_in_disc(generator, prior.largest_position * einstein_radius)
    ratio = prior.axial_ratio.draw(generator)
    ellipticity = draw_direction(generator, (1 - ratio) / (1 + ratio))
    return {
        "source_x": source_x,
        "source_y": source_y,
        "source_magnitude": prior.magnitude.draw(generator),
        "source_radius": prior.radius.draw(generator),
        "sersic_index": prior.sersic_index.draw(generator),
        "source_ellipticity_1": ellipticity[0],
        "source_ellipticity_2": ellipticity[1],
    } | ({} if recipe.quasar is None else {"quasar_magnitude": recipe.quasar.magnitude.draw(generator)})


def _draw_galaxy(recipe: SceneRecipe, generator: np.random.Generator, system: DrawnSystem) -> None:
    """Replace the Sersic profile of the source by a real galaxy."""
    stamps = galaxies_of(recipe)
    real = generator.random() < recipe.real_galaxy_fraction
    stamp, angle = int(generator.integers(len(stamps))), 2 * math.pi * generator.random()
    if real:
        system.source_galaxy = stamps.names[stamp]
        shape = dict.fromkeys(("sersic_index", "source_ellipticity_1", "source_ellipticity_2"), math.nan)
        system.numbers.update(stamp=stamp, source_angle=angle, **shape)


def galaxies_of(recipe: SceneRecipe) -> GalaxyStamps:
    """Real galaxies of a recipe.

    Args:
        recipe: A recipe with real galaxies.

    Returns:
        Their pictures.

    Raises:
        ValueError: If it has none, or names an unknown collection.
        ImportError: If scikit-image, which brings the Hubble Deep Field, is not installed.
    """
    if isinstance(recipe.galaxies, GalaxyStamps):
        return recipe.galaxies
    if recipe.galaxies == "hubble_deep_field":
        from .hubble_deep_field import hubble_deep_field_galaxies

        return hubble_deep_field_galaxies()
    raise ValueError(
        f"galaxies={recipe.galaxies!r} of recipe {recipe.name} must be 'hubble_deep_field' or GalaxyStamps."
    )


def for_split(recipe: Recipe, split: str) -> Recipe:
    """Leave a recipe the real galaxies of one split, so that none is seen in training and in testing.

    Args:
        recipe: Any recipe.
        split: train, validation or test.

    Returns:
        The recipe; one without real galaxies as it is.

    Raises:
        ValueError: If there are too few galaxies for every split to have some.
        ImportError: If scikit-image, which brings the Hubble Deep Field, is not installed.
    """
    if not isinstance(recipe, SceneRecipe) or recipe.galaxies is None:
        return recipe
    return replace(recipe, galaxies=_subset(galaxies_of(recipe), split))


@lru_cache(maxsize=8)
def _subset(stamps: GalaxyStamps, split: str) -> GalaxyStamps:
    return stamps.subset(split)


def _draw_lens_light(
    prior: LensLightPrior, generator: np.random.Generator, macro: dict[str, float]
) -> dict[str, float]:
    modulus = math.hypot(macro["ellipticity_1"], macro["ellipticity_2"])
    ratio = (1 - modulus) / (1 + modulus) + prior.axial_ratio_scatter * generator.standard_normal()
    ratio = min(max(ratio, 0.3), 1.0)
    angle = math.atan2(macro["ellipticity_2"], macro["ellipticity_1"]) / 2
    angle += prior.angle_scatter * generator.standard_normal()
    light_modulus = (1 - ratio) / (1 + ratio)
    ellipticity = light_modulus * math.cos(2 * angle), light_modulus * math.sin(2 * angle)
    if prior.ellipticity is not None:
        ellipticity = prior.ellipticity
    radius = prior.radius_in_einstein_radii.draw(generator) * macro["einstein_radius"]
    return {
        "lens_magnitude": prior.magnitude.draw(generator),
        "lens_light_radius": radius if prior.radius is None else prior.radius.draw(generator),
        "lens_sersic_index": prior.sersic_index.draw(generator),
        "lens_ellipticity_1": ellipticity[0],
        "lens_ellipticity_2": ellipticity[1],
    }


def _draw_subhaloes(recipe: SceneRecipe, generator: np.random.Generator, system: DrawnSystem) -> None:
    numbers = system.numbers
    # Where arcs can lie: as far as the image's nearest edge, which all subhaloes beyond would hardly touch.
    radius = recipe.instrument.field_of_view / 2
    drawn = recipe.subhaloes.draw(
        generator, numbers["redshift_lens"], numbers["redshift_source"], recipe.cosmology, radius
    )
    system.subhaloes = drawn
    numbers.update(
        subhalo_count=drawn.count,
        subhalo_total_mass=drawn.total_mass,
        subhalo_mass_fraction=drawn.convergence / recipe.subhaloes.lens_convergence,
        expected_subhalo_mass_fraction=drawn.mass_fraction,
        removed_convergence=drawn.expected_convergence,
        disc_radius=radius,
    )


def _draw_realization(
    recipe: SceneRecipe, prior: PyHaloPrior, class_name: str, generator: np.random.Generator, system: DrawnSystem
) -> None:
    numbers = system.numbers
    is_axion = class_name == "axion"
    cone = prior.axion_cone_opening_angle if is_axion else prior.cone_opening_angle
    log10_mass = prior.log10_axion_mass.draw(generator)
    system.realization = draw_realization(
        "axion" if is_axion else "cdm",
        numbers["redshift_lens"],
        numbers["redshift_source"],
        seed=int(generator.integers(2**32)),
        log10_axion_mass_ev=log10_mass,
        cone_opening_angle=cone,
        log10_lowest_mass=prior.log10_lowest_mass,
        subhalo_normalization=prior.subhalo_normalization,
    )
    # of the mass in the cone, where the mean convergence of a galaxy is that of `subhaloes`
    area = math.pi * (cone / 2) ** 2
    density = critical_surface_density(numbers["redshift_lens"], numbers["redshift_source"], recipe.cosmology)
    numbers.update(
        subhalo_count=system.realization.subhalo_count,
        subhalo_total_mass=system.realization.subhalo_total_mass,
        subhalo_mass_fraction=system.realization.subhalo_total_mass
        / (area * density * recipe.subhaloes.lens_convergence),
    )
    if is_axion:
        numbers["log10_axion_mass_ev"] = log10_mass


def _draw_vortex(recipe: SceneRecipe, generator: np.random.Generator, macro: dict[str, float]) -> dict[str, float]:
    prior, radius = recipe.vortex, macro["einstein_radius"]
    log10_mass, fraction = prior.log10_axion_mass.draw(generator), prior.mass_fraction.draw(generator)
    half_length = prior.half_length(log10_mass, kiloparsec_per_arcsec(macro["redshift_lens"], recipe.cosmology))
    centre_x, centre_y = draw_in_disc(generator, prior.largest_offset * radius)
    angle = math.pi * generator.random()
    along = half_length * np.linspace(-1, 1, POINTS_ALONG_VORTEX)
    inside = np.hypot(centre_x + along * math.cos(angle), centre_y + along * math.sin(angle)) < radius
    return {
        "log10_axion_mass_ev": log10_mass,
        "vortex_mass": fraction * _mass_within_einstein_radius(recipe, macro),
        "vortex_mass_fraction": fraction,
        "vortex_x": centre_x,
        "vortex_y": centre_y,
        "vortex_angle": angle,
        "vortex_half_length": half_length,
        "vortex_core_radius": prior.core_fraction * half_length,
        "vortex_einstein_radius": math.sqrt(fraction) * radius,
        # The deflection at the Einstein radius, averaged around it, is proportional to the mass within.
        "smooth_einstein_radius": radius * (1 - fraction * float(inside.mean())),
    }


def _mass_within_einstein_radius(recipe: SceneRecipe, macro: dict[str, float]) -> float:
    """Projected mass within the Einstein radius [Msun]."""
    density = critical_surface_density(macro["redshift_lens"], macro["redshift_source"], recipe.cosmology)
    return math.pi * macro["einstein_radius"] ** 2 * density


OF_LENSES = (
    "einstein_radius", "velocity_dispersion", "redshift_lens", "redshift_source", "ellipticity_1", "ellipticity_2",
    "shear_1", "shear_2", "source_x", "source_y", "source_magnitude", "source_radius", "sersic_index",
    "source_ellipticity_1", "source_ellipticity_2", "lens_magnitude", "lens_light_radius", "lens_sersic_index",
    "subhalo_count", "subhalo_total_mass", "subhalo_mass_fraction",
)  # fmt: skip
"""Columns that a system without a lens does not have."""


def _draw_look_alike(recipe: SceneRecipe, generator: np.random.Generator, macro: dict[str, float]) -> LookAlike:
    """Draw what shows the light of a lens system without being one."""
    if recipe.lens.light is None:
        raise ValueError(f"recipe {recipe.name} has non_lens systems, which need a prior of the lens's light.")
    source_flux = fluxes(np.array([macro["source_magnitude"]]), recipe.source.colours, recipe.bands)[0]
    ingredients = Ingredients(
        einstein_radius=macro["einstein_radius"],
        galaxy_radius=macro["lens_light_radius"],
        sersic_index=macro["lens_sersic_index"],
        ellipticity_1=macro["lens_ellipticity_1"],
        ellipticity_2=macro["lens_ellipticity_2"],
        galaxy_flux=fluxes(np.array([macro["lens_magnitude"]]), recipe.lens.light.colours, recipe.bands)[0],
        arc_flux=magnified_flux(
            source_flux, macro["source_x"], macro["source_y"], macro["source_radius"], macro["einstein_radius"]
        ),
    )
    stamps = None if recipe.galaxies is None else galaxies_of(recipe)
    return draw_look_alike(generator, ingredients, stamps=stamps)
