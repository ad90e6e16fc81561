import numpy as np
import pytest

from deeplense_hf.simulation.image_multiplicity import count_images

LENSES = [
    (1.2815, 0.1, 0.0, 0.05, 0.0),
    (0.813, 0.1, 0.0, 0.0317, 0.0),
    (1.0, -0.2, 0.25, 0.05, -0.08),
]


@pytest.mark.parametrize("lens", LENSES)
def test_number_of_images_equals_lenstronomy(lens: tuple[float, ...]) -> None:
    lens_model = pytest.importorskip("lenstronomy.LensModel.lens_model")
    solvers = pytest.importorskip("lenstronomy.LensModel.Solver.lens_equation_solver")
    solver = solvers.LensEquationSolver(lens_model.LensModel(["SIE", "SHEAR"]))
    keywords = [
        dict(zip(("theta_E", "e1", "e2"), lens[:3], strict=True)),
        {"gamma1": lens[3], "gamma2": lens[4]},
    ]
    x, y = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 12)) * np.linspace(0.1, 3.5, 12)
    found = []
    for source in zip(x, y, strict=True):
        images = solver.image_position_from_source(
            *source,
            keywords,
            min_distance=0.04,
            search_window=9,
            solver="lenstronomy",
            magnification_limit=1e-4,
        )
        found.append(len(images[0]))
    np.testing.assert_array_equal(count_images(x, y, *lens), found)
    assert len(set(found)) >= 2


def test_a_circular_lens_makes_two_images_inside_its_radius_and_one_outside() -> None:
    counts = count_images(np.array([0.1, 0.99, 1.01, 5.0]), np.zeros(4), 1.0, 0.0, 0.0, 0.0, 0.0)
    np.testing.assert_array_equal(counts, [2, 2, 1, 1])


def test_a_source_at_the_centre_of_an_elliptical_lens_makes_four() -> None:
    assert count_images(np.zeros(1), np.zeros(1), 1.0, 0.1, 0.0, 0.05, 0.0) == [4]


def test_lenses_of_a_batch_are_counted_as_each_alone() -> None:
    random = np.random.default_rng(2)
    x, y = random.uniform(-0.3, 0.3, (2, 200))
    lenses = np.array([1.0, 0.2, 0.2, 0.06, 0.06])[:, None] * random.uniform(-1, 1, (5, 200))
    lenses[0] = np.abs(lenses[0]) + 0.3
    together = count_images(x, y, *lenses)
    assert set(together.tolist()) >= {2, 4}
    alone = [
        count_images(x[row : row + 1], y[row : row + 1], *(float(value) for value in lenses[:, row]))[0]
        for row in range(200)
    ]
    np.testing.assert_array_equal(together, alone)
    same = count_images(x, y, *(np.full(200, value) for value in LENSES[0]))
    np.testing.assert_array_equal(same, count_images(x, y, *LENSES[0]))


def test_no_system_has_no_count() -> None:
    assert count_images(np.zeros(0), np.zeros(0), 1.0, 0.1, 0.0, 0.05, 0.0).shape == (0,)


def test_without_mass_there_is_one_image() -> None:
    assert count_images(np.full(1, 0.2), np.zeros(1), 0.0, 0.1, 0.0, 0.05, 0.0) == [1]
