"""Masses of haloes translated to what lenses: critical densities, concentrations, radii and deflections."""

import math

import numpy as np
from numpy.typing import NDArray

from .cosmology import ARCSEC_PER_RADIAN, EINSTEIN_LENGTH_OF_SUN_MPC, SPEED_OF_LIGHT_KM_S, FlatCosmology

FloatArray = NDArray[np.float64]

# Truncation radii [scale radii] for which deflections are tabulated.
TRUNCATION_RANGE = (0.1, 1000.0)


def critical_surface_density(redshift_lens: float, redshift_source: float, cosmology: FlatCosmology) -> float:
    """Surface density that focuses.

    Args:
        redshift_lens: Redshift of the lens.
        redshift_source: Redshift of the source.
        cosmology: Gives the distances.

    Returns:
        Critical surface density [Msun/arcsec^2].

    Raises:
        ValueError: If the source does not lie behind the lens, or the lens not in front of us.

    Source:
        Schneider, Ehlers & Falco (1992), eq. 5.5, with angular diameter distances.
    """
    if not 0 < redshift_lens < redshift_source:
        raise ValueError(f"redshift_lens={redshift_lens} must be above 0 and below redshift_source={redshift_source}.")
    to_lens, to_source = (cosmology.angular_diameter_distance(0, z) for z in (redshift_lens, redshift_source))
    between = cosmology.angular_diameter_distance(redshift_lens, redshift_source)
    return to_source * to_lens / (math.pi * EINSTEIN_LENGTH_OF_SUN_MPC * between * ARCSEC_PER_RADIAN**2)


def kiloparsec_per_arcsec(redshift: float, cosmology: FlatCosmology) -> float:
    """Transverse length that is seen under one arc second.

    Args:
        redshift: Redshift of the object.
        cosmology: Gives the distance.

    Returns:
        Length [kpc/arcsec].
    """
    return 1000 * cosmology.angular_diameter_distance(0, redshift) / ARCSEC_PER_RADIAN


def critical_density(redshift: float, cosmology: FlatCosmology) -> float:
    """Density of a flat universe.

    Args:
        redshift: Redshift.
        cosmology: Gives the expansion rate.

    Returns:
        Critical density [Msun/Mpc^3], not comoving.

    Source:
        Hogg (1999), arXiv:astro-ph/9905116, section 2: 3 H^2 / 8 pi G.
    """
    growth = cosmology.matter_density * (1 + redshift) ** 3 + 1 - cosmology.matter_density
    gravity = EINSTEIN_LENGTH_OF_SUN_MPC * SPEED_OF_LIGHT_KM_S**2 / 4
    return 3 * cosmology.hubble_constant**2 * growth / (8 * math.pi * gravity)


def median_concentration(mass: FloatArray, redshift: float, cosmology: FlatCosmology) -> FloatArray:
    """Median concentration of haloes.

    Args:
        mass: M200 with respect to the critical density [Msun], any shape.
        redshift: Redshift of the haloes.
        cosmology: Gives the Hubble constant by which masses are scaled.

    Returns:
        Concentration, in the shape of the masses.

    Source:
        Dutton & Maccio (2014), arXiv:1402.7073, eqs. 7, 10 and 11 (c200, Planck cosmology); extrapolated to lower
        masses than were simulated, and applied to subhaloes as they were before infall.
    """
    slope = -0.101 + 0.026 * redshift
    norm = 0.520 + (0.905 - 0.520) * math.exp(-0.617 * redshift**1.21)
    concentration: FloatArray = 10**norm * (mass * (cosmology.hubble_constant / 100) / 1e12) ** slope
    return concentration


def nfw_scale_radius(
    mass: FloatArray, concentration: FloatArray, redshift: float, cosmology: FlatCosmology
) -> FloatArray:
    """Scale radius of a halo.

    Args:
        mass: M200 with respect to the critical density [Msun], any shape.
        concentration: Concentration, in the shape of the masses.
        redshift: Redshift of the halo.
        cosmology: Gives the distance and the critical density.

    Returns:
        Scale radius [arcsec], in the shape of the masses.

    Source:
        Navarro, Frenk & White (1997). Equal to lenstronomy's `LensCosmo.nfw_physical2angle`
        (tests/simulation/test_halo_structure.py).
    """
    density = 200 * 4 / 3 * math.pi * critical_density(redshift, cosmology)
    megaparsec = ARCSEC_PER_RADIAN / cosmology.angular_diameter_distance(0, redshift)
    return np.cbrt(mass / density) / concentration * megaparsec


def nfw_deflection(
    mass: FloatArray, concentration: FloatArray, scale_radius: FloatArray, critical_density: float
) -> FloatArray:
    """Deflection of a halo without truncation at its scale radius.

    Args:
        mass: M200 [Msun], any shape.
        concentration: Concentration, in the shape of the masses.
        scale_radius: Scale radius [arcsec], in the shape of the masses.
        critical_density: Critical surface density [Msun/arcsec^2].

    Returns:
        Deflection [arcsec], in the shape of the masses.

    Source:
        Wright & Brainerd (2000), eq. 13. Equal to lenstronomy's `LensCosmo.nfw_physical2angle`.
    """
    scale_mass = mass / _enclosed(concentration)
    return scale_mass * (1 - math.log(2)) / (math.pi * scale_radius * critical_density)


def bound_fraction(concentration: FloatArray, truncation: FloatArray) -> FloatArray:
    """Total mass of a truncated halo in units of the M200 that it had without truncation.

    Args:
        concentration: Concentration, any shape.
        truncation: Truncation radii [scale radii], in the same shape.

    Returns:
        The ratio; a few per cent above 1 where the truncation radius lies outside that of M200.

    Source:
        Baltz, Marshall & Oguri (2009), arXiv:0705.0682, appendix A: total mass for n=1.
    """
    squared = truncation**2
    total = (squared - 1) * np.log(truncation) + np.pi * truncation - (squared + 1)
    fraction: FloatArray = total * squared / (squared + 1) ** 2 / _enclosed(concentration)
    return fraction


def _enclosed(concentration: FloatArray) -> FloatArray:
    enclosed: FloatArray = np.log1p(concentration) - concentration / (1 + concentration)
    return enclosed
