"""The vortex of an axion condensate: a straight line of mass, softened by a core."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float64]

# A shorter line is a point [arcsec].
SHORTEST_HALF_LENGTH = 1e-6


@dataclass(frozen=True)
class Vortex:
    """One line of mass in each system of a batch.

    A point of the line deflects as a Plummer sphere does, (x - x') / (|x - x'|^2 + core^2), and the line's points are
    equally massive.

    Args:
        x: Centre along x [arcsec], shape `(batch,)`.
        y: Centre along y [arcsec], shape `(batch,)`.
        half_length: Half length [arcsec], shape `(batch,)`.
        angle: Angle of the line from the x axis [rad], shape `(batch,)`.
        einstein_radius: Einstein radius of a point of the same mass [arcsec], shape `(batch,)`; zero means absent.
        core_radius: Core radius [arcsec], shape `(batch,)`.

    Raises:
        ValueError: If a length or a radius is negative or not a number.

    Source:
        Alexander et al. (2020), arXiv:1909.07346, for the line; its integral here in closed form. Compared with
        quadrature and with sums of lenstronomy's POINT_MASS in tests/simulation/test_vortex.py.
    """

    x: FloatArray
    y: FloatArray
    half_length: FloatArray
    angle: FloatArray
    einstein_radius: FloatArray
    core_radius: FloatArray

    def __post_init__(self) -> None:
        for name in ("half_length", "einstein_radius", "core_radius"):
            values = getattr(self, name)
            if not (values >= 0).all():
                raise ValueError(f"vortex {name}={values[~(values >= 0)][0]} arcsec must be zero or more.")

    def add_deflection_(self, deflection_x: Tensor, deflection_y: Tensor, x: Tensor, y: Tensor, rows: slice) -> None:
        """Add the deflection of the lines in place; see `components.Deflector`.

        Args:
            deflection_x: Deflection along x [arcsec], shape `(rows, height, width)`; added to.
            deflection_y: Deflection along y [arcsec], shape `(rows, height, width)`; added to.
            x: Positions [arcsec], shape `(1 or rows, 1 or height, width)`.
            y: Positions [arcsec], shape `(1 or rows, height, 1 or width)`.
            rows: Which systems of the batch.
        """

        def column(values: FloatArray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values[rows])).to(x)[:, None, None]

        length = np.maximum(self.half_length, SHORTEST_HALF_LENGTH)
        cosine, sine, half = column(np.cos(self.angle)), column(np.sin(self.angle)), column(length)
        offset_x, offset_y = x - column(self.x), y - column(self.y)
        along, across = cosine * offset_x + sine * offset_y, cosine * offset_y - sine * offset_x
        # The smallest number keeps the quotients finite on a line without core.
        softened_squared = across.square() + column(np.maximum(self.core_radius**2, 1e-30))
        softened = softened_squared.sqrt()
        distance = along.abs()
        # The smaller of the two distances to the ends, so that neither logarithm nor angle loses digits.
        logarithm = (4 * distance * half / ((distance - half).square() + softened_squared)).log1p().mul_(0.5)
        angle = torch.atan2(2 * half * softened, along.square() - half.square() + softened_squared)
        strength = column(self.einstein_radius**2 / (2 * length))
        pull_along = logarithm.mul_(torch.sign(along)).mul_(strength)
        pull_across = angle.mul_(across / softened).mul_(strength)
        deflection_x.addcmul_(cosine, pull_along).addcmul_(sine, pull_across, value=-1)
        deflection_y.addcmul_(sine, pull_along).addcmul_(cosine, pull_across)
