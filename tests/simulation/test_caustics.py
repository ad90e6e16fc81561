import numpy as np
import pytest
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.lens_model_extensions import LensModelExtensions

from deeplense_hf.simulation.caustics import crosses_caustic, tangential_caustic, tangential_critical_curve
from deeplense_hf.simulation.image_multiplicity import count_images

LENSES = [(1.2815, 0.1, 0.0, 0.05, 0.0), (0.813, -0.2, 0.15, 0.02, -0.06), (1.0, 0.0, 0.1, 0.0, 0.0)]


def lenstronomy_keywords(lens: tuple[float, ...]) -> list[dict[str, float]]:
    return [dict(zip(("theta_E", "e1", "e2"), lens[:3], strict=True)), {"gamma1": lens[3], "gamma2": lens[4]}]


def columns(lens: tuple[float, ...]) -> tuple[np.ndarray, ...]:
    return tuple(np.array([value]) for value in lens)


@pytest.mark.parametrize("lens", LENSES)
def test_critical_curve_equals_lenstronomy(lens: tuple[float, ...]) -> None:
    model, keywords = LensModel(["SIE", "SHEAR"]), lenstronomy_keywords(lens)
    curves = LensModelExtensions(model).critical_curve_caustics(keywords, compute_window=4, grid_scale=0.02)
    x, y = (max(lists, key=len) for lists in curves[:2])  # the others surround the singular centre
    radius = tangential_critical_curve(np.arctan2(y, x), *lens)
    np.testing.assert_allclose(np.hypot(x, y), radius, atol=1e-3)
    angle = np.linspace(0, 6, 50)
    radius = tangential_critical_curve(angle, *lens)
    xx, xy, _, yy = model.hessian(radius * np.cos(angle), radius * np.sin(angle), keywords)
    np.testing.assert_allclose((1 - xx) * (1 - yy) - xy**2, 0, atol=1e-5)


@pytest.mark.parametrize("lens", LENSES)
def test_caustic_is_the_critical_curve_through_lenstronomys_lens_equation(lens: tuple[float, ...]) -> None:
    caustic = np.stack([component[0] for component in tangential_caustic(*columns(lens))])
    angle = np.linspace(0, np.pi, caustic.shape[1])
    radius = tangential_critical_curve(angle, *lens)
    model = LensModel(["SIE", "SHEAR"])
    expected = model.ray_shooting(radius * np.cos(angle), radius * np.sin(angle), lenstronomy_keywords(lens))
    np.testing.assert_allclose(caustic, expected, atol=1e-8)
    np.testing.assert_allclose(caustic[:, -1], -caustic[:, 0], atol=1e-12)


@pytest.mark.parametrize("lens", LENSES)
def test_the_number_of_images_changes_across_the_caustic(lens: tuple[float, ...]) -> None:
    x, y = (component[0] for component in tangential_caustic(*columns(lens)))
    inside = count_images(0.97 * x, 0.97 * y, *lens)
    outside = count_images(1.03 * x, 1.03 * y, *lens)
    np.testing.assert_array_equal(inside - outside, 2)


def crossing(position: tuple[float, float], radius: float, ellipticity: tuple[float, float]) -> bool:
    source = columns((*position, radius, *ellipticity))
    return bool(crosses_caustic(*source, *columns(LENSES[0]))[0])


def test_sources_cross_where_their_ellipse_reaches_the_caustic() -> None:
    x, y = (component[0] for component in tangential_caustic(*columns(LENSES[0])))
    cusp = np.abs(x).max()
    assert crossing((0.0, 0.0), cusp, (0.0, 0.0))
    assert not crossing((0.0, 0.0), 0.9 * np.hypot(x, y).min(), (0.0, 0.0))
    assert crossing((-cusp - 0.1, 0.0), 0.102, (0.0, 0.0))
    assert not crossing((-cusp - 0.1, 0.0), 0.098, (0.0, 0.0))
    # An ellipse of axis ratio 1/3: the half axes are r sqrt(3) and r / sqrt(3).
    assert crossing((cusp + 0.1, 0.0), 0.0585, (0.5, 0.0))
    assert not crossing((cusp + 0.1, 0.0), 0.0565, (0.5, 0.0))
    assert not crossing((cusp + 0.1, 0.0), 0.15, (-0.5, 0.0))
    assert crossing((0.0, 0.0), 10.0, (0.2, 0.3))
    assert not crossing((0.01, 0.0), 0.0, (0.0, 0.0))


def test_a_round_lens_has_a_caustic_of_one_point_and_no_lens_none() -> None:
    source = columns((0.1, 0.0, 0.11, 0.0, 0.0))
    assert crosses_caustic(*source, *columns((1.0, 0.0, 0.0, 0.0, 0.0))) == [True]
    assert crosses_caustic(*source, *columns((0.0, 0.0, 0.0, 0.0, 0.0))) == [False]


def test_a_crossing_does_not_depend_on_the_batch() -> None:
    random = np.random.default_rng(3)
    values = np.concatenate([random.uniform(-0.3, 0.3, (10, 100)), random.uniform(0.05, 0.5, (2, 100))])
    arguments = [*values[:2], values[10], *values[2:4], 2 * values[11], *values[4:6], *values[6:8] / 5]
    together = crosses_caustic(*arguments)
    assert 0 < together.sum() < 100
    alone = [crosses_caustic(*(one[row : row + 1] for one in arguments))[0] for row in range(100)]
    np.testing.assert_array_equal(together, alone)


def test_unphysical_values_are_named() -> None:
    lens = columns(LENSES[0])
    with pytest.raises(ValueError, match="radius=-1"):
        crosses_caustic(*columns((0.0, 0.0, -1.0, 0.0, 0.0)), *lens)
    with pytest.raises(ValueError, match="below 1"):
        crosses_caustic(*columns((0.0, 0.0, 1.0, 0.8, 0.8)), *lens)
    with pytest.raises(ValueError, match="shear"):
        tangential_caustic(*columns((1.0, 0.0, 0.0, 1.0, 0.0)))
    with pytest.raises(ValueError, match="ellipticity"):
        tangential_caustic(*columns((1.0, 1.0, 0.0, 0.0, 0.0)))
