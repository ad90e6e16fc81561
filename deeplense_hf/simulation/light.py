"""Surface brightness of the source."""

import math

from torch import Tensor

# Radius inside which the profile is flat [arcsec]; lenstronomy's value.
INNER_RADIUS = 1e-4


def sersic_exponent(sersic_index: float) -> float:
    """Coefficient b_n that makes the Sersic radius hold half of the light.

    Args:
        sersic_index: Sersic index n.

    Returns:
        b_n, at least 1e-5.

    Source:
        Linear approximation 1.9992 n - 0.3271 of Capaccioli (1989), as in lenstronomy; good for 0.5 < n < 10.
    """
    return max(1.9992 * sersic_index - 0.3271, 1e-5)


def sersic_amplitude(total_flux: float, radius: float, sersic_index: float) -> float:
    """Surface brightness at the half-light radius of a profile of given flux.

    Args:
        total_flux: Flux of the whole profile [counts/s].
        radius: Product-averaged half-light radius [arcsec].
        sersic_index: Sersic index.

    Returns:
        Amplitude [counts/s/arcsec^2].

    Raises:
        ValueError: If radius or index is not positive.

    Source:
        Graham & Driver (2005), eq. 2, arXiv:astro-ph/0503176.
    """
    if not (radius > 0 and sersic_index > 0):
        raise ValueError(f"radius={radius} arcsec and sersic_index={sersic_index} must both be positive.")
    exponent = sersic_exponent(sersic_index)
    shape = sersic_index * math.exp(exponent) / exponent ** (2 * sersic_index) * math.gamma(2 * sersic_index)
    return total_flux / (2 * math.pi * radius**2 * shape)


def sersic_brightness_(radius_squared: Tensor, inner_radius: float, sersic_index: float) -> Tensor:
    """Turn squared elliptical radii into the surface brightness of a Sersic profile, in place.

    Args:
        radius_squared: Squared product-averaged elliptical radius, in units of the half-light radius over
            b_n^n, in which the profile is exp(-radius^(1/n)); overwritten.
        inner_radius: Radius inside which the profile is flat, in the same unit.
        sersic_index: Sersic index n.

    Returns:
        The same tensor, now the surface brightness in units of that at a centre without flat part.

    Source:
        Sersic (1968). Equal to lenstronomy's SERSIC_ELLIPSE within its window of 1000 radii
        (tests/simulation/test_renderer.py).
    """
    radius = radius_squared.sqrt_().clamp_min_(inner_radius)
    if sersic_index != 1:
        radius.pow_(1 / sersic_index)
    return radius.neg_().exp_()
