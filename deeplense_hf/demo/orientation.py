"""Where north is in a FITS image."""

import io
import math
import warnings
import zlib
from pathlib import Path
from typing import Any

_FITS_ENDINGS = (".fits", ".fit", ".fits.gz", ".fits.fz")
_UP = 2.0
"""North within this angle of the vertical is called up [degrees]."""
_STEP = 1e-4
"""Step towards north [degrees]."""


def orientation_of(path: Path) -> str | None:
    """Say how an image with celestial coordinates lies on the sky.

    Args:
        path: A file that was read as an image already.

    Returns:
        A sentence about the picture with the first row at the bottom; None where the file does not say it.
    """
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    from deeplense_hf.models.fits_images import first_image

    if not path.name.lower().endswith(_FITS_ENDINGS):
        return None
    with warnings.catch_warnings():
        # astropy's warnings are about cards we do not read
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            # of the same extension as the image
            with fits.open(io.BytesIO(first_image(path.read_bytes())), memmap=False) as units:
                header = units[-1].header
            angle, east_is_left = _north(header)
        except (ValueError, OSError, KeyError, TypeError, AttributeError, zlib.error):
            # coordinates that cannot be understood are as good as none
            return None
    east = f"east is {'left' if east_is_left else 'right'} of it"
    if abs(angle) <= _UP:
        return f"North is up, {east}."
    return f"North is {abs(angle):.0f}° to the {'left' if angle > 0 else 'right'} of up, {east}."


def _north(header: Any) -> tuple[float, bool]:
    """Return the angle from up to north, anticlockwise [degrees], and whether east is anticlockwise of north.

    Raises:
        ValueError: If the header has no celestial coordinates.
    """
    from astropy.wcs import WCS

    coordinates = WCS(header).celestial
    if coordinates.naxis != 2 or not {"CDELT1", "CD1_1", "PC1_1"} & set(header):
        raise ValueError("the header has no celestial coordinates.")
    column, row = (header["NAXIS1"] - 1) / 2, (header["NAXIS2"] - 1) / 2
    longitude, latitude = map(float, coordinates.wcs_pix2world(column, row, 0))
    north, east = (
        [float(after) - before for after, before in zip(moved, (column, row), strict=True)]
        for moved in (
            coordinates.wcs_world2pix(longitude, latitude + _STEP, 0),
            coordinates.wcs_world2pix(longitude + _STEP, latitude, 0),
        )
    )
    angle = math.degrees(math.atan2(-north[0], north[1]))
    if not math.isfinite(angle):
        raise ValueError("the header's coordinates are no numbers.")
    return angle, north[0] * east[1] - north[1] * east[0] > 0
