"""How many images a smooth isothermal lens with shear makes of a point."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .mass import isothermal_deflection, shear_deflection

FloatArray = NDArray[np.float64]

# Directions over half a circle; the other half follows by symmetry.
ANGLES = 360
# Systems worked on at a time, so that their arrays stay in the processor's cache.
SYSTEMS_PER_STEP = 32


def count_images(
    source_x: FloatArray,
    source_y: FloatArray,
    einstein_radius: FloatArray | float,
    ellipticity_1: FloatArray | float,
    ellipticity_2: FloatArray | float,
    shear_1: FloatArray | float,
    shear_2: FloatArray | float,
) -> NDArray[np.int32]:
    """Count the images of points behind singular isothermal ellipsoids with external shear.

    An isothermal deflection depends on the polar angle alone, so the lens equation (1 - shear) r n = source +
    deflection holds where the two sides are parallel, and the images are the sign changes of their cross
    product around the circle at which r is positive. Pairs of images closer than half a degree, that is
    sources within about 1e-5 Einstein radii of a caustic, count as none.

    Args:
        source_x: Positions along x [arcsec], shape `(batch,)`.
        source_y: Positions along y [arcsec], shape `(batch,)`.
        einstein_radius: Product-averaged Einstein radius [arcsec], one or one per system.
        ellipticity_1: First component of the lens's ellipticity, one or one per system.
        ellipticity_2: Second component of the lens's ellipticity, one or one per system.
        shear_1: First component of the shear, one or one per system.
        shear_2: Second component of the shear, one or one per system.

    Returns:
        Number of images of each point, 1 to 4, shape `(batch,)`; the infinitely faint one at the centre is
        left out. A count does not depend on the batch around it.

    Raises:
        ValueError: If a lens is unphysical.

    Source:
        Kassiola & Kovner (1993), ApJ 417, 450, on the one-dimensional lens equation of elliptical isothermal
        lenses. Compared with lenstronomy's LensEquationSolver in tests/simulation/test_image_multiplicity.py.
    """
    batch = len(source_x)
    counts = np.zeros(batch, dtype=np.int32)
    if not batch:
        return counts
    parameters = (einstein_radius, ellipticity_1, ellipticity_2, shear_1, shear_2)
    macro = np.stack([np.broadcast_to(np.asarray(one, np.float64), (batch,)) for one in parameters], axis=1)
    shared = _cached_angular_shape(*macro[0].tolist()) if (macro == macro[0]).all() else None
    for start in range(0, batch, SYSTEMS_PER_STEP):
        chunk = slice(start, start + SYSTEMS_PER_STEP)
        shape = _angular_shape(macro[chunk]) if shared is None else shared
        counts[chunk] = _count_sign_changes(source_x[chunk, None], source_y[chunk, None], shape)
    return counts


AngularShape = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


def _count_sign_changes(source_x: FloatArray, source_y: FloatArray, shape: AngularShape) -> NDArray[np.int32]:
    outward_x, outward_y, lens_across, lens_along = shape
    source_across = outward_x * source_y - outward_y * source_x
    source_along = outward_x * source_x + outward_y * source_y
    # Opposite to a direction, the outward vector and the deflection change sign, the source does not.
    across = np.concatenate([lens_across + source_across, lens_across - source_across], axis=1)
    along = np.concatenate([lens_along + source_along, lens_along - source_along], axis=1)
    side = np.signbit(across)
    changes = np.empty_like(side)
    np.not_equal(side[:, :-1], side[:, 1:], out=changes[:, :-1])
    np.not_equal(side[:, -1], side[:, 0], out=changes[:, -1])
    changes &= along > 0
    return changes.sum(axis=1, dtype=np.int32)


@lru_cache(maxsize=32)
def _cached_angular_shape(*macro: float) -> AngularShape:
    return _angular_shape(np.asarray([macro]))


def _angular_shape(macro: FloatArray) -> AngularShape:
    """(1 - shear) times the unit vector, and the deflection's components across and along it, at each polar angle."""
    radius, ellipticity_1, ellipticity_2, shear_1, shear_2 = macro.T[:, :, None]
    # Off the axes of symmetry, where a source on an axis has its images.
    angle = (np.arange(ANGLES) + 0.3819660112501051) * (np.pi / ANGLES)
    cosine, sine = np.cos(angle), np.sin(angle)
    deflection_x, deflection_y = isothermal_deflection(cosine, sine, radius, ellipticity_1, ellipticity_2)
    shear_x, shear_y = shear_deflection(cosine, sine, shear_1, shear_2)
    outward_x, outward_y = cosine - shear_x, sine - shear_y
    return (
        outward_x,
        outward_y,
        outward_x * deflection_y - outward_y * deflection_x,
        outward_x * deflection_x + outward_y * deflection_y,
    )
