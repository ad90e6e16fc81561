"""Deflections of many point masses on a pixel grid, summed one mass at a time."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class PointMasses:
    """Point masses of a batch of systems above a square pixel grid.

    Args:
        axis: Positions of the pixels along either axis [arcsec], shape `(size,)`.
        x: Positions of the masses along x [arcsec], shape `(batch, points)`.
        y: Positions of the masses along y [arcsec], shape `(batch, points)`.
        einstein_radius: One per mass [arcsec], shape `(batch, points)`; zero means absent.

    Raises:
        ValueError: If an Einstein radius is negative.
    """

    axis: FloatArray
    x: FloatArray
    y: FloatArray
    einstein_radius: FloatArray

    def __post_init__(self) -> None:
        if (self.einstein_radius < 0).any():
            raise ValueError(f"einstein_radius={self.einstein_radius.min()} arcsec is negative. Use zero for no mass.")

    def subtract_deflections_(self, p: Tensor, q: Tensor, scale: tuple[float, float], chunk: slice) -> None:
        """Subtract the summed deflections from positions on the grid, in place.

        Args:
            p: Scaled positions along x, shape `(chunk, size, size)`; overwritten.
            q: Scaled positions along y, shape `(chunk, size, size)`; overwritten.
            scale: Units of p and q [1/arcsec].
            chunk: Which systems of the batch p and q belong to.

        Source:
            Schneider, Ehlers & Falco (1992), eq. 2.17. Equal to lenstronomy's POINT_MASS, which at a mass's
            own position deflects by nothing (tests/simulation/test_renderer.py).
        """

        def tensor(array: FloatArray) -> Tensor:
            return torch.from_numpy(array).to(device=p.device, dtype=p.dtype)

        # Differences in double precision: near a mass their rounding decides the deflection.
        offset_x = self.axis - self.x[chunk, :, None]
        offset_y = self.axis - self.y[chunk, :, None]
        strength = -(self.einstein_radius[chunk, :, None] ** 2)
        weight_x = tensor(scale[0] * strength * offset_x).unsqueeze(2)
        weight_y = tensor(scale[1] * strength * offset_y).unsqueeze(3)
        square_x = tensor(offset_x).square_().unsqueeze(2)
        # The small number keeps the quotient finite at a mass's own position, where the weights are zero.
        square_y = tensor(offset_y).square_().add_(10 * torch.finfo(p.dtype).tiny).unsqueeze(3)
        distance_squared = torch.empty_like(p)
        for point in range(self.x.shape[1]):
            torch.add(square_x[:, point], square_y[:, point], out=distance_squared)
            p.addcdiv_(weight_x[:, point], distance_squared)
            q.addcdiv_(weight_y[:, point], distance_squared)
