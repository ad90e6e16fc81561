"""What surface brightnesses of batches have in common: rows that are absent, columns of parameters, bands."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float64]


def check_components(owner: str, flux: FloatArray, **parameters: NDArray[np.number]) -> None:
    """Refuse parameters that do not fit each other or are no numbers.

    Args:
        owner: What they belong to, for the message.
        flux: [electrons/s], shape `(batch, bands)`.
        **parameters: Each of shape `(batch,)`.

    Raises:
        ValueError: If a shape differs, a value is not finite or a flux is negative.
    """
    if flux.ndim != 2:
        raise ValueError(f"{owner}: flux has shape {flux.shape}; allowed is (batch, bands).")
    for name, values in parameters.items():
        if values.shape != flux.shape[:1]:
            raise ValueError(f"{owner}: {name} has shape {values.shape}; the fluxes need {flux.shape[:1]}.")
        if not np.isfinite(values).all():
            raise ValueError(f"{owner}: {name}={values[~np.isfinite(values)][0]} is not a finite number.")
    if not (np.isfinite(flux).all() and (flux >= 0).all()):
        raise ValueError(f"{owner}: flux={np.min(flux)} electrons/s is not a number of 0 or more.")


def check_positive(owner: str, flux: FloatArray, unit: str, **parameters: NDArray[np.number]) -> None:
    """Refuse values of zero or less in the systems in which a component is present.

    Args:
        owner: What they belong to, for the message.
        flux: [electrons/s], shape `(batch, bands)`; a component without any is absent.
        unit: Of the parameters, for the message.
        **parameters: Each of shape `(batch,)`.

    Raises:
        ValueError: If a value is not positive.
    """
    present = np.any(flux, axis=1)
    for name, values in parameters.items():
        if not (values[present] > 0).all():
            raise ValueError(f"{owner}: {name}={np.min(values[present])} {unit} must be positive.")


def check_ellipticity(owner: str, ellipticity_1: FloatArray, ellipticity_2: FloatArray) -> None:
    """Refuse ellipticities of no ellipse.

    Args:
        owner: What they belong to, for the message.
        ellipticity_1: Shape `(batch,)`.
        ellipticity_2: Shape `(batch,)`.

    Raises:
        ValueError: If a modulus is 1 or more.
    """
    modulus = np.hypot(ellipticity_1, ellipticity_2)
    if (modulus >= 1).any():
        raise ValueError(f"{owner}: ellipticity modulus {modulus.max()} is 1 or more; it must be below 1.")


def column(values: NDArray[np.number], rows: NDArray[np.int64], like: Tensor) -> Tensor:
    """Return a parameter of some systems so that it broadcasts with images.

    Args:
        values: Shape `(batch,)`.
        rows: Which systems.
        like: A tensor on the device and in the precision wanted.

    Returns:
        Shape `(rows, 1, 1)`.
    """
    chosen = torch.from_numpy(np.ascontiguousarray(values[rows], dtype=np.float64))
    return chosen.to(device=like.device, dtype=like.dtype)[:, None, None]


def add_present_(
    image: Tensor,
    x: Tensor,
    y: Tensor,
    rows: slice,
    flux: FloatArray,
    profile: Callable[[Tensor, Tensor, NDArray[np.int64]], Tensor],
) -> None:
    """Add a light to the systems in which its flux is not zero, in place; the others cost nothing.

    Args:
        image: Surface brightness [electrons/s/arcsec^2], shape `(rows, bands, height, width)`; added to.
        x: Positions [arcsec], broadcasts with y to `(rows, height, width)`.
        y: Positions [arcsec].
        rows: Which systems of the batch.
        flux: [electrons/s], shape `(batch, bands)`.
        profile: Makes of positions and the numbers of their systems the surface brightness of unit flux
            [1/arcsec^2], shape `(systems, height, width)` or, if it differs between bands,
            `(systems, bands, height, width)`.

    Raises:
        ValueError: If image and fluxes have different numbers of bands.
    """
    if image.shape[1] != flux.shape[1]:
        raise ValueError(f"the image has {image.shape[1]} bands, the fluxes have {flux.shape[1]}; both need the same.")
    systems = np.arange(len(flux))[rows]
    present = np.flatnonzero(flux[systems].any(axis=1))
    if not len(present):
        return
    everything = len(present) == len(systems)
    where = torch.from_numpy(present).to(image.device)
    if not everything:
        x, y = (axis if len(axis) == 1 else axis[where] for axis in (x, y))
    systems = systems[present]
    shape = profile(x, y, systems)
    for band in range(flux.shape[1]):
        strength = column(flux[:, band], systems, image)
        light = (shape if shape.ndim == 3 else shape[:, band]) * strength
        if everything:
            image[:, band].add_(light)
        else:
            # no sum of two systems, so that the order of additions on a graphics card does not matter
            image[where, band] += light
