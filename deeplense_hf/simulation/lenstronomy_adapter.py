"""The same systems in lenstronomy's terms, to be compared with: the only file that knows both sets of names.

lenstronomy comes with the `test` extra and is imported when a function runs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .instruments import CountingCamera, Telescope
from .populations import Systems, deflection_factor
from .published_recipe import PublishedRecipe

FloatArray = NDArray[np.float64]


def lens_models(systems: Systems, row: int) -> tuple[list[str], list[dict[str, float]]]:
    """A system's lens as lenstronomy wants it.

    Args:
        systems: The systems.
        row: Which of the batch.

    Returns:
        lenstronomy's `lens_model_list` and `kwargs_lens`, reduced to the source's redshift.
    """
    value = {name: float(column[row]) for name, column in systems.parameters.items()}
    names = ["SIE", "SHEAR"]
    keywords = [
        {
            "theta_E": value["einstein_radius"],
            "e1": value["ellipticity_1"],
            "e2": value["ellipticity_2"],
            "center_x": 0.0,
            "center_y": 0.0,
        },
        {"gamma1": value["shear_1"], "gamma2": value["shear_2"]},
    ]
    points = zip(systems.point_x[row], systems.point_y[row], systems.point_einstein_radius[row], strict=True)
    for x, y, radius in points:
        names.append("POINT_MASS")
        keywords.append({"theta_E": float(radius), "center_x": float(x), "center_y": float(y)})
    return names, keywords


def source_light(systems: Systems, row: int) -> dict[str, float]:
    """A system's source as lenstronomy wants it, without brightness.

    Args:
        systems: The systems.
        row: Which of the batch.

    Returns:
        Keywords of a SERSIC_ELLIPSE.
    """
    value = {name: float(column[row]) for name, column in systems.parameters.items()}
    return {
        "R_sersic": value["source_radius"],
        "n_sersic": value["sersic_index"],
        "e1": value["source_ellipticity_1"],
        "e2": value["source_ellipticity_2"],
        "center_x": value["source_x"],
        "center_y": value["source_y"],
    }


def lenstronomy_image(systems: Systems, row: int, recipe: PublishedRecipe) -> FloatArray:
    """Render a system's noise-free image with lenstronomy, by the calls of the published generator.

    Args:
        systems: The systems.
        row: Which of the batch.
        recipe: The recipe they were drawn from.

    Returns:
        Image [counts/s/pixel], shape `(height, width)`.

    Raises:
        ImportError: If lenstronomy is not installed.
    """
    return image_function(systems, recipe)(row)


def image_function(systems: Systems, recipe: PublishedRecipe) -> Callable[[int], FloatArray]:
    """Set lenstronomy up once for systems that differ in nothing but parameters.

    Args:
        systems: The systems; all have the same number of point masses.
        recipe: The recipe they were drawn from.

    Returns:
        A function from a row of the batch to its noise-free image [counts/s/pixel], shape `(height, width)`.

    Raises:
        ImportError: If lenstronomy is not installed.
    """
    numerics = {"supersampling_factor": 1, "supersampling_convolution": False}
    if isinstance(recipe.instrument, CountingCamera):
        model = _counting_camera_model(systems, recipe.instrument, numerics)

        def counting_camera_image(row: int) -> FloatArray:
            source = source_light(systems, row) | {"amp": recipe.source_amplitude}
            return np.asarray(model.image(lens_models(systems, row)[1], [source], None, None))

        return counting_camera_image
    simulation = simulation_api(systems, 0, recipe)
    model = simulation.image_model_class({"point_source_supersampling_factor": 1})

    def telescope_image(row: int) -> FloatArray:
        light = source_light(systems, row) | {"magnitude": recipe.source_magnitude}
        _, source, _ = simulation.magnitude2amplitude(None, [light])
        return np.asarray(model.image(_unreduced_lens_models(systems, row, recipe), source, None))

    return telescope_image


def simulation_api(systems: Systems, row: int, recipe: PublishedRecipe) -> Any:
    """Lenstronomy's SimAPI for a system, as Models II and III use it.

    Args:
        systems: The systems.
        row: Which of the batch.
        recipe: The recipe they were drawn from.

    Returns:
        A `lenstronomy.SimulationAPI.sim_api.SimAPI`.

    Raises:
        ImportError: If lenstronomy is not installed.
        ValueError: If the recipe's instrument is not a telescope.
    """
    from astropy.cosmology import FlatLambdaCDM
    from lenstronomy.SimulationAPI.sim_api import SimAPI

    instrument = recipe.instrument
    if not isinstance(instrument, Telescope):
        raise ValueError(f"recipe {recipe.name}: instrument {instrument.name} is not a Telescope, as SimAPI needs.")
    names, _ = lens_models(systems, row)
    band = {
        "pixel_scale": instrument.pixel_scale,
        "exposure_time": instrument.exposure_time,
        "num_exposures": instrument.exposures,
        "magnitude_zero_point": instrument.magnitude_zero_point,
        "sky_brightness": instrument.sky_brightness,
        "read_noise": instrument.read_noise,
        "seeing": instrument.gaussian.fwhm,
        "truncation": instrument.gaussian.truncation,
        "psf_type": "GAUSSIAN",
    }
    cosmology = recipe.deflection_cosmology
    model = {
        "lens_model_list": names,
        "lens_redshift_list": [recipe.redshift_lens] * len(names),
        "source_light_model_list": ["SERSIC_ELLIPSE"],
        "source_redshift_list": [recipe.redshift_source],
        "cosmo": FlatLambdaCDM(H0=cosmology.hubble_constant, Om0=cosmology.matter_density),
        "z_source_convention": recipe.deflection_reference_redshift,
        "z_source": recipe.redshift_source,
    }
    return SimAPI(instrument.image_size, band, model)


def _unreduced_lens_models(systems: Systems, row: int, recipe: PublishedRecipe) -> list[dict[str, float]]:
    """Lens models before the deflection factor, which lenstronomy's multi-plane code applies itself."""
    factor = deflection_factor(recipe)
    exponents = {"theta_E": 0.5, "gamma1": 1.0, "gamma2": 1.0}
    unreduced = []
    for name, model in zip(*lens_models(systems, row), strict=True):
        powers = exponents | ({"theta_E": 1.0} if name == "SIE" else {})
        unreduced.append({key: value / factor ** powers.get(key, 0.0) for key, value in model.items()})
    return unreduced


def _counting_camera_model(systems: Systems, camera: CountingCamera, numerics: dict[str, Any]) -> Any:
    from lenstronomy.Data.imaging_data import ImageData
    from lenstronomy.Data.psf import PSF
    from lenstronomy.ImSim.image_model import ImageModel
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel
    from lenstronomy.Util import util

    grid = util.make_grid_with_coordtransform(
        num_pix=camera.image_size,
        delta_pix=camera.pixel_scale,
        center_ra=0,
        center_dec=0,
        subgrid_res=1,
        inverse=False,
    )
    data = ImageData(
        image_data=np.zeros((camera.image_size, camera.image_size)),
        ra_at_xy_0=grid[2],
        dec_at_xy_0=grid[3],
        transform_pix2angle=grid[6],
    )
    psf = PSF(
        psf_type="GAUSSIAN",
        fwhm=camera.gaussian.fwhm,
        pixel_size=camera.pixel_scale,
        truncation=camera.gaussian.truncation,
    )
    return ImageModel(
        data,
        psf,
        lens_model_class=LensModel(lens_models(systems, 0)[0]),
        source_model_class=LightModel(["SERSIC_ELLIPSE"]),
        kwargs_numerics=numerics,
    )
