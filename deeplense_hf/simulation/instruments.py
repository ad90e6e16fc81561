"""Frozen descriptions of the cameras: pixels, point spread function, exposure, background."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Instrument:
    """Pixels and Gaussian point spread function of a camera.

    Args:
        name: Written into the data set's instrument column.
        pixel_scale: Width of a pixel [arcsec].
        image_size: Pixels along each side of the square image.
        psf_fwhm: Full width at half maximum of the Gaussian point spread function [arcsec].
        psf_truncation: Where the Gaussian is cut off [standard deviations].

    Raises:
        ValueError: If a value is unphysical.
    """

    name: str
    pixel_scale: float
    image_size: int
    psf_fwhm: float
    psf_truncation: float

    def __post_init__(self) -> None:
        _require_positive(
            self, "pixel_scale [arcsec]", "image_size [pixels]", "psf_fwhm [arcsec]", "psf_truncation [sigma]"
        )

    @property
    def psf_sigma(self) -> float:
        """Standard deviation of the point spread function [pixels]."""
        return self.psf_fwhm / (2 * math.sqrt(2 * math.log(2))) / self.pixel_scale


@dataclass(frozen=True)
class CountingCamera(Instrument):
    """Camera of Model I: the background is given and the exposure is drawn anew for each image.

    Args:
        background_rms: Standard deviation of the background in a pixel [counts/s].
        log10_exposure_time_range: Lowest and highest decimal logarithm of the exposure [log10 s], drawn
            uniformly.

    Raises:
        ValueError: If a value is unphysical.
    """

    background_rms: float
    log10_exposure_time_range: tuple[float, float]

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_positive(self, "background_rms [counts/s]")
        lowest, highest = self.log10_exposure_time_range
        if lowest > highest:
            raise ValueError(
                f"log10_exposure_time_range={self.log10_exposure_time_range} runs downwards; give it rising."
            )


@dataclass(frozen=True)
class Telescope(Instrument):
    """Camera described by its detector and the sky, in electrons.

    Args:
        exposure_time: Length of one exposure [s].
        exposures: Number of exposures that are added.
        magnitude_zero_point: Magnitude of a source that gives one electron per second [mag].
        sky_brightness: Brightness of the sky [mag/arcsec^2].
        read_noise: Standard deviation added by each readout [electrons].

    Raises:
        ValueError: If a value is unphysical.
    """

    exposure_time: float
    exposures: int
    magnitude_zero_point: float
    sky_brightness: float
    read_noise: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_positive(self, "exposure_time [s]", "exposures [number]", "read_noise [electrons]")

    @property
    def total_exposure_time(self) -> float:
        """Length of all exposures together [s]."""
        return self.exposure_time * self.exposures

    @property
    def background_rms(self) -> float:
        """Standard deviation of sky and readout in a pixel of the added image [electrons/s].

        Source:
            lenstronomy `data_util.bkg_noise`: each readout adds its variance once, the sky its own Poisson
            variance.
        """
        sky_rate = self.electrons_per_second(self.sky_brightness) * self.pixel_scale**2
        variance = self.exposures * self.read_noise**2 + self.total_exposure_time * sky_rate
        return math.sqrt(variance) / self.total_exposure_time

    def electrons_per_second(self, magnitude: float) -> float:
        """Turn a magnitude into a count rate.

        Args:
            magnitude: Apparent magnitude [mag].

        Returns:
            Electrons per second.
        """
        return 10 ** (0.4 * (self.magnitude_zero_point - magnitude))


def _require_positive(instrument: Instrument, *fields_with_units: str) -> None:
    for field_with_unit in fields_with_units:
        field, unit = field_with_unit.split(" ", 1)
        value = getattr(instrument, field)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{instrument.name}: {field}={value} {unit} is not a positive number.")


MODEL_1_CAMERA = CountingCamera(
    name="model_1",
    pixel_scale=0.05,
    image_size=150,
    psf_fwhm=0.087,
    psf_truncation=3.0,
    background_rms=1e-2,
    log10_exposure_time_range=(3.0, 3.5),
)

TEST_CAMERA = CountingCamera(
    name="test",
    pixel_scale=0.2,
    image_size=32,
    psf_fwhm=0.2,
    psf_truncation=3.0,
    background_rms=1e-1,
    log10_exposure_time_range=(2.0, 2.5),
)

# Values of lenstronomy's Euclid(band="VIS", coadd_years=6) up to version 1.13, with which Model II was made;
# version 1.14 moved the zero point to 25.72, the sky to 22.3 and the exposure to 566 s.
EUCLID_VIS = Telescope(
    name="euclid_vis",
    pixel_scale=0.101,
    image_size=64,
    psf_fwhm=0.16,
    psf_truncation=5.0,
    exposure_time=565.0,
    exposures=4,
    magnitude_zero_point=24.0,
    sky_brightness=22.35,
    read_noise=4.2,
)

# Values of lenstronomy's HST(band="WFC3_F160W", psf_type="GAUSSIAN").
HST_WFC3_F160W = Telescope(
    name="hst_wfc3_f160w",
    pixel_scale=0.08,
    image_size=64,
    psf_fwhm=0.08,
    psf_truncation=5.0,
    exposure_time=5400.0,
    exposures=1,
    magnitude_zero_point=25.96,
    sky_brightness=22.3,
    read_noise=4.0,
)

INSTRUMENTS: dict[str, Instrument] = {
    "model_1": MODEL_1_CAMERA,
    "euclid_vis": EUCLID_VIS,
    "hst_wfc3_f160w": HST_WFC3_F160W,
    "test": TEST_CAMERA,
}
