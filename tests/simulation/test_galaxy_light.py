"""Tests of galaxies as lights, with lenstronomy as the reference."""

import numpy as np
import pytest
import torch
from lenstronomy.LightModel.Profiles.interpolation import Interpol

from deeplense_hf.simulation.galaxy_light import GalaxyLight
from deeplense_hf.simulation.galaxy_stamps import GalaxyStamps

BATCH = 4


def stamps(bands: int = 3, height: int = 20, width: int = 25) -> GalaxyStamps:
    rng = np.random.default_rng(5)
    images = rng.random((6, bands, height, width)).astype(np.float32)
    images[..., [0, -1]] = 0
    return GalaxyStamps(images, tuple("abcdef"), 0.05, f"random-{bands}-{height}-{width}")


def galaxy_light(galaxies: GalaxyStamps, bands: int = 3) -> GalaxyLight:
    return GalaxyLight(
        galaxies,
        number=np.array([0, 5, 2, 2]),
        x=np.array([0.0, 0.1, -0.3, 0.0]),
        y=np.array([0.0, 0.2, 0.05, 0.1]),
        angle=np.array([0.0, 0.7, -2.0, 3.1]),
        half_light_radius=np.array([0.05, 0.1, 0.03, 0.2]) * galaxies.half_light_radii[[0, 5, 2, 2]],
        flux=np.arange(1.0, 1 + BATCH * bands).reshape(BATCH, bands),
    )


def grid(size: int, width: float = 2.2, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    axis = torch.linspace(-width / 2, width / 2, size, dtype=dtype)
    return axis[None, None, :], axis[None, :, None]


def brightness(light: GalaxyLight, x: torch.Tensor, y: torch.Tensor, rows: slice) -> torch.Tensor:
    image = torch.zeros(len(light.x[rows]), light.flux.shape[1], y.shape[-2], x.shape[-1], dtype=x.dtype)
    light.add_brightness_(image, x, y, rows)
    return image


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_brightness_equals_lenstronomy(dtype: torch.dtype, tolerance: float) -> None:
    galaxies = stamps()
    light = galaxy_light(galaxies)
    x, y = grid(31, dtype=dtype)
    image = brightness(light, x, y, slice(0, BATCH)).double().numpy()
    grid_x, grid_y = np.meshgrid(x[0, 0].double().numpy(), y[0, :, 0].double().numpy())
    for row in range(BATCH):
        scale = light.half_light_radius[row] / galaxies.half_light_radii[light.number[row]]
        for band in range(3):
            stamp = galaxies.images[light.number[row], band].astype(np.float64)
            expected = light.flux[row, band] * Interpol().function(
                grid_x.ravel(), grid_y.ravel(), stamp / stamp.sum() / scale**2, 1,
                light.x[row], light.y[row], light.angle[row], scale,
            ).reshape(grid_x.shape)  # fmt: skip
            np.testing.assert_allclose(image[row, band], expected, atol=tolerance * expected.max())


def test_integral_is_the_flux() -> None:
    light = galaxy_light(stamps())
    x, y = grid(601, 6.0)
    image = brightness(light, x, y, slice(0, BATCH))
    np.testing.assert_allclose(image.sum(dim=(2, 3)) * 0.01**2, light.flux, rtol=3e-3)


def test_bands_that_the_stamps_lack_show_their_mean() -> None:
    x, y = grid(15)
    one = brightness(galaxy_light(stamps(), bands=1), x, y, slice(0, 1))
    three = brightness(galaxy_light(stamps(), bands=3), x, y, slice(0, 1))
    normalised = three[0] / torch.from_numpy(galaxy_light(stamps()).flux[0])[:, None, None]
    np.testing.assert_allclose(one[0, 0] / galaxy_light(stamps(), 1).flux[0, 0], normalised.mean(dim=0), atol=1e-10)
    assert brightness(galaxy_light(stamps(1), bands=2), x, y, slice(0, BATCH)).any()


def test_absent_galaxies_and_chunks_change_no_bit() -> None:
    light = galaxy_light(stamps())
    flux = light.flux.copy()
    flux[1] = 0
    some = GalaxyLight(light.stamps, light.number, light.x, light.y, light.angle, light.half_light_radius, flux)
    x, y = (axis.float() for axis in grid(32))
    full_x = x.expand(BATCH, 32, 32) + 0.01 * torch.arange(BATCH)[:, None, None]
    whole = brightness(light, full_x, y, slice(0, BATCH))
    partly = brightness(some, full_x, y, slice(0, BATCH))
    assert not partly[1].any()
    assert torch.equal(partly[[0, 2, 3]], whole[[0, 2, 3]])
    alone = torch.cat([brightness(light, full_x[row : row + 1], y, slice(row, row + 1)) for row in range(BATCH)])
    assert torch.equal(alone, whole)


def test_bad_values_are_refused() -> None:
    good = dict(vars(galaxy_light(stamps())))
    with pytest.raises(ValueError, match="number=6"):
        GalaxyLight(**(good | {"number": np.array([0, 6, 1, 1])}))
    with pytest.raises(ValueError, match="half_light_radius=0"):
        GalaxyLight(**(good | {"half_light_radius": np.zeros(BATCH)}))
    with pytest.raises(ValueError, match="angle=nan"):
        GalaxyLight(**(good | {"angle": np.full(BATCH, np.nan)}))
