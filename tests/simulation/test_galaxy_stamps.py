"""Tests of the stamps and of their dealing to splits."""

import numpy as np
import pytest

from deeplense_hf.simulation.galaxy_stamps import SPLITS, GalaxyStamps, content_identifier, stamps_of_split


def stamps(n: int = 40, identifier: str = "some") -> GalaxyStamps:
    axis = np.arange(21) - 10
    image = np.exp(-(axis**2 + axis[:, None] ** 2) / 18).astype(np.float32)
    images = np.stack([np.stack([image * (row + 1), image]) for row in range(n)])
    return GalaxyStamps(images, tuple(f"galaxy {row}" for row in range(n)), 0.05, identifier)


def test_splits_are_disjoint_complete_and_stable() -> None:
    galaxies = stamps()
    parts = [galaxies.subset(split) for split in SPLITS]
    names = [name for part in parts for name in part.names]
    assert sorted(names) == sorted(galaxies.names)
    assert len(parts[0]) > len(parts[1])
    # more galaxies and another order move none to another split
    more = tuple(reversed(stamps(60).names))
    for split, part in zip(SPLITS, parts, strict=True):
        chosen = {more[number] for number in stamps_of_split(more, split)}
        assert set(part.names) <= chosen


def test_seed_deals_anew() -> None:
    names = stamps().names
    assert stamps_of_split(names, "test", 0).tolist() != stamps_of_split(names, "test", 1).tolist()


def test_identity() -> None:
    assert stamps(3) == stamps(5)
    assert hash(stamps(3)) == hash(stamps(5))
    assert stamps(3) != stamps(3, "other")
    assert stamps(3).subset("train") != stamps(3)
    images = stamps(2).images
    first = content_identifier("x", images, ("a", "b"))
    assert first == content_identifier("x", images.copy(), ("a", "b"))
    assert first != content_identifier("x", images * np.float32(2), ("a", "b"))
    assert first != content_identifier("x", images, ("a", "c"))


def test_half_light_radius_of_a_gaussian() -> None:
    # sigma = 3 pixels, half of the light within sqrt(2 ln 2) sigma
    assert stamps(1).half_light_radii[0] == pytest.approx(3 * np.sqrt(2 * np.log(2)), rel=0.1)
    np.testing.assert_allclose(stamps(3).band_fluxes[2], [0.75, 0.25], rtol=1e-6)


def test_bad_stamps_are_refused() -> None:
    good = stamps(2)
    with pytest.raises(ValueError, match="no stamps"):
        GalaxyStamps(good.images[0], ("a",), 0.1, "x")
    with pytest.raises(ValueError, match="1 different names"):
        GalaxyStamps(good.images, ("a", "a"), 0.1, "x")
    with pytest.raises(ValueError, match="pixel_scale=0"):
        GalaxyStamps(good.images, ("a", "b"), 0.0, "x")
    with pytest.raises(ValueError, match="not empty"):
        GalaxyStamps(good.images * np.float32(0), ("a", "b"), 0.1, "x")
    with pytest.raises(ValueError, match="split='dev'"):
        good.subset("dev")
    with pytest.raises(ValueError, match="no galaxy is left"):
        good.select([], "none")
