"""Real galaxies as lights: one stamp per system, moved, turned, resized and rescaled."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .brightness import FloatArray, add_present_, check_components, check_positive, column
from .galaxy_stamps import GalaxyStamps


@dataclass(frozen=True)
class GalaxyLight:
    """A galaxy's image in each system of a batch; a `Light`.

    Attributes:
        stamps: The galaxies. If they have another number of bands than the fluxes, every band shows the mean of theirs.
        number: Which galaxy, shape `(batch,)`, whole numbers.
        x: Where the stamp's centre is [arcsec], shape `(batch,)`.
        y: Where the stamp's centre is [arcsec], shape `(batch,)`.
        angle: By which the stamp is turned, from the x axis towards the y axis [radian], shape `(batch,)`.
        half_light_radius: Of the galaxy [arcsec], shape `(batch,)`; the stamp is resized to it, see
            `GalaxyStamps.half_light_radii`.
        flux: Of the whole galaxy [electrons/s], shape `(batch, bands)`; all zero if it is absent.

    Raises:
        ValueError: If a value is unphysical, the shapes do not fit or a galaxy does not exist.

    Source:
        Bilinear interpolation and zero outside, as lenstronomy's INTERPOL (tests/simulation/test_galaxy_light.py).
    """

    stamps: GalaxyStamps
    number: NDArray[np.int64]
    x: FloatArray
    y: FloatArray
    angle: FloatArray
    half_light_radius: FloatArray
    flux: FloatArray

    def __post_init__(self) -> None:
        check_components(
            "GalaxyLight", self.flux, number=self.number, x=self.x, y=self.y, angle=self.angle,
            half_light_radius=self.half_light_radius,
        )  # fmt: skip
        check_positive("GalaxyLight", self.flux, "arcsec", half_light_radius=self.half_light_radius)
        for number in self.number:
            if not 0 <= number < len(self.stamps):
                raise ValueError(f"GalaxyLight: number={number} is no galaxy; allowed is 0 to {len(self.stamps) - 1}.")

    def add_brightness_(self, image: Tensor, x: Tensor, y: Tensor, rows: slice) -> None:
        """Add the surface brightness at positions, in place, as `components.Light` says."""
        add_present_(image, x, y, rows, self.flux, self._profile)

    def _profile(self, x: Tensor, y: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Surface brightness of unit flux [1/arcsec^2], shape `(rows, bands, height, width)`."""
        height, width = self.stamps.images.shape[2:]
        numbers = torch.from_numpy(self.number[rows].astype(np.int64)).to(x.device)
        textures = _textures(self.stamps, self.flux.shape[1], x.device, x.dtype)[numbers]
        shift_x, shift_y = x - column(self.x, rows, x), y - column(self.y, rows, x)
        scale = self.half_light_radius[rows] / self.stamps.half_light_radii[self.number[rows]]
        everything = np.arange(len(rows))
        cosine, sine = np.cos(self.angle[rows]) / scale, np.sin(self.angle[rows]) / scale
        # grid_sample calls the centres of the outermost pixels -1 and 1
        half_width, half_height = (width - 1) / 2, (height - 1) / 2
        along_x = shift_x * column(cosine / half_width, everything, x)
        along_x = along_x + shift_y * column(sine / half_width, everything, x)
        along_y = shift_y * column(cosine / half_height, everything, x)
        along_y = along_y - shift_x * column(sine / half_height, everything, x)
        positions = torch.stack([along_x, along_y], dim=-1)
        sampled = F.grid_sample(textures, positions, mode="bilinear", padding_mode="zeros", align_corners=True)
        return sampled.mul_(column(1 / scale**2, everything, x)[..., None])


@lru_cache(maxsize=8)
def _textures(stamps: GalaxyStamps, bands: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """All stamps on a device, each band with the sum 1, shape `(n, bands, height, width)`."""
    images = stamps.images.astype(np.float64)
    images /= images.sum(axis=(2, 3), keepdims=True)
    if bands != stamps.bands:
        images = np.repeat(images.mean(axis=1, keepdims=True), bands, axis=1)
    return torch.from_numpy(images).to(device=device, dtype=dtype)
