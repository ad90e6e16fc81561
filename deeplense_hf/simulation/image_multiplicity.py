"""How many images a smooth isothermal lens with shear makes of a point."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .mass import isothermal_deflection

FloatArray = NDArray[np.float64]

ANGLES = 720


def count_images(
    source_x: FloatArray,
    source_y: FloatArray,
    einstein_radius: float,
    ellipticity_1: float,
    ellipticity_2: float,
    shear_1: float,
    shear_2: float,
) -> NDArray[np.int32]:
    """Count the images of points behind a singular isothermal ellipsoid with external shear.

    An isothermal deflection depends on the polar angle alone, so the lens equation (1 - shear) r n = source +
    deflection holds where the two sides are parallel, and the images are the sign changes of their cross
    product around the circle at which r is positive. Pairs of images closer than half a degree, that is
    sources within about 1e-5 Einstein radii of a caustic, count as none.

    Args:
        source_x: Positions along x [arcsec], shape `(batch,)`.
        source_y: Positions along y [arcsec], shape `(batch,)`.
        einstein_radius: Product-averaged Einstein radius [arcsec].
        ellipticity_1: First component of the lens's ellipticity.
        ellipticity_2: Second component of the lens's ellipticity.
        shear_1: First component of the shear.
        shear_2: Second component of the shear.

    Returns:
        Number of images of each point, 1 to 4, shape `(batch,)`; the infinitely faint one at the centre is
        left out.

    Raises:
        ValueError: If the lens is unphysical.

    Source:
        Kassiola & Kovner (1993), ApJ 417, 450, on the one-dimensional lens equation of elliptical isothermal
        lenses. Compared with lenstronomy's LensEquationSolver in tests/simulation/test_image_multiplicity.py.
    """
    shape = _angular_shape(einstein_radius, ellipticity_1, ellipticity_2, shear_1, shear_2)
    outward_x, outward_y, deflection_x, deflection_y = shape
    target_x = source_x[:, None] + deflection_x
    target_y = source_y[:, None] + deflection_y
    parallel = np.signbit(outward_x * target_y - outward_y * target_x)
    same_side = outward_x * target_x + outward_y * target_y > 0
    crossing = (parallel != np.roll(parallel, -1, axis=1)) & same_side
    return crossing.sum(axis=1, dtype=np.int32)


@lru_cache(maxsize=32)
def _angular_shape(
    einstein_radius: float, ellipticity_1: float, ellipticity_2: float, shear_1: float, shear_2: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """(1 - shear) times the unit vector, and the deflection, at each polar angle."""
    # Off the axes of symmetry, where a source on an axis has its images.
    angle = (np.arange(ANGLES) + 0.3819660112501051) * (2 * np.pi / ANGLES)
    cosine, sine = np.cos(angle), np.sin(angle)
    deflection = isothermal_deflection(cosine, sine, einstein_radius, ellipticity_1, ellipticity_2)
    outward_x = (1 - shear_1) * cosine - shear_2 * sine
    outward_y = (1 + shear_1) * sine - shear_2 * cosine
    return outward_x, outward_y, deflection[0], deflection[1]
