"""Tests of what is taken for a lens."""

import numpy as np
import pytest
import torch

from deeplense_hf.simulation.galaxy_stamps import GalaxyStamps
from deeplense_hf.simulation.look_alikes import (
    LOOK_ALIKES,
    Ingredients,
    LookAlike,
    draw_look_alike,
    look_alike_lights,
    magnified_flux,
)


def ingredients(bands: int = 3) -> Ingredients:
    return Ingredients(
        einstein_radius=1.2,
        galaxy_radius=0.8,
        sersic_index=4.0,
        ellipticity_1=0.1,
        ellipticity_2=-0.05,
        galaxy_flux=np.linspace(10.0, 40.0, bands),
        arc_flux=np.linspace(6.0, 5.0, bands),
    )


def stamps() -> GalaxyStamps:
    axis = np.arange(24) - 11.5
    radius_squared = axis**2 + axis[:, None] ** 2
    images = np.stack([np.exp(-radius_squared / (2 * sigma**2))[None].repeat(3, axis=0) for sigma in (2, 3, 4)])
    return GalaxyStamps(images.astype(np.float32), ("a", "b", "c"), 0.05, "gaussians")


def draw(kind: str, index: int, galaxies: GalaxyStamps | None = None) -> LookAlike:
    return draw_look_alike(np.random.default_rng(index), ingredients(), stamps=galaxies, shares={kind: 1.0})


def image_of(look_alikes: list[LookAlike], galaxies: GalaxyStamps | None = None, width: float = 30.0) -> torch.Tensor:
    axis = (torch.arange(256, dtype=torch.float64) - 127.5) * width / 256
    image = torch.zeros(len(look_alikes), 3, 256, 256, dtype=torch.float64)
    for light in look_alike_lights(look_alikes, 3, galaxies):
        light.add_brightness_(image, axis[None, None, :], axis[None, :, None], slice(0, len(look_alikes)))
    return image * (width / 256) ** 2


@pytest.mark.parametrize("kind", LOOK_ALIKES)
@pytest.mark.parametrize("galaxies", [None, stamps()], ids=["analytic", "real"])
def test_light_is_that_of_the_ingredients(kind: str, galaxies: GalaxyStamps | None) -> None:
    look_alikes = [draw(kind, index, galaxies) for index in range(12)]
    expected = ingredients().galaxy_flux + ingredients().arc_flux
    for look_alike in look_alikes:
        assert look_alike.kind == kind
        np.testing.assert_allclose(sum(part.flux for part in look_alike.parts), expected)
    image = image_of(look_alikes, galaxies)
    assert torch.isfinite(image).all()
    assert (image >= 0).all()
    # the wings of the elliptical reach beyond the image, its cusp is narrower than a pixel
    np.testing.assert_allclose(image.sum(dim=(2, 3)), np.tile(expected, (12, 1)), rtol=0.25)


@pytest.mark.parametrize("kind", LOOK_ALIKES)
def test_blue_light_lies_where_images_would(kind: str) -> None:
    look_alikes = [draw(kind, index) for index in range(20)]
    image = image_of(look_alikes, width=8.0).numpy()
    axis = (np.arange(256) - 127.5) * 8 / 256
    radius = np.hypot(axis, axis[:, None])
    # without the galaxy's colour, which is that of its flux
    galaxy, arcs = ingredients().galaxy_flux, ingredients().arc_flux
    blue = image[:, 0] - image[:, 2] * galaxy[0] / galaxy[2]
    mean_radius = (blue * radius).sum(axis=(1, 2)) / blue.sum(axis=(1, 2))
    np.testing.assert_allclose(blue.sum(axis=(1, 2)).mean(), arcs[0] - arcs[2] * galaxy[0] / galaxy[2], rtol=0.1)
    assert 0.8 < np.median(mean_radius) / ingredients().einstein_radius < 1.5


def test_a_system_does_not_depend_on_its_batch() -> None:
    galaxies = stamps()
    look_alikes = [draw_look_alike(np.random.default_rng(index), ingredients(), stamps=galaxies) for index in range(16)]
    assert {look_alike.kind for look_alike in look_alikes} == set(LOOK_ALIKES)
    together = image_of(look_alikes, galaxies)
    for row in (0, 5, 11):
        again = draw_look_alike(np.random.default_rng(row), ingredients(), stamps=galaxies)
        assert torch.equal(image_of([again], galaxies)[0], together[row])


def test_magnification_of_a_small_source() -> None:
    flux = np.array([2.0])
    assert magnified_flux(flux, 0.3, 0.4, 0.0, 1.0)[0] == pytest.approx(2 * 2 / 0.5)
    assert magnified_flux(flux, 0.0, 4.0, 0.0, 2.0)[0] == pytest.approx(2 * (1 + 1 / 2))
    # an exponential disc of half-light radius r behind the centre: 2 <1/R> einstein radii
    assert magnified_flux(flux, 0.0, 0.0, 0.1678, 1.0)[0] == pytest.approx(2 * 2 / 0.1)


def test_bad_shares_and_missing_galaxies_are_refused() -> None:
    generator = np.random.default_rng(0)
    for shares in ({"star": 1.0}, {"ring": -1.0}, {"ring": 0.0}):
        with pytest.raises(ValueError, match="shares="):
            draw_look_alike(generator, ingredients(), shares=shares)
    look_alikes = [draw("elliptical_with_companions", index, stamps()) for index in range(4)]
    with pytest.raises(ValueError, match="pass the stamps"):
        look_alike_lights(look_alikes, 3)
    with pytest.raises(ValueError, match="2 are wanted"):
        look_alike_lights(look_alikes, 2, stamps())
