"""Deflection of a uniform disc of mass, which takes out of the smooth lens what the substructure puts in."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class MassSheet:
    """A uniform disc of mass around the origin, one for each system of a batch.

    Args:
        convergence: Surface density over the critical one, shape `(batch,)`; negative where mass is taken away.
        radius: Radius of the disc [arcsec], shape `(batch,)`.

    Raises:
        ValueError: If the shapes differ, a convergence is not finite or a radius is not positive.

    Source:
        Schneider, Ehlers & Falco (1992), section 8.1.2. Equal to lenstronomy's CONVERGENCE inside and to a point of
        the same mass outside (tests/simulation/test_mass_sheet.py).
    """

    convergence: FloatArray
    radius: FloatArray

    def __post_init__(self) -> None:
        if self.convergence.ndim != 1 or self.convergence.shape != self.radius.shape:
            raise ValueError(
                f"convergence of shape {self.convergence.shape} and radius of shape {self.radius.shape} "
                "must have the same shape (batch,)."
            )
        if not np.isfinite(self.convergence).all():
            raise ValueError(f"convergence={self.convergence[~np.isfinite(self.convergence)][0]} must be finite.")
        if not (self.radius > 0).all():
            raise ValueError(f"radius={self.radius.min()} arcsec of a mass sheet must be positive.")

    def __len__(self) -> int:
        return len(self.convergence)

    def add_deflection_(self, deflection_x: Tensor, deflection_y: Tensor, x: Tensor, y: Tensor, rows: slice) -> None:
        """Add the deflection of the discs in place, one system at a time; see `components.Deflector`.

        Args:
            deflection_x: Deflection along x [arcsec], shape `(rows, height, width)`; added to.
            deflection_y: Deflection along y [arcsec], shape `(rows, height, width)`; added to.
            x: Positions [arcsec], shape `(1 or rows, 1 or height, width)`.
            y: Positions [arcsec], shape `(1 or rows, height, 1 or width)`.
            rows: Which systems of the batch.
        """
        slope = torch.empty_like(deflection_x[0]) if len(deflection_x) else deflection_x
        for row, system in enumerate(range(*rows.indices(len(self)))):
            convergence, squared_radius = float(self.convergence[system]), float(self.radius[system]) ** 2
            if convergence == 0:
                continue
            x_row, y_row = x[row if len(x) > 1 else 0], y[row if len(y) > 1 else 0]
            torch.add(x_row.square(), y_row.square(), out=slope)
            slope.clamp_(min=squared_radius).reciprocal_().mul_(convergence * squared_radius)
            deflection_x[row].addcmul_(slope, x_row)
            deflection_y[row].addcmul_(slope, y_row)
