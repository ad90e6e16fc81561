"""Tests of the Sersic profile, with lenstronomy as the reference."""

import numpy as np
import pytest
import torch
from lenstronomy.LightModel.Profiles.sersic import SersicElliptic

from deeplense_hf.simulation.light import sersic_amplitude, sersic_exponent
from deeplense_hf.simulation.sersic_light import SersicLight, sersic_exponents

BATCH = 5


def sersic_light(bands: int = 2) -> SersicLight:
    return SersicLight(
        x=np.array([0.0, 0.3, -0.2, 0.05, 0.0]),
        y=np.array([0.0, -0.1, 0.4, 0.0, 0.0]),
        half_light_radius=np.array([0.25, 0.9, 0.5, 2.0, 0.1]),
        sersic_index=np.array([1.0, 4.0, 0.5, 6.0, 2.5]),
        ellipticity_1=np.array([0.0, 0.3, -0.2, 0.1, 0.0]),
        ellipticity_2=np.array([0.0, 0.1, 0.4, -0.6, 0.0]),
        flux=np.arange(1.0, 1 + BATCH * bands).reshape(BATCH, bands) * 7,
    )


def grid(size: int = 33, width: float = 4.0, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    axis = torch.linspace(-width / 2, width / 2, size, dtype=dtype)
    return axis[None, None, :], axis[None, :, None]


def brightness(light: SersicLight, x: torch.Tensor, y: torch.Tensor, rows: slice) -> torch.Tensor:
    image = torch.zeros(len(light.x[rows]), light.flux.shape[1], y.shape[-2], x.shape[-1], dtype=x.dtype)
    light.add_brightness_(image, x, y, rows)
    return image


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_brightness_equals_lenstronomy(dtype: torch.dtype, tolerance: float) -> None:
    light = sersic_light()
    x, y = grid(dtype=dtype)
    image = brightness(light, x, y, slice(0, BATCH)).double().numpy()
    grid_x, grid_y = np.meshgrid(x[0, 0].double().numpy(), y[0, :, 0].double().numpy())
    for row in range(BATCH):
        radius, index = float(light.half_light_radius[row]), float(light.sersic_index[row])
        for band in range(2):
            expected = SersicElliptic().function(
                grid_x, grid_y, sersic_amplitude(float(light.flux[row, band]), radius, index), radius, index,
                light.ellipticity_1[row], light.ellipticity_2[row], light.x[row], light.y[row],
            )  # fmt: skip
            np.testing.assert_allclose(image[row, band], expected, rtol=tolerance, atol=1e-12 * expected.max())


def test_integral_is_the_flux() -> None:
    light = sersic_light()
    x, y = grid(801, 24.0)
    image = brightness(light, x, y, slice(2, 3))
    assert image[0, 1].sum().item() * 0.03**2 == pytest.approx(light.flux[2, 1], rel=1e-4)


def test_absent_lights_and_chunks_change_no_bit() -> None:
    light = sersic_light()
    flux = light.flux.copy()
    flux[[1, 3]] = 0
    radius = np.where(flux.any(axis=1), light.half_light_radius, 0.0)
    some = SersicLight(light.x, light.y, radius, light.sersic_index, light.ellipticity_1, light.ellipticity_2, flux)
    x, y = (axis.float() for axis in grid(32))
    full_x = x.expand(BATCH, 32, 32) + 0.01 * torch.arange(BATCH)[:, None, None]
    whole = brightness(light, full_x, y, slice(0, BATCH))
    partly = brightness(some, full_x, y, slice(0, BATCH))
    assert not partly[[1, 3]].any()
    assert torch.equal(partly[[0, 2, 4]], whole[[0, 2, 4]])
    alone = torch.cat([brightness(light, full_x[row : row + 1], y, slice(row, row + 1)) for row in range(BATCH)])
    assert torch.equal(alone, whole)


def test_exponents_are_those_of_single_profiles() -> None:
    assert sersic_exponents(np.array([0.1, 1.0, 4.0])).tolist() == [sersic_exponent(n) for n in (0.1, 1.0, 4.0)]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("half_light_radius", 0.0, "half_light_radius=0"),
        ("sersic_index", -1.0, "sersic_index=-1"),
        ("ellipticity_1", 1.0, "modulus 1"),
        ("x", np.nan, "x=nan"),
        ("flux", -3.0, "flux=-3"),
    ],
)
def test_unphysical_values_are_refused(field: str, value: float, message: str) -> None:
    parameters = dict(vars(sersic_light()))
    parameters[field] = np.full_like(parameters[field], value)
    with pytest.raises(ValueError, match=message):
        SersicLight(**parameters)


def test_another_number_of_bands_is_refused() -> None:
    x, y = grid()
    with pytest.raises(ValueError, match="3 bands"):
        sersic_light().add_brightness_(torch.zeros(BATCH, 3, 33, 33, dtype=x.dtype), x, y, slice(0, BATCH))
