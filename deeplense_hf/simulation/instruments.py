"""Frozen descriptions of the cameras: pixels, point spread function, exposure, background."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .point_spread import GaussianPointSpread, MoffatPointSpread, PointSpread


@dataclass(frozen=True)
class Instrument:
    """Pixels and point spread function of a camera.

    Args:
        name: Written into the data set's instrument column.
        pixel_scale: Width of a pixel [arcsec].
        image_size: Pixels along each side of the square image.
        point_spread: Point spread function.

    Raises:
        ValueError: If a value is unphysical.
    """

    name: str
    pixel_scale: float
    image_size: int
    point_spread: PointSpread

    def __post_init__(self) -> None:
        _require_positive(self, "pixel_scale [arcsec]", "image_size [pixels]")
        if self.image_size != int(self.image_size):
            raise ValueError(f"{self.name}: image_size={self.image_size} is not a whole number of pixels.")

    @property
    def gaussian(self) -> GaussianPointSpread:
        """The point spread function, of an instrument for which it is Gaussian.

        Raises:
            ValueError: If it is of another kind.
        """
        if not isinstance(self.point_spread, GaussianPointSpread):
            raise ValueError(
                f"{self.name}: the point spread function is a {type(self.point_spread).__name__}; published recipes "
                "need a GaussianPointSpread."
            )
        return self.point_spread

    @property
    def field_of_view(self) -> float:
        """Width of the image [arcsec]."""
        return self.image_size * self.pixel_scale


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
    def sky_rate(self) -> float:
        """Mean light of the sky in a pixel [electrons/s]."""
        return self.electrons_per_second(self.sky_brightness) * self.pixel_scale**2

    @property
    def background_rms(self) -> float:
        """Standard deviation of sky and readout in a pixel of the added image [electrons/s].

        Source:
            lenstronomy `data_util.bkg_noise`: each readout adds its variance once, the sky its own Poisson
            variance.
        """
        variance = self.exposures * self.read_noise**2 + self.total_exposure_time * self.sky_rate
        return math.sqrt(variance) / self.total_exposure_time

    def electrons_per_second(self, magnitude: float) -> float:
        """Turn a magnitude into a count rate.

        Args:
            magnitude: Apparent magnitude [mag].

        Returns:
            Electrons per second.
        """
        return 10 ** (0.4 * (self.magnitude_zero_point - magnitude))


def fluxes(magnitude: NDArray[np.float64], colours: Sequence[float], bands: Sequence[Telescope]) -> NDArray[np.float64]:
    """Turn magnitudes into fluxes in several bands.

    Args:
        magnitude: Apparent magnitudes in the reference band [mag], shape `(batch,)`.
        colours: Magnitude in each band minus that in the reference band [mag].
        bands: One telescope per colour.

    Returns:
        Fluxes [electrons/s], shape `(batch, bands)`.
    """
    rates = [band.electrons_per_second(colour) for band, colour in zip(bands, colours, strict=True)]
    flux: NDArray[np.float64] = 10 ** (-0.4 * magnitude[:, None]) * np.array(rates)
    return flux


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
    point_spread=GaussianPointSpread(fwhm=0.087, truncation=3.0),
    background_rms=1e-2,
    log10_exposure_time_range=(3.0, 3.5),
)

TEST_CAMERA = CountingCamera(
    name="test",
    pixel_scale=0.2,
    image_size=32,
    point_spread=GaussianPointSpread(fwhm=0.2, truncation=3.0),
    background_rms=1e-1,
    log10_exposure_time_range=(2.0, 2.5),
)

# Values of lenstronomy's Euclid(band="VIS", coadd_years=6) up to version 1.13, with which Model II was made.
MODEL_2_CAMERA = Telescope(
    name="euclid_vis_model_2",
    pixel_scale=0.101,
    image_size=64,
    point_spread=GaussianPointSpread(fwhm=0.16, truncation=5.0),
    exposure_time=565.0,
    exposures=4,
    magnitude_zero_point=24.0,
    sky_brightness=22.35,
    read_noise=4.2,
)

# Values of lenstronomy's HST(band="WFC3_F160W", psf_type="GAUSSIAN"), whose width is that of a pixel.
MODEL_3_CAMERA = Telescope(
    name="hst_f160w_model_3",
    pixel_scale=0.08,
    image_size=64,
    point_spread=GaussianPointSpread(fwhm=0.08, truncation=5.0),
    exposure_time=5400.0,
    exposures=1,
    magnitude_zero_point=25.96,
    sky_brightness=22.3,
    read_noise=4.0,
)

# Euclid Wide Survey, visible camera: Mellier et al. (2024), arXiv:2405.13491, Cropper et al. (2024),
# arXiv:2405.13492, in the values of lenstronomy 1.14.
EUCLID_VIS = Telescope(
    name="euclid_vis",
    pixel_scale=0.1,
    image_size=64,
    point_spread=GaussianPointSpread(fwhm=0.16, truncation=5.0),
    exposure_time=566.0,
    exposures=4,
    magnitude_zero_point=25.72,
    sky_brightness=22.3,
    read_noise=4.2,
)

# One orbit of the Advanced Camera for Surveys in four exposures, as for the SLACS lenses (Bolton et al. 2008,
# arXiv:0805.1931); zero point (AB), sky and readout as in the ACS Instrument Handbook.
HST_F814W = Telescope(
    name="hst_f814w",
    pixel_scale=0.05,
    image_size=128,
    point_spread=GaussianPointSpread(fwhm=0.10, truncation=5.0),
    exposure_time=550.0,
    exposures=4,
    magnitude_zero_point=25.94,
    sky_brightness=21.9,
    read_noise=4.0,
)

# Two orbits of Wide Field Camera 3, drizzled; the width is that measured by Windhorst et al. (2011),
# arXiv:1005.2776.
HST_F160W = Telescope(
    name="hst_f160w",
    pixel_scale=0.08,
    image_size=80,
    point_spread=GaussianPointSpread(fwhm=0.15, truncation=5.0),
    exposure_time=1350.0,
    exposures=4,
    magnitude_zero_point=25.96,
    sky_brightness=22.3,
    read_noise=4.0,
)


def _ground(band: str, magnitude_zero_point: float, sky_brightness: float, seeing: float, exposures: int) -> Telescope:
    return Telescope(
        name=f"ground_{band}",
        pixel_scale=0.2,
        image_size=48,
        point_spread=MoffatPointSpread(fwhm=seeing, beta=3.5),
        exposure_time=15.0,
        exposures=exposures,
        magnitude_zero_point=magnitude_zero_point,
        sky_brightness=sky_brightness,
        read_noise=10.0,
    )


# The Rubin Observatory's first year, a tenth of the visits of lenstronomy 1.14's ten years, with a Moffat profile for
# the seeing.
GROUND_G = _ground("g", 28.30, 22.26, 0.77, 20)
GROUND_R = _ground("r", 28.13, 21.2, 0.73, 46)
GROUND = _ground("i", 27.79, 20.48, 0.71, 46)

INSTRUMENTS: dict[str, Instrument] = {
    instrument.name: instrument
    for instrument in (
        MODEL_1_CAMERA,
        MODEL_2_CAMERA,
        MODEL_3_CAMERA,
        EUCLID_VIS,
        HST_F814W,
        HST_F160W,
        GROUND_G,
        GROUND_R,
        GROUND,
        TEST_CAMERA,
    )
}
