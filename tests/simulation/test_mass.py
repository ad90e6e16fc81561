import numpy as np
import pytest

from deeplense_hf.simulation.mass import elliptical_radius_form, isothermal_deflection, shear_deflection

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.uniform(-4, 4, (2, 500))


@pytest.mark.parametrize("ellipticity", [(0.1, 0.0), (-0.3, 0.2), (0.0, 0.0), (0.02, -0.4), (1e-7, 0.0)])
def test_isothermal_equals_lenstronomy(ellipticity: tuple[float, float]) -> None:
    profiles = pytest.importorskip("lenstronomy.LensModel.Profiles.sie")
    expected = profiles.SIE().derivatives(X, Y, 1.3, *ellipticity)
    np.testing.assert_allclose(
        isothermal_deflection(X, Y, 1.3, *ellipticity), expected, atol=1e-7 if not any(ellipticity) else 1e-10
    )


def test_isothermal_of_a_circle_is_the_einstein_radius() -> None:
    deflection = isothermal_deflection(X, Y, 0.7, 0.0, 0.0)
    np.testing.assert_allclose(np.hypot(*deflection), 0.7, rtol=1e-7)


def test_isothermal_is_finite_at_the_centre() -> None:
    assert np.isfinite(isothermal_deflection(np.zeros(1), np.zeros(1), 1.0, 0.1, 0.0)).all()


def test_shear_equals_lenstronomy() -> None:
    profiles = pytest.importorskip("lenstronomy.LensModel.Profiles.shear")
    np.testing.assert_allclose(shear_deflection(X, Y, 0.05, -0.02), profiles.Shear().derivatives(X, Y, 0.05, -0.02))


def test_elliptical_radius_equals_lenstronomy() -> None:
    param_util = pytest.importorskip("lenstronomy.Util.param_util")
    transformed = param_util.transform_e1e2_product_average(X, Y, -0.1, 0.1, 0, 0)
    xx, xy, yy = elliptical_radius_form(-0.1, 0.1)
    np.testing.assert_allclose(xx * X**2 + xy * X * Y + yy * Y**2, transformed[0] ** 2 + transformed[1] ** 2)


def test_unphysical_lenses_are_named() -> None:
    with pytest.raises(ValueError, match="modulus 1"):
        isothermal_deflection(X, Y, 1.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="einstein_radius=-1"):
        isothermal_deflection(X, Y, -1.0, 0.1, 0.0)
    with pytest.raises(ValueError, match="must be below 1"):
        elliptical_radius_form(0.8, 0.8)
