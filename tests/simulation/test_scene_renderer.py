"""Scenes against lenstronomy: every deflector and light together, pixel by pixel."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from lenstronomy.Data.imaging_data import ImageData
from lenstronomy.Data.psf import PSF
from lenstronomy.ImSim.image_model import ImageModel
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel
from lenstronomy.Util import util

from deeplense_hf.simulation.instruments import EUCLID_VIS, Telescope
from deeplense_hf.simulation.light import sersic_amplitude
from deeplense_hf.simulation.point_spread import KernelPointSpread, MoffatPointSpread, pixel_kernel
from deeplense_hf.simulation.scene_populations import draw_scenes
from deeplense_hf.simulation.scene_recipe import SceneRecipe
from deeplense_hf.simulation.scene_recipes import SCENE_RECIPES
from deeplense_hf.simulation.scene_renderer import convolve, render_scenes
from deeplense_hf.simulation.scenes import Scenes

REALISTIC = SCENE_RECIPES["realistic"]
SMALL = replace(REALISTIC, bands=(replace(EUCLID_VIS, image_size=32, pixel_scale=0.2),))


def lens_model(scenes: Scenes, row: int) -> tuple[LensModel, list[dict[str, Any]]]:
    smooth = scenes.smooth_lens
    names = ["SIE", "SHEAR"]
    keywords: list[dict[str, Any]] = [
        {"theta_E": smooth.einstein_radius[row], "e1": smooth.ellipticity_1[row], "e2": smooth.ellipticity_2[row]},
        {"gamma1": smooth.shear_1[row], "gamma2": smooth.shear_2[row]},
    ]
    if scenes.class_name == "cdm":
        haloes, sheet = scenes.substructure
        for halo in np.flatnonzero(haloes.deflection[row]):  # type: ignore[attr-defined]
            names.append("TNFW")
            keywords.append(
                {
                    "Rs": haloes.scale_radius[row, halo], "alpha_Rs": haloes.deflection[row, halo],  # type: ignore[attr-defined]
                    "r_trunc": haloes.truncation_radius[row, halo],  # type: ignore[attr-defined]
                    "center_x": haloes.x[row, halo], "center_y": haloes.y[row, halo],  # type: ignore[attr-defined]
                }
            )  # fmt: skip
        names.append("CONVERGENCE")
        keywords.append({"kappa": sheet.convergence[row]})  # type: ignore[attr-defined]
    return LensModel(names), keywords


def lenstronomy_image(scenes: Scenes, row: int, recipe: SceneRecipe) -> np.ndarray:
    telescope = recipe.instrument
    grid = util.make_grid_with_coordtransform(telescope.image_size, telescope.pixel_scale, subgrid_res=1, inverse=False)
    centre = scenes.image_centre[row]
    data = ImageData(
        np.zeros((telescope.image_size,) * 2), ra_at_xy_0=grid[2] + centre[0], dec_at_xy_0=grid[3] + centre[1],
        transform_pix2angle=grid[6],
    )  # fmt: skip
    lens, lens_keywords = lens_model(scenes, row)
    value = {name: column[row] for name, column in scenes.parameters.items()}
    light = scenes.foreground[0]
    sersic = "SERSIC_ELLIPSE"
    source_keywords = {
        "R_sersic": value["source_radius"], "n_sersic": value["sersic_index"], "e1": value["source_ellipticity_1"],
        "e2": value["source_ellipticity_2"], "center_x": value["source_x"], "center_y": value["source_y"],
    }  # fmt: skip
    light_keywords = {
        "R_sersic": value["lens_light_radius"], "n_sersic": value["lens_sersic_index"], "e1": light.ellipticity_1[row],  # type: ignore[attr-defined]
        "e2": light.ellipticity_2[row], "center_x": 0.0, "center_y": 0.0,  # type: ignore[attr-defined]
    }  # fmt: skip
    for keywords, magnitude in ((source_keywords, "source_magnitude"), (light_keywords, "lens_magnitude")):
        flux = telescope.electrons_per_second(value[magnitude])
        keywords["amp"] = sersic_amplitude(flux, keywords["R_sersic"], keywords["n_sersic"])
    model = ImageModel(
        data, PSF(psf_type="GAUSSIAN", fwhm=0.16, pixel_size=telescope.pixel_scale, truncation=5),
        lens_model_class=lens, source_model_class=LightModel([sersic]), lens_light_model_class=LightModel([sersic]),
        kwargs_numerics={"supersampling_factor": recipe.supersampling, "supersampling_convolution": False},
    )  # fmt: skip
    return np.asarray(model.image(lens_keywords, [source_keywords], [light_keywords], None))


@pytest.mark.parametrize("class_name", ["no_sub", "cdm"])
def test_images_equal_lenstronomys(class_name: str) -> None:
    recipe = replace(SMALL, subhaloes=replace(SMALL.subhaloes, mass_range=(1e9, 1e10)))
    scenes = draw_scenes(recipe, class_name, range(3), seed=5)
    double = render_scenes(scenes, recipe, dtype=torch.float64)
    single = render_scenes(scenes, recipe)
    for row in range(3):
        expected = lenstronomy_image(scenes, row, recipe)
        # The disc of negative convergence ends at the image's edge; lenstronomy's does not.
        inside = np.hypot(*(np.indices((32, 32)) - 15.5)) < 12
        for layers, tolerance in ((double, 2e-4), (single, 3e-4)):
            image = (layers.source + layers.foreground)[row, 0].numpy()
            assert np.abs(image - expected)[inside].max() < tolerance * layers.source[row].max()


def test_a_smooth_system_equals_lenstronomy_in_every_pixel() -> None:
    scenes = draw_scenes(SMALL, "no_sub", range(4), seed=6)
    layers = render_scenes(scenes, SMALL, dtype=torch.float64)
    for row in range(4):
        expected = lenstronomy_image(scenes, row, SMALL)
        image = (layers.source + layers.foreground)[row, 0].numpy()
        assert np.abs(image - expected).max() < 1e-6 * expected.max()


@pytest.mark.parametrize("class_name", REALISTIC.class_names)
def test_an_image_does_not_depend_on_its_batch(class_name: str) -> None:
    together = render_scenes(draw_scenes(SMALL, class_name, [3, 0, 7], seed=1), SMALL)
    alone = render_scenes(draw_scenes(SMALL, class_name, [7], seed=1), SMALL)
    torch.testing.assert_close(together.source[2:], alone.source, rtol=0, atol=0)
    torch.testing.assert_close(together.foreground[2:], alone.foreground, rtol=0, atol=0)


@pytest.mark.parametrize("class_name", ["cdm", "axion"])
def test_without_substructure_the_lens_is_smooth_and_has_the_same_mass(class_name: str) -> None:
    scenes = draw_scenes(SMALL, class_name, range(3), seed=2)
    smooth = render_scenes(scenes, SMALL, substructure=False)
    macro = replace(scenes, smooth_lens=scenes.macro_lens, substructure=())
    torch.testing.assert_close(smooth.source, render_scenes(macro, SMALL).source, rtol=0, atol=0)
    full = render_scenes(scenes, SMALL)
    assert (full.source != smooth.source).any()
    torch.testing.assert_close(full.foreground, smooth.foreground, rtol=0, atol=0)
    np.testing.assert_allclose(full.source.sum(), smooth.source.sum(), rtol=0.15)


@pytest.mark.parametrize("point_spread", [MoffatPointSpread(0.7), KernelPointSpread(((0, 1, 0), (1, 4, 2), (0, 1, 0)))])
def test_blurring_is_a_convolution_with_the_kernel(point_spread: Any) -> None:
    telescope: Telescope = replace(EUCLID_VIS, point_spread=point_spread)
    point = torch.zeros(1, 2, 81, 81, dtype=torch.float64)
    point[:, :, 40, 40] = 2.0
    blurred = convolve(point, [telescope, EUCLID_VIS])
    for band, shape in ((0, point_spread), (1, EUCLID_VIS.point_spread)):
        kernel = pixel_kernel(shape, EUCLID_VIS.pixel_scale)
        reach = len(kernel) // 2
        inside = blurred[0, band, 40 - reach : 41 + reach, 40 - reach : 41 + reach]
        np.testing.assert_allclose(inside, 2 * kernel, atol=1e-12)
    np.testing.assert_allclose(blurred.sum(dim=(2, 3)), 2.0)


def test_a_flat_image_stays_flat_to_its_edges() -> None:
    flat = torch.full((1, 1, 32, 32), 3.0)
    np.testing.assert_allclose(convolve(flat, [EUCLID_VIS]), 3.0, rtol=1e-6)
