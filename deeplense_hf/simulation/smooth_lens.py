"""The smooth main lens of each system of a batch, as a deflector: isothermal ellipsoid and external shear."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float64]

# A circular lens divides zero by zero; an axial ratio this close to 1 changes deflections by less than 1e-6.
LARGEST_AXIAL_RATIO = 1 - 1e-6


@dataclass(frozen=True)
class SmoothLens:
    """Singular isothermal ellipsoids at the origin with external shear.

    Args:
        einstein_radius: Product-averaged Einstein radius [arcsec], shape `(batch,)`; zero means no lens.
        ellipticity_1: (1 - q) / (1 + q) cos 2 phi, shape `(batch,)`.
        ellipticity_2: (1 - q) / (1 + q) sin 2 phi, shape `(batch,)`.
        shear_1: Shear along the axes, shape `(batch,)`.
        shear_2: Shear along the diagonals, shape `(batch,)`.

    Raises:
        ValueError: If an Einstein radius is negative or a modulus is 1 or more.

    Source:
        Keeton & Kochanek (1998), eq. 8 ff., arXiv:astro-ph/9705194. Equal to mass.isothermal_deflection and to
        lenstronomy's SIE and SHEAR (tests/simulation/test_smooth_lens.py).
    """

    einstein_radius: FloatArray
    ellipticity_1: FloatArray
    ellipticity_2: FloatArray
    shear_1: FloatArray
    shear_2: FloatArray

    def __post_init__(self) -> None:
        if (self.einstein_radius < 0).any():
            raise ValueError(f"einstein_radius={self.einstein_radius.min()} arcsec is negative.")
        for name in ("ellipticity", "shear"):
            modulus = np.hypot(getattr(self, f"{name}_1"), getattr(self, f"{name}_2"))
            if (modulus >= 1).any():
                raise ValueError(f"{name} has a modulus of {modulus.max()}; it must be below 1.")

    def add_deflection_(self, deflection_x: Tensor, deflection_y: Tensor, x: Tensor, y: Tensor, rows: slice) -> None:
        """Add the deflection; see `components.Deflector`."""

        def column(values: FloatArray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values[rows])).to(x)[:, None, None]

        shear_1, shear_2 = column(self.shear_1), column(self.shear_2)
        deflection_x.add_(shear_1 * x).add_(shear_2 * y)
        deflection_y.add_(shear_2 * x).sub_(shear_1 * y)
        if not self.einstein_radius[rows].any():
            return
        modulus = np.hypot(self.ellipticity_1, self.ellipticity_2)
        ratio = np.minimum((1 - modulus) / (1 + modulus), LARGEST_AXIAL_RATIO)
        eccentricity = np.sqrt(1 - ratio**2)
        angle = np.arctan2(self.ellipticity_2, self.ellipticity_1) / 2
        cosine, sine = column(np.cos(angle)), column(np.sin(angle))
        # Along both axes in units of the eccentricity, which the formula multiplies by.
        along = column(eccentricity * np.cos(angle)) * x + column(eccentricity * np.sin(angle)) * y
        across = column(eccentricity * np.cos(angle)) * y - column(eccentricity * np.sin(angle)) * x
        scale = column(ratio / eccentricity)
        radius = (along * scale).square_().addcmul_(across / column(eccentricity), across / column(eccentricity))
        # The smallest number keeps the quotient finite at the very centre, where the deflection is zero.
        inverse = radius.add_(torch.finfo(x.dtype).tiny).rsqrt_()
        strength = column(self.einstein_radius * np.sqrt(ratio) / eccentricity)
        along.mul_(inverse).atan_().mul_(strength)
        across.mul_(inverse).atanh_().mul_(strength)
        deflection_x.addcmul_(cosine, along).addcmul_(sine, across, value=-1)
        deflection_y.addcmul_(sine, along).addcmul_(cosine, across)
