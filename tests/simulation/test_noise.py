import numpy as np
import pytest
from scipy import stats

from deeplense_hf.simulation.noise import add_gaussian_noise, add_photon_counts, standard_normal
from deeplense_hf.simulation.poisson import draw_poisson


def generators(number: int) -> list[np.random.Generator]:
    return [np.random.default_rng([5, index]) for index in range(number)]


def test_normal_numbers_follow_their_distribution() -> None:
    drawn = standard_normal(generators(3), 400_001)
    assert drawn.shape == (3, 400_001)
    assert drawn.dtype == np.float32
    assert stats.kstest(drawn.ravel()[:300_000], "norm").pvalue > 1e-3
    for threshold in (2.0, 3.0, 4.0):
        expected = 2 * stats.norm.sf(threshold) * drawn.size
        assert (np.abs(drawn) > threshold).sum() == pytest.approx(expected, abs=5 * np.sqrt(expected))
    halves = drawn[0, :200_000], drawn[0, 200_001:]
    for first, second in ((*halves,), (halves[0] ** 2, halves[1] ** 2), (drawn[0], drawn[1])):
        assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(200_000)


@pytest.mark.parametrize("size", [32, 33, 64])
def test_noise_of_an_image_does_not_depend_on_the_batch(size: int) -> None:
    images = np.random.default_rng(0).random((9, size, size), dtype=np.float32)
    time, rms = np.linspace(500, 900, 9), np.linspace(0.01, 0.1, 9)

    def counts(rows: slice) -> np.ndarray:
        chosen = (images[rows], time[rows], rms[rows], generators(9)[rows])
        return np.stack([add_photon_counts(*chosen, poisson_applied_twice=True), add_gaussian_noise(*chosen)])

    together = counts(slice(None))
    for start in range(0, 9, 2):
        np.testing.assert_array_equal(counts(slice(start, start + 2)), together[:, start : start + 2])


def test_noise_leaves_the_images_as_they_are() -> None:
    images = np.full((2, 32, 32), -0.1, dtype=np.float32)
    add_photon_counts(images, np.ones(2), np.ones(2), generators(2), poisson_applied_twice=False)
    add_gaussian_noise(images, np.ones(2), np.ones(2), generators(2))
    assert (images == np.float32(-0.1)).all()
    assert add_gaussian_noise(images[:0], np.ones(0), np.ones(0), []).shape == (0, 32, 32)


@pytest.mark.parametrize("mean", [0.003, 0.25, 1.0, 3.03, 9.97, 40.4, 127.99, 128.0, 300.0])
def test_poisson_numbers_follow_their_distribution(mean: float) -> None:
    drawn = draw_poisson(np.full(200_000, mean), np.random.default_rng(0))
    count = np.arange(drawn.max() + 1)
    expected = stats.poisson.pmf(count, mean) * drawn.size
    often = expected > 5
    statistic = ((np.bincount(drawn) - expected)[often] ** 2 / expected[often]).sum()
    assert stats.chi2.sf(statistic, max(often.sum() - 1, 1)) > 1e-4
    assert drawn.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / drawn.size))


def test_poisson_numbers_of_many_means_have_the_right_moments() -> None:
    mean = np.linspace(0, 140, 400_000).reshape(1000, 400)
    excess = draw_poisson(mean, np.random.default_rng(1)) - mean
    assert excess.shape == mean.shape
    assert abs(excess.mean()) < 5 * np.sqrt(mean.mean() / mean.size)
    assert (excess**2).mean() == pytest.approx(mean.mean(), rel=0.01)
    assert (draw_poisson(np.zeros(9), np.random.default_rng(1)) == 0).all()


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_impossible_means_are_named(bad: float) -> None:
    with pytest.raises(ValueError, match=f"mean={bad}"):
        draw_poisson(np.array([1.0, bad]), np.random.default_rng(0))


@pytest.mark.parametrize(("twice", "variance_of_rate"), [(True, 2.0), (False, 1.0)])
def test_photon_counts_have_the_moments_of_the_published_generator(twice: bool, variance_of_rate: float) -> None:
    rate, time, rms = np.full((2, 300, 300), 0.5), np.array([1000.0, 2000.0]), np.array([1e-2, 1e-2])
    counts = add_photon_counts(rate, time, rms, generators(2), poisson_applied_twice=twice)
    assert counts.dtype == np.float32
    np.testing.assert_array_equal(counts, np.round(counts))
    np.testing.assert_allclose(counts.mean(axis=(1, 2)), 0.5 * time, rtol=0.002)
    expected = variance_of_rate * 0.5 * time + (rms * time) ** 2
    np.testing.assert_allclose(counts.var(axis=(1, 2)), expected, rtol=0.02)


def test_photon_counts_equal_those_of_lenstronomy_in_distribution() -> None:
    image_util = pytest.importorskip("lenstronomy.Util.image_util")
    rate = np.full((400, 400), 3e-3)
    np.random.seed(3)  # noqa: NPY002 - lenstronomy draws from the global state
    model = rate + image_util.add_poisson(rate, exp_time=1500.0) + image_util.add_background(rate, sigma_bkd=1e-2)
    theirs = np.random.default_rng(4).poisson((1500 * model).clip(min=0))
    ours = add_photon_counts(
        rate[None], np.array([1500.0]), np.array([1e-2]), generators(1), poisson_applied_twice=True
    )[0]
    assert stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > 1e-3


def test_gaussian_noise_equals_that_of_lenstronomy_in_distribution() -> None:
    observation_api = pytest.importorskip("lenstronomy.SimulationAPI.observation_api")
    band = observation_api.SingleBand(
        pixel_scale=0.1,
        exposure_time=500.0,
        num_exposures=4,
        magnitude_zero_point=25.0,
        background_noise=0.02,
    )
    rate = np.full((300, 300), 0.7)
    theirs = rate + band.noise_for_model(rate.copy(), seed=1)
    ours = add_gaussian_noise(rate[None], np.array([2000.0]), np.array([0.02]), generators(1))[0]
    assert ours.std() == pytest.approx(np.sqrt(0.7 / 2000 + 0.02**2), rel=0.01)
    assert stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > 1e-3
