"""Tests of rings, arcs and spiral arms."""

import numpy as np
import pytest
import torch

from deeplense_hf.simulation.arc_light import ArcLight

BATCH = 4


def arc_light(bands: int = 2) -> ArcLight:
    """A ring, an arc, two arms with clumps, and a flattened clumpy ring."""
    return ArcLight(
        x=np.array([0.0, 0.2, 0.0, -0.1]),
        y=np.array([0.0, -0.1, 0.1, 0.0]),
        radius=np.array([1.0, 1.2, 0.8, 1.0]),
        width=np.array([0.1, 0.15, 0.5, 0.2]),
        ellipticity_1=np.array([0.0, 0.0, 0.2, -0.1]),
        ellipticity_2=np.array([0.0, 0.0, -0.1, 0.2]),
        arms=np.array([1.0, 1.0, 2.0, 1.0]),
        angle=np.array([0.0, 1.0, 0.4, 0.0]),
        concentration=np.array([0.0, 6.0, 3.0, 0.0]),
        winding=np.array([0.0, 0.0, 4.0, 0.0]),
        clump_strength=np.array([[0.0, 0.0], [0.0, 0.0], [0.5, 0.3], [0.4, 0.4]]),
        clump_waves_phi=np.array([[0.0, 0.0], [0.0, 0.0], [7.0, 11.0], [5.0, 9.0]]),
        clump_waves_u=np.array([[0.0, 0.0], [0.0, 0.0], [3.0, -5.0], [0.0, 0.0]]),
        clump_phase=np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]),
        flux=np.arange(1.0, 1 + BATCH * bands).reshape(BATCH, bands),
    )


def grid(size: int, width: float, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    axis = torch.linspace(-width / 2, width / 2, size, dtype=dtype)
    return axis[None, None, :], axis[None, :, None]


def brightness(light: ArcLight, x: torch.Tensor, y: torch.Tensor, rows: slice) -> torch.Tensor:
    image = torch.zeros(len(light.x[rows]), light.flux.shape[1], y.shape[-2], x.shape[-1], dtype=x.dtype)
    light.add_brightness_(image, x, y, rows)
    return image


def test_integral_is_the_flux() -> None:
    light = arc_light()
    x, y = grid(641, 16.0)
    image = brightness(light, x, y, slice(0, BATCH))
    np.testing.assert_allclose(image.sum(dim=(2, 3)) * 0.025**2, light.flux, rtol=2e-3)


def test_ring_is_brightest_at_its_radius_and_arc_in_its_direction() -> None:
    x, y = grid(321, 4.0)
    image = brightness(arc_light(), x, y, slice(0, 2))
    row, column = divmod(int(image[0, 0].argmax()), 321)
    assert float(torch.hypot(x[0, 0, column], y[0, row, 0])) == pytest.approx(1.0, abs=0.02)
    row, column = divmod(int(image[1, 0].argmax()), 321)
    assert float(x[0, 0, column]) == pytest.approx(0.2 + 1.2 * np.cos(1.0), abs=0.02)
    assert float(y[0, row, 0]) == pytest.approx(-0.1 + 1.2 * np.sin(1.0), abs=0.02)


def test_two_arms_are_point_symmetric_without_clumps() -> None:
    light = arc_light()
    smooth = ArcLight(
        **(vars(light) | {"clump_strength": light.clump_strength * 0, "x": light.x * 0, "y": light.y * 0})
    )
    x, y = grid(65, 4.0)
    image = brightness(smooth, x, y, slice(2, 3))
    torch.testing.assert_close(image, image.flip(2, 3))


def test_chunks_change_no_bit() -> None:
    light = arc_light()
    x, y = grid(32, 4.0, torch.float32)
    whole = brightness(light, x, y, slice(0, BATCH))
    assert torch.equal(torch.cat([brightness(light, x, y, slice(row, row + 1)) for row in range(BATCH)]), whole)
    assert torch.isfinite(whole).all()
    torch.testing.assert_close(
        whole.double(), brightness(light, x.double(), y.double(), slice(0, BATCH)), rtol=1e-4, atol=1e-5
    )


def test_absent_arcs_need_no_shape() -> None:
    light = arc_light()
    present = np.array([False, True, True, False])
    some = {name: np.where(present, getattr(light, name), 0.0) for name in ("radius", "width", "arms")}
    x, y = grid(32, 4.0)
    with np.errstate(all="raise"):
        image = brightness(
            ArcLight(**(vars(light) | some | {"flux": light.flux * present[:, None]})), x, y, slice(0, BATCH)
        )
    assert torch.equal(image[1:3], brightness(light, x, y, slice(1, 3)))
    assert not image[[0, 3]].any()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [("radius", 0.0, "radius=0"), ("width", -1.0, "width=-1"), ("arms", 1.5, "seam"), ("clump_waves_phi", 0.5, "seam")],
)
def test_bad_values_are_refused(field: str, value: float, message: str) -> None:
    parameters = dict(vars(arc_light()))
    parameters[field] = np.full_like(parameters[field], value)
    with pytest.raises(ValueError, match=message):
        ArcLight(**parameters)
