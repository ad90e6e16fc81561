"""What a scene is made of: things that deflect light and things that emit it, each for a whole batch of systems."""

from typing import Protocol

from torch import Tensor


class Deflector(Protocol):
    """A mass, or a set of masses, of each system of a batch."""

    def add_deflection_(self, deflection_x: Tensor, deflection_y: Tensor, x: Tensor, y: Tensor, rows: slice) -> None:
        """Add the reduced deflection at positions in the image plane, in place.

        Args:
            deflection_x: Deflection along x [arcsec], shape `(rows, height, width)`; added to.
            deflection_y: Deflection along y [arcsec], shape `(rows, height, width)`; added to.
            x: Positions [arcsec], shape `(1 or rows, 1 or height, width)`.
            y: Positions [arcsec], shape `(1 or rows, height, 1 or width)`. On a regular grid x and y are a row and
                a column, so that differences from a mass's centre cost next to nothing.
            rows: Which systems of the batch.
        """
        ...


class Light(Protocol):
    """A surface brightness of each system of a batch."""

    def add_brightness_(self, image: Tensor, x: Tensor, y: Tensor, rows: slice) -> None:
        """Add the surface brightness at positions, in place.

        Args:
            image: Surface brightness [electrons/s/arcsec^2], shape `(rows, bands, height, width)`; added to.
            x: Positions [arcsec], broadcasts with y to `(rows, height, width)`.
            y: Positions [arcsec].
            rows: Which systems of the batch.
        """
        ...
