"""Augmentation keeps the physics: range, noise, symmetry, and reproducibility."""

import random

import albumentations as A
import numpy as np
import pytest
from scipy.ndimage import fourier_shift

from deeplense_hf.augmentation.missing import fill_missing
from deeplense_hf.augmentation.policies import POLICIES, Augmentation
from deeplense_hf.augmentation.transforms import ExposureChange, PointSpreadBlur, SubPixelShift


@pytest.fixture
def counts() -> np.ndarray:
    return np.random.default_rng(1).poisson(300, size=(2, 32, 32)).astype(np.float32)


@pytest.mark.parametrize("policy", POLICIES)
def test_policy_is_reproducible_and_keeps_the_range(policy: str, counts: np.ndarray) -> None:
    first = Augmentation(policy, seed=0)(counts, epoch=1, index=5)
    second = Augmentation(policy, seed=0)(counts, epoch=1, index=5)
    assert first.shape == counts.shape
    assert first.dtype == np.float32
    assert np.array_equal(first, second)
    assert 200 < first.mean() < 400
    assert first.max() > 300


def test_dihedral_gives_exactly_the_eight_symmetries(counts: np.ndarray) -> None:
    expected = {
        np.rot90(image, turns, axes=(1, 2)).tobytes() for image in (counts, counts[:, ::-1]) for turns in range(4)
    }
    augmentation = Augmentation("dihedral", seed=0)
    assert {augmentation(counts, epoch=0, index=index).tobytes() for index in range(100)} == expected


@pytest.mark.parametrize("size", [31, 32])
def test_shift_is_that_of_fourier(size: int) -> None:
    y, x = np.mgrid[:size, :size] - size / 2
    image = np.exp(-(x**2 + y**2) / 18).astype(np.float32)
    shift = np.array([0.4, -0.7])
    expected = np.fft.ifft2(fourier_shift(np.fft.fft2(image), shift)).real
    assert np.allclose(SubPixelShift(1.0).apply(image, shift=shift), expected, atol=1e-6)


def test_shift_keeps_total_and_noise(counts: np.ndarray) -> None:
    image = np.random.default_rng(0).normal(5, 2, size=(33, 33)).astype(np.float32)
    moved = SubPixelShift(1.0).apply(image, shift=np.array([0.5, 0.5]))
    assert moved.sum() == pytest.approx(image.sum(), rel=1e-5)
    # an odd grid has no Nyquist frequency, so the power is kept exactly; interpolation would halve it
    assert moved.std() == pytest.approx(image.std(), rel=1e-5)


def changed(transform: A.ImageOnlyTransform, image: np.ndarray) -> np.ndarray:
    """Apply a transform to an image with a fixed seed."""
    transform.set_random_state(np.random.default_rng(2), random.Random(2))
    return transform.apply(image, **transform.get_params_dependent_on_data({}, {"image": image}))


def test_a_shorter_exposure_of_counts_is_thinned() -> None:
    image = np.random.default_rng(0).poisson(100, size=(128, 128, 1)).astype(np.float32)
    transform = ExposureChange(min_share=0.5, p=1.0)
    thinned = changed(transform, image)
    assert thinned.mean() == pytest.approx(100, rel=0.01)
    # counts of a share p, divided by p, have the variance of a Poisson process over p
    share = 100 / thinned.var()
    assert 0.5 <= share <= 1.0
    assert np.allclose(thinned * share, np.rint(thinned * share), atol=3)


def test_a_shorter_exposure_of_a_rate_has_more_background_noise() -> None:
    image = np.random.default_rng(0).normal(-3, 5, size=(64, 64, 1)).astype(np.float32)
    image[24:40, 24:40] += 1000
    noisier = changed(ExposureChange(min_share=0.5, p=1.0), image)
    assert 5 < noisier[:10].std() < 5 * np.sqrt(2) + 0.5
    assert noisier.max() > 1000


def test_blur_keeps_flux_and_background_noise() -> None:
    image = np.random.default_rng(0).normal(50, 5, size=(96, 96, 1)).astype(np.float32)
    image[48, 48] += 10_000
    transform = PointSpreadBlur(max_sigma=0.8, p=1.0)
    transform.set_random_state(np.random.default_rng(0), random.Random(0))
    noise = transform.get_params_dependent_on_data({}, {"image": image})["noise"]
    blurred = transform.apply(image, sigma=0.8, noise=noise)
    assert blurred[48, 48] < 9_000
    assert blurred.sum() == pytest.approx(image.sum(), rel=2e-3)
    assert blurred[:30].std() == pytest.approx(5, rel=0.05)


@pytest.mark.parametrize("transform", [ExposureChange(p=1.0), PointSpreadBlur(p=1.0)])
def test_noise_free_images_stay_noise_free(transform: A.ImageOnlyTransform) -> None:
    image = np.zeros((32, 32, 1), dtype=np.float32)
    image[16, 16] = 0.5
    assert not changed(transform, image)[:8].any()


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="augmentation='zoom' is not one of none, dihedral, standard, lens"):
        Augmentation("zoom", seed=0)
    with pytest.raises(ValueError, match="max_shift=0"):
        SubPixelShift(0)
    with pytest.raises(ValueError, match="min_share=0"):
        ExposureChange(0)
    with pytest.raises(ValueError, match="max_sigma=-1"):
        PointSpreadBlur(-1)


@pytest.mark.parametrize("policy", ["dihedral", "standard", "lens"])
def test_oblong_images_keep_their_shape(policy: str) -> None:
    image = np.random.default_rng(0).poisson(50, size=(2, 24, 32)).astype(np.float32)
    made = [Augmentation(policy, seed=0)(image, 0, index) for index in range(30)]
    assert {one.shape for one in made} == {(2, 24, 32)}
    if policy == "dihedral":
        turned = [image, image[:, ::-1], image[:, :, ::-1], image[:, ::-1, ::-1]]
        found = [next(n for n, other in enumerate(turned) if np.array_equal(one, other)) for one in made]
        assert set(found) == {0, 1, 2, 3}


@pytest.mark.parametrize("policy", POLICIES)
def test_missing_pixels_do_not_spread(policy: str, counts: np.ndarray) -> None:
    counts[0, 9, 20], counts[1, 15, 16], counts[1, 0, 0] = np.nan, np.inf, -np.inf
    augmentation = Augmentation(policy, seed=0)
    for index in range(30):
        made = augmentation(counts, 0, index)
        missing = ~np.isfinite(made)
        # turning by any angle takes the nearest pixel, which may be another one's or beyond the border
        assert missing.sum() <= 8 if policy == "standard" else missing.sum(axis=(1, 2)).tolist() == [1, 2]
        assert made[~missing].min() > 200
        assert made[~missing].max() < 420


def test_missing_pixels_turn_with_the_image(counts: np.ndarray) -> None:
    counts[:, 2, 5] = np.nan
    turned = {
        np.rot90(image, turns, axes=(1, 2)).tobytes() for image in (counts, counts[:, ::-1]) for turns in range(4)
    }
    augmentation = Augmentation("dihedral", seed=0)
    assert {augmentation(counts, epoch=0, index=index).tobytes() for index in range(100)} == turned


def test_missing_pixels_move_with_the_image() -> None:
    mask = np.zeros((8, 8, 2), dtype=np.uint8)
    mask[3, 7, 1] = 1
    moved = SubPixelShift(1.0).apply_to_mask(mask, shift=np.array([-0.8, 0.6]))
    assert np.argwhere(moved).tolist() == [[2, 0, 1]]


def test_missing_pixels_of_counts_become_counts() -> None:
    image = np.array([[[1, 2], [np.nan, 5]], [[np.nan, 3], [np.inf, 4]], [[np.nan] * 2] * 2], dtype=np.float32)
    assert fill_missing(image).tolist() == [[[1, 2], [2, 5]], [[3, 3], [3, 4]], [[0, 0], [0, 0]]]
    assert np.isnan(image[0, 1, 0]), "the image itself is left alone"
