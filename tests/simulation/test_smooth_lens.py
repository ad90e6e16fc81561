import numpy as np
import pytest
import torch
from lenstronomy.LensModel.lens_model import LensModel

from deeplense_hf.simulation.smooth_lens import SmoothLens

AXIS = torch.linspace(-3.2, 3.2, 40, dtype=torch.float64)


def lenses(**changes: object) -> SmoothLens:
    columns = {
        "einstein_radius": [1.3, 0.9, 0.0], "ellipticity_1": [0.12, 0.0, 0.1], "ellipticity_2": [-0.2, 0.0, 0.0],
        "shear_1": [0.03, -0.05, 0.02], "shear_2": [0.04, 0.0, 0.0],
    }  # fmt: skip
    return SmoothLens(**{name: np.array(values) for name, values in (columns | changes).items()})


def deflection(lens: SmoothLens, rows: slice, dtype: torch.dtype = torch.float64) -> np.ndarray:
    x, y = AXIS.to(dtype)[None, None, :], AXIS.to(dtype)[None, :, None]
    result = torch.zeros(2, rows.stop - rows.start, len(AXIS), len(AXIS), dtype=dtype)
    lens.add_deflection_(result[0], result[1], x, y, rows)
    return result.numpy()


def test_deflections_equal_lenstronomys() -> None:
    lens = lenses()
    x, y = (grid.ravel() for grid in np.meshgrid(AXIS.numpy(), AXIS.numpy()))
    ours, single = deflection(lens, slice(0, 3)), deflection(lens, slice(0, 3), torch.float32)
    for row in range(3):
        keywords = [
            {"theta_E": lens.einstein_radius[row], "e1": lens.ellipticity_1[row], "e2": lens.ellipticity_2[row]},
            {"gamma1": lens.shear_1[row], "gamma2": lens.shear_2[row]},
        ]
        expected = np.stack(LensModel(["SIE", "SHEAR"]).alpha(x, y, keywords)).reshape(2, 40, 40)
        assert np.abs(ours[:, row] - expected).max() < 2e-6
        assert np.abs(single[:, row] - expected).max() < 5e-6


def test_a_system_does_not_depend_on_the_rows_around_it() -> None:
    together, alone = deflection(lenses(), slice(0, 3)), deflection(lenses(), slice(1, 2))
    np.testing.assert_array_equal(together[:, 1:2], alone)


def test_the_centre_is_not_deflected() -> None:
    result = torch.zeros(2, 1, 1, 1)
    origin = torch.zeros(1, 1, 1)
    lenses().add_deflection_(result[0], result[1], origin, origin, slice(0, 1))
    assert (result == 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"einstein_radius": [1.0, -0.1, 0.0]}, "einstein_radius=-0.1"),
        ({"ellipticity_1": [1.2, 0, 0]}, "ellipticity has a modulus of 1.2"),
        ({"shear_1": [0, -1.0, 0]}, "shear has a modulus of 1.0"),
    ],
)
def test_unphysical_lenses_are_refused(changes: dict[str, list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lenses(**changes)
