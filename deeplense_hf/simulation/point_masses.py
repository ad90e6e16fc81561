"""Deflections of many point masses on a pixel grid, summed one mass at a time."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float64]


class PointMasses:
    """Point masses of a batch of systems above a square pixel grid.

    Args:
        axis: Positions of the pixels along either axis [arcsec], shape `(size,)`.
        x: Positions of the masses along x [arcsec], shape `(batch, points)`.
        y: Positions of the masses along y [arcsec], shape `(batch, points)`.
        einstein_radius: One per mass [arcsec], shape `(batch, points)`; zero means absent.
        scale: Units of scaled positions along x and y [1/arcsec].
        dtype: Precision of the sums.
        device: Where to sum.

    Raises:
        ValueError: If an Einstein radius is negative or not a number.
    """

    def __init__(
        self,
        axis: FloatArray,
        x: FloatArray,
        y: FloatArray,
        einstein_radius: FloatArray,
        scale: tuple[float, float],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        if not (einstein_radius >= 0).all():
            refused = einstein_radius[~(einstein_radius >= 0)][0]
            raise ValueError(f"einstein_radius={refused} arcsec must be zero or more. Use zero for no mass.")

        def tensor(array: FloatArray) -> Tensor:
            return torch.from_numpy(array).to(device=device, dtype=dtype)

        # Differences in double precision: near a mass their rounding decides the deflection.
        offset_x, offset_y = axis - x[:, :, None], axis - y[:, :, None]
        strength = -(einstein_radius[:, :, None] ** 2)
        self._columns = (
            tensor(scale[0] * strength * offset_x),
            tensor(scale[1] * strength * offset_y),
            tensor(offset_x).square_(),
            # The small number keeps the quotient finite at a mass's own position, where the weights are zero.
            tensor(offset_y).square_().add_(10 * torch.finfo(dtype).tiny),
        )
        self._step: tuple[Tensor, ...] = ()
        self._points: list[tuple[Tensor, ...]] = []
        self._distance_squared = torch.empty(0, dtype=dtype, device=device)

    def subtract_deflections_(self, p: Tensor, q: Tensor, chunk: slice) -> None:
        """Subtract the summed deflections from scaled positions on the grid, in place.

        Args:
            p: Scaled positions along x, shape `(chunk, size, size)`; overwritten.
            q: Scaled positions along y, shape `(chunk, size, size)`; overwritten.
            chunk: Which systems of the batch p and q belong to.

        Source:
            Schneider, Ehlers & Falco (1992), eq. 2.17. Equal to lenstronomy's POINT_MASS, which at a mass's
            own position deflects by nothing (tests/simulation/test_renderer.py).
        """
        if self._distance_squared.shape != p.shape:
            self._prepare(p)
        for values, step in zip(self._columns, self._step, strict=True):
            step.copy_(values[chunk])
        for weight_x, weight_y, square_x, square_y in self._points:
            torch.add(square_x, square_y, out=self._distance_squared)
            p.addcdiv_(weight_x, self._distance_squared)
            q.addcdiv_(weight_y, self._distance_squared)

    def _prepare(self, p: Tensor) -> None:
        """Make views of each mass's numbers once for all steps of a size: making them costs much by itself."""
        self._distance_squared = torch.empty_like(p)
        self._step = tuple(torch.empty_like(values[: len(p)]) for values in self._columns)
        along_x, along_y = 2, 3
        views = (
            values.unsqueeze(axis).unbind(1)
            for values, axis in zip(self._step, (along_x, along_y, along_x, along_y), strict=True)
        )
        self._points = list(zip(*views, strict=True))
