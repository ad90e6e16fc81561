import numpy as np
from lenstronomy.SimulationAPI.sim_api import SimAPI

from deeplense_hf.simulation.detector import expose, noise_deviation
from deeplense_hf.simulation.instruments import EUCLID_VIS, HST_F814W, Telescope


def exposed(brightness: float, telescope: Telescope, images: int = 40) -> np.ndarray:
    noise_free = np.full((images, 1, 32, 32), brightness, dtype=np.float32)
    return expose(noise_free, [telescope], [np.random.default_rng(number) for number in range(images)])


def test_mean_and_variance_are_those_of_electrons() -> None:
    for telescope in (EUCLID_VIS, HST_F814W):
        for brightness in (0.0, 0.05, 3.0):
            images = exposed(brightness, telescope)
            expected = noise_deviation(np.full((1, 1, 1, 1), brightness), [telescope]).item()
            assert abs(images.mean() - brightness) < 4 * expected / np.sqrt(images.size)
            np.testing.assert_allclose(images.std(), expected, rtol=0.02)


def test_the_variance_is_lenstronomys() -> None:
    telescope = EUCLID_VIS
    band = {
        "pixel_scale": telescope.pixel_scale, "exposure_time": telescope.exposure_time,
        "num_exposures": telescope.exposures, "magnitude_zero_point": telescope.magnitude_zero_point,
        "sky_brightness": telescope.sky_brightness, "read_noise": telescope.read_noise, "seeing": 0.16,
        "psf_type": "GAUSSIAN",
    }  # fmt: skip
    lenstronomy = SimAPI(10, band, {})
    model = np.full((1, 1, 10, 10), 0.7)
    np.testing.assert_allclose(
        noise_deviation(model, [telescope])[0, 0] ** 2, lenstronomy.estimate_noise(model[0, 0]) ** 2, rtol=1e-12
    )


def test_each_image_has_its_own_numbers() -> None:
    images = exposed(0.5, EUCLID_VIS, images=3)
    again = expose(np.full((1, 1, 32, 32), 0.5, np.float32), [EUCLID_VIS], [np.random.default_rng(1)])
    np.testing.assert_array_equal(images[1:2], again)
    assert (images[0] != images[1]).any()
