"""Deflections of the smooth lens: singular isothermal ellipsoid and external shear, in double precision."""

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MACRO_PARAMETERS = ("einstein_radius", "ellipticity_1", "ellipticity_2", "shear_1", "shear_2")
"""Parameters of the smooth lens, in the order in which functions take them."""

# Core radius, product-averaged, that keeps the deflection at the very centre finite [arcsec]; lenstronomy's
# value.
CORE_RADIUS = 1e-10


def isothermal_deflection(
    x: FloatArray,
    y: FloatArray,
    einstein_radius: FloatArray | float,
    ellipticity_1: FloatArray | float,
    ellipticity_2: FloatArray | float,
) -> tuple[FloatArray, FloatArray]:
    """Deflection of a singular isothermal ellipsoid at the origin.

    Args:
        x: Image-plane positions along x [arcsec].
        y: Image-plane positions along y [arcsec].
        einstein_radius: Product-averaged Einstein radius [arcsec].
        ellipticity_1: (1 - q) / (1 + q) cos 2 phi, where q is the axis ratio and phi the major axis's angle.
        ellipticity_2: (1 - q) / (1 + q) sin 2 phi.

    Returns:
        Deflection along x and y [arcsec], in the shape to which the arguments broadcast.

    Raises:
        ValueError: If an Einstein radius is negative or an ellipticity's modulus is 1 or more.

    Source:
        Keeton & Kochanek (1998), eq. 8 ff., arXiv:astro-ph/9705194. Equal to lenstronomy's SIE, including its
        core of 1e-10 arcsec (tests/simulation/test_mass.py).
    """
    modulus = np.hypot(ellipticity_1, ellipticity_2)
    if np.any(modulus >= 1):
        raise ValueError(f"ellipticity modulus {np.max(modulus)} is 1 or more; it must be below 1.")
    if np.any(np.asarray(einstein_radius) < 0):
        raise ValueError(f"einstein_radius={np.min(einstein_radius)} arcsec is negative.")
    angle = np.arctan2(ellipticity_2, ellipticity_1) / 2
    # A circular lens divides zero by zero; an axis ratio this close to 1 changes nothing that a double can
    # hold.
    axis_ratio = np.minimum((1 - modulus) / (1 + modulus), 1 - 1e-8)
    eccentricity = np.sqrt(1 - axis_ratio**2)
    strength = einstein_radius * np.sqrt(axis_ratio) / eccentricity
    core = CORE_RADIUS / np.sqrt(axis_ratio)
    cosine, sine = np.cos(angle), np.sin(angle)
    along, across = cosine * x + sine * y, cosine * y - sine * x
    elliptical_radius = np.sqrt(axis_ratio**2 * (core**2 + along**2) + across**2)
    along_deflection = strength * np.arctan(eccentricity * along / (elliptical_radius + core))
    across_deflection = strength * np.arctanh(eccentricity * across / (elliptical_radius + axis_ratio**2 * core))
    return (
        cosine * along_deflection - sine * across_deflection,
        sine * along_deflection + cosine * across_deflection,
    )


def shear_deflection(
    x: FloatArray, y: FloatArray, shear_1: FloatArray | float, shear_2: FloatArray | float
) -> tuple[FloatArray, FloatArray]:
    """Deflection of a uniform external shear.

    Args:
        x: Image-plane positions along x [arcsec].
        y: Image-plane positions along y [arcsec].
        shear_1: Shear along the axes.
        shear_2: Shear along the diagonals.

    Returns:
        Deflection along x and y [arcsec], in the shape to which the arguments broadcast.

    Source:
        Schneider, Ehlers & Falco (1992), section 5.1. Equal to lenstronomy's SHEAR
        (tests/simulation/test_mass.py).
    """
    return shear_1 * x + shear_2 * y, shear_2 * x - shear_1 * y


def elliptical_radius_form(ellipticity_1: float, ellipticity_2: float) -> tuple[float, float, float]:
    """Quadratic form of the squared product-averaged elliptical radius.

    Args:
        ellipticity_1: First component of the ellipticity.
        ellipticity_2: Second component of the ellipticity.

    Returns:
        (a, b, c) such that the radius squared is a x^2 + b x y + c y^2.

    Raises:
        ValueError: If the ellipticity's modulus is 1 or more.

    Source:
        lenstronomy `param_util.transform_e1e2_product_average`, squared.
    """
    if not math.hypot(ellipticity_1, ellipticity_2) < 1:
        raise ValueError(
            f"ellipticity=({ellipticity_1}, {ellipticity_2}) has a modulus of 1 or more; it must be below 1."
        )
    norm = 1 - ellipticity_1**2 - ellipticity_2**2
    return (
        ((1 - ellipticity_1) ** 2 + ellipticity_2**2) / norm,
        -4 * ellipticity_2 / norm,
        ((1 + ellipticity_1) ** 2 + ellipticity_2**2) / norm,
    )
