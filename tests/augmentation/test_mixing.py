"""Blends of images are blends of labels, and depend on seed, epoch and rows only."""

import numpy as np
import pytest

from deeplense_hf.augmentation.mixing import KINDS, mix_batch


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels = np.arange(24) % 3
    # every image is its label, so that a blend's brightness is its share
    images = np.broadcast_to(labels[:, None, None, None], (24, 1, 16, 16)).astype(np.float32)
    return images, labels, np.arange(100, 124)


@pytest.mark.parametrize("kind", KINDS)
def test_shares_are_those_of_the_images(kind: str, batch: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    images, labels, rows = batch
    mixed, shares = mix_batch(images, labels, 3, 1.0, kind, 0, 2, rows)
    assert mixed.shape == images.shape
    assert np.allclose(shares.sum(axis=1), 1)
    assert np.allclose(mixed.mean(axis=(1, 2, 3)), shares @ np.arange(3), atol=1e-5)
    assert (shares.max(axis=1) < 1).any(), "something is blended"


@pytest.mark.parametrize("kind", KINDS)
def test_a_blend_is_reproducible(kind: str, batch: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    images, labels, rows = batch
    first = mix_batch(images, labels, 3, 0.4, kind, 0, 1, rows)
    assert all(map(np.array_equal, first, mix_batch(images, labels, 3, 0.4, kind, 0, 1, rows)))
    assert not np.array_equal(first[1], mix_batch(images, labels, 3, 0.4, kind, 0, 2, rows)[1])


def test_an_image_keeps_the_larger_share(batch: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    images, labels, rows = batch
    shares = mix_batch(images, labels, 3, 1.0, "mixup", 0, 0, rows)[1]
    assert (shares[np.arange(24), labels] >= 0.5).all()


def test_missing_pixels_stay_with_their_image(batch: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    images, labels, rows = batch
    images = images.copy()
    images[3, 0, 4, 5] = np.nan
    images[7, 0] = np.inf
    expected = mix_batch(np.where(np.isfinite(images), images, np.zeros(1)), labels, 3, 1.0, "mixup", 0, 2, rows)
    mixed, shares = mix_batch(images, labels, 3, 1.0, "mixup", 0, 2, rows)
    assert np.isfinite(mixed).all()
    # image 3 is of class 0, and image 7, of which nothing is known, counts as zero
    assert np.array_equal(mixed, expected[0])
    assert np.array_equal(shares, expected[1])


def test_an_unknown_kind_is_named(batch: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="mixing='blend' is not one of mixup, cutmix"):
        mix_batch(*batch[:2], 3, 1.0, "blend", 0, 0, batch[2])
