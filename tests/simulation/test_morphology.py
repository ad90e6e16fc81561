from dataclasses import replace

import numpy as np
import pytest

from deeplense_hf.simulation.morphology import (
    CONFIGURATIONS,
    Arcs,
    describe,
    image_configuration,
    longest_arcs,
    signal_to_noise,
    substructure_visibility,
    visible_pixels,
)
from deeplense_hf.simulation.populations import draw_systems
from deeplense_hf.simulation.recipes import get_recipe
from deeplense_hf.simulation.renderer import render

SIZE, SCALE = 64, 0.1
AXIS = (np.arange(SIZE) - (SIZE - 1) / 2) * SCALE
RADIUS, AZIMUTH = np.hypot(AXIS, AXIS[:, None]), np.arctan2(AXIS[:, None], AXIS)


def annulus(first: float, last: float, radius: float = 1.5) -> np.ndarray:
    """Ones between two azimuths [deg] on a ring 0.3 arcsec wide."""
    azimuth = np.rad2deg(AZIMUTH) % 360
    return ((np.abs(RADIUS - radius) < 0.15) & (azimuth >= first) & (azimuth <= last)).astype(np.float64)


def test_signal_to_noise_is_that_of_the_matched_filter() -> None:
    random = np.random.default_rng(0)
    signal, noise = random.random((SIZE, SIZE)), random.uniform(1, 2, (SIZE, SIZE))
    expected = signal_to_noise(signal[None], noise[None])[0]
    filtered = [np.sum(signal / noise**2 * random.normal(signal, noise)) for _ in range(4000)]
    assert np.mean(filtered) / np.std(filtered) == pytest.approx(expected, rel=0.05)


def test_signal_to_noise_adds_bands_and_is_not_a_number_without_noise() -> None:
    images = np.random.default_rng(1).random((2, 3, 8, 8)).astype(np.float32)
    noise = np.array([0.1, np.nan]).reshape(2, 1, 1, 1)
    ratio = signal_to_noise(images, noise)
    assert ratio[0] == pytest.approx(np.sqrt(np.sum(images[0].astype(np.float64) ** 2)) / 0.1)
    assert np.isnan(ratio[1])
    with pytest.raises(ValueError, match="noise=0"):
        signal_to_noise(images, 0 * noise)


def test_visibility_is_the_signal_to_noise_of_the_difference() -> None:
    image, without = np.random.default_rng(1).random((2, 1, 8, 8))
    noise = np.full((1, 1, 1), 0.3)
    assert substructure_visibility(image, image, noise) == [0]
    np.testing.assert_allclose(substructure_visibility(image, without, noise), signal_to_noise(image - without, noise))


def test_visible_are_pixels_above_a_fraction_of_the_peak_and_the_noise() -> None:
    image = np.array([[[1.0, 0.5, 0.31, 0.29]]])
    np.testing.assert_array_equal(visible_pixels(image, np.full((1, 1, 1), np.nan))[0, 0], [True, True, True, False])
    np.testing.assert_array_equal(visible_pixels(image, np.full((1, 1, 1), 0.4))[0, 0], [True, True, False, False])
    assert not visible_pixels(image, np.full((1, 1, 1), 2.0)).any()


@pytest.mark.parametrize(("first", "last"), [(20, 65), (90, 210), (45, 355)])
def test_an_arc_is_as_long_as_the_part_of_the_ring_that_it_covers(first: float, last: float) -> None:
    arcs = longest_arcs(annulus(first, last)[None] > 0, SCALE)
    extent = np.deg2rad(last - first)
    assert arcs.extent[0] == pytest.approx(extent, abs=1.5 * SCALE / 1.5)
    assert arcs.length[0] == pytest.approx(1.5 * extent, abs=1.5 * SCALE)
    assert arcs.hollow[0]


def test_the_longest_of_several_regions_counts_and_systems_do_not_touch() -> None:
    two = annulus(0, 30) + annulus(100, 200)
    arcs = longest_arcs(np.stack([two, annulus(200, 290), 0 * two, two]) > 0, SCALE)
    np.testing.assert_allclose(np.rad2deg(arcs.extent), [100, 90, 0, 100], atol=6)
    np.testing.assert_array_equal(arcs.length[[0, 2]], [arcs.length[3], 0])


def test_the_extent_is_measured_about_the_lens() -> None:
    ring = np.hypot(AXIS - 0.7, AXIS[:, None] + 0.4)
    arcs = longest_arcs(np.abs(ring - 1.5)[None] < 0.15, SCALE, np.array([0.7]), -0.4)
    assert arcs.length[0] == pytest.approx(2 * np.pi * 1.5, rel=0.02)


def test_a_filled_disc_is_no_ring() -> None:
    arcs = longest_arcs(RADIUS[None] < 0.6, SCALE)
    assert not arcs.hollow[0]
    assert image_configuration(np.array([2]), arcs) == ["double"]


def test_configurations() -> None:
    degrees = np.array([10, 10, 10, 10, 10, 10, 310, 310, 120, 120, 0])
    number = np.array([0, 1, 2, 3, 4, 5, 2, 4, 1, 4, 2])
    arcs = Arcs(length=np.deg2rad(degrees), extent=np.deg2rad(degrees), hollow=np.ones(11, dtype=bool))
    expected = ["none", "single", "double", "quad", "quad", "quad", "ring", "ring", "arc", "arc", "none"]
    assert image_configuration(number, arcs).tolist() == expected
    assert set(expected) == set(CONFIGURATIONS)


def described(rows: slice, bands: int = 0) -> dict[str, np.ndarray]:
    recipe = replace(get_recipe("test"), source_radius=0.15, lens_ellipticity_1=0.2)
    systems = draw_systems(recipe, "cdm", range(12), seed=0)
    images = render(systems, recipe)[:, 0].numpy()
    smooth = render(draw_systems(recipe, "no_sub", range(12), seed=0), recipe)[:, 0].numpy()
    noise = np.full((12, 1, 1), 0.1)
    if bands:
        images, smooth, noise = (np.repeat(one[:, None], bands, axis=1) for one in (images, smooth, noise))
    parameters = {name: values[rows] for name, values in systems.parameters.items()}
    return describe(images[rows], smooth[rows], noise[rows], recipe.instrument.pixel_scale, parameters)


def test_columns_do_not_depend_on_the_batch() -> None:
    together = described(slice(None))
    assert set(together) == {
        "image_configuration", "crosses_caustic", "arc_length", "signal_to_noise", "substructure_visibility",
    }  # fmt: skip
    for row in range(12):
        alone = described(slice(row, row + 1))
        for name, values in together.items():
            assert values[row] == alone[name][0], name
    assert (together["signal_to_noise"] > 0).all()
    assert set(together["image_configuration"]) <= set(CONFIGURATIONS)
    assert together["crosses_caustic"].dtype == bool


def test_equal_bands_change_no_shape_and_raise_the_signal_to_noise() -> None:
    one, four = described(slice(None)), described(slice(None), bands=4)
    np.testing.assert_array_equal(one["image_configuration"], four["image_configuration"])
    np.testing.assert_allclose(four["signal_to_noise"], 2 * one["signal_to_noise"])


def test_what_is_no_lens_is_described_as_nothing() -> None:
    image = np.stack([annulus(0, 360), annulus(0, 200), annulus(0, 200)])
    columns = ("einstein_radius", "ellipticity_1", "ellipticity_2", "shear_1", "shear_2", "source_x", "source_y",
               "source_radius", "source_ellipticity_1", "source_ellipticity_2")  # fmt: skip
    parameters: dict[str, np.ndarray] = {name: np.array([0.1, np.nan, 0.1]) for name in columns}
    parameters["source_radius"] *= 5
    parameters["number_of_images"] = np.array([2, 0, 1])
    found = describe(image, image, np.full((3, 1, 1), np.nan), SCALE, parameters)
    assert found["image_configuration"].tolist() == ["ring", "none", "arc"]
    np.testing.assert_array_equal(found["crosses_caustic"], [True, False, True])
    assert found["arc_length"][1] == 0
    assert np.isnan(found["signal_to_noise"]).all()
