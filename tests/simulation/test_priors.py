import math

import numpy as np
import pytest
import scipy.stats

from deeplense_hf.simulation.priors import (
    Fixed,
    LogUniform,
    Prior,
    TruncatedNormal,
    Uniform,
    check_within,
    draw_direction,
    draw_in_disc,
)


@pytest.mark.parametrize(
    ("prior", "distribution"),
    [
        (Uniform(-2, 3), scipy.stats.uniform(-2, 5)),
        (LogUniform(0.01, 2), scipy.stats.loguniform(0.01, 2)),
        (TruncatedNormal(0.5, 0.2, 0.4, 1.0), scipy.stats.truncnorm(-0.5, 2.5, 0.5, 0.2)),
    ],
)
def test_numbers_follow_their_distribution(prior: Prior, distribution: object) -> None:
    generator = np.random.default_rng(0)
    numbers = [prior.draw(generator) for _ in range(4000)]
    assert scipy.stats.kstest(numbers, distribution.cdf).pvalue > 0.01  # type: ignore[attr-defined]
    assert prior.limits[0] <= min(numbers)
    assert max(numbers) <= prior.limits[1]


def test_a_fixed_number_is_that_number() -> None:
    assert Fixed(3.0).draw(np.random.default_rng(0)) == 3.0
    assert Fixed(3.0).limits == (3.0, 3.0)


def test_points_fill_a_disc_evenly_and_directions_the_circle() -> None:
    generator = np.random.default_rng(1)
    points = np.array([draw_in_disc(generator, 2.0) for _ in range(4000)])
    assert scipy.stats.kstest(np.hypot(*points.T) ** 2, scipy.stats.uniform(0, 4).cdf).pvalue > 0.01
    components = np.array([draw_direction(generator, 0.3) for _ in range(4000)])
    np.testing.assert_allclose(np.hypot(*components.T), 0.3)
    angles = np.arctan2(*components.T)
    assert scipy.stats.kstest(angles, scipy.stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(2, 1), "rising order"),
        (lambda: Uniform(0, math.inf), "finite"),
        (lambda: Fixed(math.nan), "finite"),
        (lambda: LogUniform(0, 1), "above zero"),
        (lambda: TruncatedNormal(0, 0, -1, 1), "standard deviation"),
        (lambda: TruncatedNormal(0, 1, 5, 6), "less than one percent"),
        (lambda: check_within("shear", Uniform(0, 2), 0, 0.5), "shear=Uniform"),
    ],
)
def test_impossible_priors_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
