"""From a scene recipe, class, seed and index to scenes, whatever the batch around them."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .components import Deflector, Light
from .galaxy_light import GalaxyLight
from .image_multiplicity import count_images
from .instruments import Telescope, fluxes
from .lens_equation import LensedPoints, find_images
from .lenstronomy_deflector import RealizationDeflector
from .look_alikes import LookAlike, look_alike_lights
from .mass_sheet import MassSheet
from .point_images import PointImages
from .random_streams import population_generator, system_numbers
from .scene_draws import PRIVATE, DrawnSystem, draw_system, galaxies_of
from .scene_priors import QuasarPrior
from .scene_recipe import SceneRecipe
from .scenes import Scenes
from .sersic_light import SersicLight
from .smooth_lens import SmoothLens
from .subhalo_population import stack
from .vortex import Vortex

FloatArray = NDArray[np.float64]


def draw_scenes(recipe: SceneRecipe, class_name: str, indices: Sequence[int], seed: int) -> Scenes:
    """Draw scenes.

    Lens, source and everything else that is no substructure come from one distribution for all classes, and the mass
    within the Einstein radius does not depend on the class: what goes into substructure is taken out of the smooth
    lens.

    Args:
        recipe: What to draw from.
        class_name: One of the recipe's classes.
        indices: Numbers of the systems, zero or more, in any order.
        seed: Seed of the data set, zero or more.

    Returns:
        The scenes in the order of the indices; each depends on (population, class, seed, index) only.

    Raises:
        ValueError: If the class is not in the recipe, or an index or the seed is negative or not whole.
    """
    numbers = system_numbers(recipe, class_name, indices, seed)
    systems = [
        draw_system(recipe, class_name, population_generator(recipe.population or recipe.name, class_name, seed, index))
        for index in numbers.tolist()
    ]
    if not systems:
        return _no_scenes(class_name, seed)
    names = dict.fromkeys(name for system in systems for name in system.numbers)
    columns = {name: np.array([system.numbers.get(name, math.nan) for system in systems]) for name in names}
    return _compose(recipe, class_name, numbers, seed, systems, columns)


def _no_scenes(class_name: str, seed: int) -> Scenes:
    nothing = np.zeros(0)
    no_lens = SmoothLens(nothing, nothing, nothing, nothing, nothing)
    return Scenes(class_name, np.zeros(0, np.int64), seed, {}, np.zeros((0, 2)), no_lens, no_lens, (), (), ())


def _compose(
    recipe: SceneRecipe,
    class_name: str,
    indices: NDArray[np.int64],
    seed: int,
    systems: Sequence[DrawnSystem],
    columns: dict[str, FloatArray],
) -> Scenes:
    """Make components of the drawn numbers."""
    # What is no lens deflects nothing and has nothing behind it; its columns are NaN.
    total, *macro = (
        np.zeros(len(systems)) if class_name == "non_lens" else columns[name]
        for name in ("einstein_radius", "ellipticity_1", "ellipticity_2", "shear_1", "shear_2")
    )
    look_alikes = [system.look_alike for system in systems if system.look_alike is not None]
    parameters: dict[str, NDArray[np.generic]] = {
        name: values for name, values in columns.items() if name not in PRIVATE
    }
    parameters["exposure_time"] = np.full(len(systems), recipe.instrument.total_exposure_time)
    parameters["background_rms"] = np.full(len(systems), recipe.instrument.background_rms)
    parameters["source_galaxy"] = np.array([system.source_galaxy for system in systems])
    if look_alikes:
        parameters["look_alike"] = np.array([look_alike.kind for look_alike in look_alikes])
        parameters["number_of_images"] = np.zeros(len(systems), dtype=np.int32)
    else:
        parameters["number_of_images"] = count_images(columns["source_x"], columns["source_y"], total, *macro)
    smooth_einstein_radius, substructure = _substructure(recipe, class_name, systems, columns, macro)
    scenes = Scenes(
        class_name=class_name,
        indices=indices,
        seed=seed,
        parameters=parameters,
        image_centre=-np.stack([columns["lens_x"], columns["lens_y"]], axis=1),
        macro_lens=SmoothLens(total, *macro),
        smooth_lens=SmoothLens(smooth_einstein_radius, *macro),
        substructure=substructure,
        source=() if look_alikes else _source_lights(recipe, columns),
        foreground=_look_alike_lights(recipe, look_alikes) if look_alikes else _lens_light(recipe, columns),
    )
    return scenes if recipe.quasar is None else _with_quasar(scenes, recipe.quasar, recipe.bands)


def _substructure(
    recipe: SceneRecipe,
    class_name: str,
    systems: Sequence[DrawnSystem],
    columns: dict[str, FloatArray],
    macro: Sequence[FloatArray],
) -> tuple[FloatArray, Sequence[Deflector]]:
    """Einstein radius that is left to the smooth lens [arcsec], and what deflects beside it."""
    radius = columns["smooth_einstein_radius"]
    if recipe.pyhalo is not None and class_name in ("cdm", "axion"):
        ellipticity_1, ellipticity_2, shear_1, shear_2 = macro
        haloes = RealizationDeflector(
            [system.realization for system in systems],
            columns["einstein_radius"],
            ellipticity_1,
            ellipticity_2,
            shear_1,
            shear_2,
            redshift_convention=recipe.pyhalo.redshift_convention,
        )
        if not recipe.pyhalo.conserve_mass:
            return radius, (haloes,)
        radius = np.maximum(columns["einstein_radius"] - haloes.mean_deflection(columns["einstein_radius"]), 0)
        return radius, (replace(haloes, einstein_radius=radius),)
    if class_name == "cdm":
        drawn = [system.subhaloes for system in systems if system.subhaloes is not None]
        return radius, (stack(drawn), MassSheet(-columns["removed_convergence"], columns["disc_radius"]))
    if class_name == "axion":
        names = ("x", "y", "half_length", "angle", "einstein_radius", "core_radius")
        return radius, (Vortex(**{name: columns[f"vortex_{name}"] for name in names}),)
    return radius, ()


def _look_alike_lights(recipe: SceneRecipe, look_alikes: Sequence[LookAlike]) -> list[Light]:
    stamps = None if recipe.galaxies is None else galaxies_of(recipe)
    return look_alike_lights(look_alikes, recipe.num_bands, stamps)


def _with_quasar(scenes: Scenes, prior: QuasarPrior, bands: Sequence[Telescope]) -> Scenes:
    """Add the images of a point of light at the source's centre."""
    wanted = ("quasar_magnitude", "source_x", "source_y", "lens_x", "lens_y")
    columns = {name: scenes.parameters[name].astype(np.float64) for name in wanted}
    flux = fluxes(columns["quasar_magnitude"], prior.colours, bands)

    def images(deflectors: Sequence[Deflector]) -> tuple[LensedPoints, PointImages]:
        found = find_images(columns["source_x"], columns["source_y"], scenes.macro_lens, deflectors)
        shift_x, shift_y = columns["lens_x"][:, None], columns["lens_y"][:, None]
        magnified = np.abs(found.magnification)[:, :, None] * flux[:, None, :]
        return found, PointImages(found.x + shift_x, found.y + shift_y, magnified)

    smooth, without = images([scenes.macro_lens])
    found, points = images([scenes.smooth_lens, *scenes.substructure]) if scenes.substructure else (smooth, without)
    parameters = scenes.parameters | {
        "number_of_images": found.number_of_images,
        "flux_ratio_anomaly": found.flux_ratio_anomaly,
    }
    return replace(scenes, parameters=parameters, points=points, points_without_substructure=without)


def _source_lights(recipe: SceneRecipe, columns: dict[str, FloatArray]) -> list[Light]:
    flux = fluxes(columns["source_magnitude"], recipe.source.colours, recipe.bands)
    stamp = columns.get("stamp", np.full(len(flux), np.nan))
    real = np.isfinite(stamp)
    lights: list[Light] = []
    if not real.all():
        lights.append(
            SersicLight(
                columns["source_x"],
                columns["source_y"],
                columns["source_radius"],
                np.where(real, 1.0, columns["sersic_index"]),
                np.where(real, 0.0, columns["source_ellipticity_1"]),
                np.where(real, 0.0, columns["source_ellipticity_2"]),
                np.where(real[:, None], 0.0, flux),
            )
        )
    if real.any():
        lights.append(
            GalaxyLight(
                galaxies_of(recipe),
                np.where(real, stamp, 0).astype(np.int64),
                columns["source_x"],
                columns["source_y"],
                np.where(real, columns["source_angle"], 0.0),
                columns["source_radius"],
                np.where(real[:, None], flux, 0.0),
            )
        )
    return lights


def _lens_light(recipe: SceneRecipe, columns: dict[str, FloatArray]) -> list[Light]:
    if recipe.lens.light is None or not recipe.lens_light:
        return []
    at_centre = np.zeros_like(columns["lens_magnitude"])
    return [
        SersicLight(
            at_centre, at_centre, columns["lens_light_radius"], columns["lens_sersic_index"],
            columns["lens_ellipticity_1"], columns["lens_ellipticity_2"],
            fluxes(columns["lens_magnitude"], recipe.lens.light.colours, recipe.bands),
        )
    ]  # fmt: skip
