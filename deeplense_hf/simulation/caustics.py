"""Critical curves and caustics of a smooth isothermal lens with shear, and which sources lie across them."""

import numpy as np
from numpy.typing import NDArray

from .mass import isothermal_deflection, shear_deflection

FloatArray = NDArray[np.float64]

# Directions over half a circle; the other half follows by symmetry. The chords between them stay within about 1e-4
# of the caustic's size of the curve, cusps included.
ANGLES = 180
# Systems worked on at a time, so that their arrays stay in the processor's cache.
SYSTEMS_PER_STEP = 64


def tangential_critical_curve(
    angle: FloatArray,
    einstein_radius: FloatArray | float,
    ellipticity_1: FloatArray | float,
    ellipticity_2: FloatArray | float,
    shear_1: FloatArray | float,
    shear_2: FloatArray | float,
) -> FloatArray:
    """Radius of the tangential critical curve of singular isothermal ellipsoids with shear, in closed form.

    The convergence is b(angle) / 2r, and an isothermal lens stretches along the tangent t alone: the Jacobian is
    (1 - shear) - (b / r) t t^T. Its determinant (1 - |shear|^2) - (b / r) n^T (1 - shear) n, with n the radial unit
    vector, vanishes at one radius in each direction.

    Args:
        angle: Polar angles [rad], any shape.
        einstein_radius: Product-averaged Einstein radius [arcsec], broadcasts with the angles.
        ellipticity_1: First component of the lens's ellipticity.
        ellipticity_2: Second component of the lens's ellipticity.
        shear_1: First component of the shear.
        shear_2: Second component of the shear.

    Returns:
        Radii [arcsec], in the shape to which the arguments broadcast.

    Raises:
        ValueError: If a shear's or an ellipticity's modulus is 1 or more.

    Source:
        Finch et al. (2002), ApJ 577, 51; Keeton, Mao & Witt (2000), ApJ 537, 697. Compared with lenstronomy's
        LensModelExtensions in tests/simulation/test_caustics.py.
    """
    if np.any(np.hypot(shear_1, shear_2) >= 1):
        raise ValueError(
            f"shear=({np.max(shear_1)}, {np.max(shear_2)}) has a modulus of 1 or more; it must be below 1."
        )
    modulus = np.hypot(ellipticity_1, ellipticity_2)
    if np.any(modulus >= 1):
        raise ValueError(f"ellipticity modulus {np.max(modulus)} is 1 or more; it must be below 1.")
    cosine, sine = np.cos(angle), np.sin(angle)
    cosine_2, sine_2 = cosine**2 - sine**2, 2 * sine * cosine
    # q cos^2 + sin^2 / q along and across the major axis, with q = (1 - e) / (1 + e).
    round_part = 1 + modulus**2
    elliptical_part = 2 * (ellipticity_1 * cosine_2 + ellipticity_2 * sine_2)
    elliptical_radius = np.sqrt((round_part - elliptical_part) / (1 - modulus**2))
    unsheared = 1 - shear_1 * cosine_2 - shear_2 * sine_2
    radius: FloatArray = einstein_radius / elliptical_radius * unsheared / (1 - shear_1**2 - shear_2**2)
    return radius


def tangential_caustic(
    einstein_radius: FloatArray,
    ellipticity_1: FloatArray,
    ellipticity_2: FloatArray,
    shear_1: FloatArray,
    shear_2: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Half of the tangential caustic (astroid); the other half is its mirror image in the lens's centre.

    Args:
        einstein_radius: Product-averaged Einstein radii [arcsec], shape `(batch,)`.
        ellipticity_1: First components of the lenses' ellipticities, shape `(batch,)`.
        ellipticity_2: Second components of the lenses' ellipticities, shape `(batch,)`.
        shear_1: First components of the shears, shape `(batch,)`.
        shear_2: Second components of the shears, shape `(batch,)`.

    Returns:
        Source-plane positions along x and y [arcsec], each of shape `(batch, ANGLES + 1)`; the last is the first's
        mirror image.

    Raises:
        ValueError: If a lens is unphysical.

    Source:
        The critical curve through the lens equation.
    """
    macro = (np.asarray(one)[:, None] for one in (einstein_radius, ellipticity_1, ellipticity_2, shear_1, shear_2))
    radius_, e_1, e_2, g_1, g_2 = macro
    angle = np.linspace(0, np.pi, ANGLES + 1)
    radius = tangential_critical_curve(angle, radius_, e_1, e_2, g_1, g_2)
    # An isothermal deflection depends on the direction alone.
    cosine, sine = np.cos(angle), np.sin(angle)
    deflection_x, deflection_y = isothermal_deflection(cosine, sine, radius_, e_1, e_2)
    shear_x, shear_y = shear_deflection(cosine, sine, g_1, g_2)
    return radius * (cosine - shear_x) - deflection_x, radius * (sine - shear_y) - deflection_y


def crosses_caustic(
    source_x: FloatArray,
    source_y: FloatArray,
    source_radius: FloatArray,
    source_ellipticity_1: FloatArray,
    source_ellipticity_2: FloatArray,
    einstein_radius: FloatArray,
    ellipticity_1: FloatArray,
    ellipticity_2: FloatArray,
    shear_1: FloatArray,
    shear_2: FloatArray,
) -> NDArray[np.bool_]:
    """Whether the tangential caustic runs through sources' half-light ellipses.

    A caustic that lies altogether within the ellipse counts, too: the source covers both of its sides. A lens without
    mass has no caustic.

    Args:
        source_x: Positions of the sources along x [arcsec], shape `(batch,)`.
        source_y: Positions of the sources along y [arcsec], shape `(batch,)`.
        source_radius: Product-averaged half-light radii [arcsec], shape `(batch,)`; zero means a point.
        source_ellipticity_1: First components of the sources' ellipticities, shape `(batch,)`.
        source_ellipticity_2: Second components of the sources' ellipticities, shape `(batch,)`.
        einstein_radius: Product-averaged Einstein radii [arcsec], shape `(batch,)`.
        ellipticity_1: First components of the lenses' ellipticities, shape `(batch,)`.
        ellipticity_2: Second components of the lenses' ellipticities, shape `(batch,)`.
        shear_1: First components of the shears, shape `(batch,)`.
        shear_2: Second components of the shears, shape `(batch,)`.

    Returns:
        One truth value per system, shape `(batch,)`, independent of the batch.

    Raises:
        ValueError: If a source or a lens is unphysical.

    Source:
        Ellipse as in lenstronomy `param_util.transform_e1e2_product_average`.
    """
    modulus_squared = source_ellipticity_1**2 + source_ellipticity_2**2
    if (modulus_squared >= 1).any() or (source_radius < 0).any():
        raise ValueError(
            f"source radius={source_radius.min()} arcsec must be zero or more and the modulus of the source's "
            f"ellipticity, {np.sqrt(modulus_squared.max())}, below 1."
        )
    crosses = np.zeros(len(source_x), dtype=np.bool_)
    for start in range(0, len(source_x), SYSTEMS_PER_STEP):
        chunk = slice(start, start + SYSTEMS_PER_STEP)
        lens = (einstein_radius, ellipticity_1, ellipticity_2, shear_1, shear_2)
        caustic_x, caustic_y = tangential_caustic(*(one[chunk] for one in lens))
        nearest = np.full(len(caustic_x), np.inf)
        # The sheared coordinates make the ellipse a circle.
        e_1, e_2 = source_ellipticity_1[chunk, None], source_ellipticity_2[chunk, None]
        for sign in (1, -1):
            x, y = sign * caustic_x - source_x[chunk, None], sign * caustic_y - source_y[chunk, None]
            nearest = np.minimum(nearest, _nearest_squared((1 - e_1) * x - e_2 * y, (1 + e_1) * y - e_2 * x))
        nearest /= 1 - modulus_squared[chunk]
        crosses[chunk] = (nearest < source_radius[chunk] ** 2) & (einstein_radius[chunk] > 0)
    return crosses


def _nearest_squared(x: FloatArray, y: FloatArray) -> FloatArray:
    """Squared distance of the origin from each row's chain of chords."""
    chord_x, chord_y = np.diff(x, axis=1), np.diff(y, axis=1)
    start_x, start_y = x[:, :-1], y[:, :-1]
    # A lens with neither ellipticity nor shear has a caustic of one point, whose chords have no length.
    length_squared = np.maximum(chord_x**2 + chord_y**2, np.finfo(np.float64).tiny)
    along = np.clip(-(start_x * chord_x + start_y * chord_y) / length_squared, 0, 1)
    distance_squared = (start_x + along * chord_x) ** 2 + (start_y + along * chord_y) ** 2
    nearest: FloatArray = distance_squared.min(axis=1)
    return nearest
