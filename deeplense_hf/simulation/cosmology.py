"""Distances of a flat universe of matter and a cosmological constant, and the Einstein radius of a mass."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SPEED_OF_LIGHT_KM_S = 299_792.458
# 4 G M_sun / c^2 in megaparsecs (CODATA 2022, as in astropy.constants).
EINSTEIN_LENGTH_OF_SUN_MPC = 1.9141663366e-19
ARCSEC_PER_RADIAN = 206_264.806_247_096_36


@dataclass(frozen=True)
class FlatCosmology:
    """A flat universe of matter and a cosmological constant; radiation is left out.

    Args:
        name: What to call it in a data set card.
        hubble_constant: Expansion rate today [km/s/Mpc].
        matter_density: Matter density today in units of the critical density.

    Raises:
        ValueError: If a parameter is unphysical.

    Source:
        Hogg (1999), arXiv:astro-ph/9905116, eqs. 14, 15, 18, 19, 21. Equal to astropy's FlatLambdaCDM with
        Tcmb0=0 (tests/simulation/test_cosmology.py).
    """

    name: str
    hubble_constant: float
    matter_density: float

    def __post_init__(self) -> None:
        if not self.hubble_constant > 0:
            raise ValueError(
                f"hubble_constant={self.hubble_constant} is not positive. Give it in km/s/Mpc, such as 70."
            )
        if not 0 < self.matter_density <= 1:
            raise ValueError(f"matter_density={self.matter_density} is not in (0, 1]. Use a fraction such as 0.3.")

    def comoving_distance(self, redshift: float) -> float:
        """Distance in today's units along the line of sight.

        Args:
            redshift: Redshift of the object.

        Returns:
            Comoving distance [Mpc].

        Raises:
            ValueError: If the redshift is negative.

        Source:
            Hogg (1999), eq. 15, by Gauss-Legendre quadrature.
        """
        if redshift < 0:
            raise ValueError(f"redshift={redshift} is negative. Use a redshift of 0 or more.")
        nodes, weights = _quadrature(64)
        growth = self.matter_density * (1 + redshift * nodes) ** 3 + 1 - self.matter_density
        return float(SPEED_OF_LIGHT_KM_S / self.hubble_constant * redshift * np.sum(weights / np.sqrt(growth)))

    def angular_diameter_distance(self, redshift_from: float, redshift_to: float) -> float:
        """Ratio of an object's transverse size to the angle it is seen under.

        Args:
            redshift_from: Redshift of the observer (0 is us).
            redshift_to: Redshift of the object.

        Returns:
            Angular diameter distance [Mpc].

        Source:
            Hogg (1999), eqs. 18 and 19 for a flat universe.
        """
        comoving = self.comoving_distance(redshift_to) - self.comoving_distance(redshift_from)
        return comoving / (1 + redshift_to)

    def luminosity_distance(self, redshift: float) -> float:
        """Distance that relates luminosity to flux.

        Args:
            redshift: Redshift of the object.

        Returns:
            Luminosity distance [Mpc].

        Source:
            Hogg (1999), eq. 21.
        """
        return self.comoving_distance(redshift) * (1 + redshift)

    def deflection_ratio(self, redshift_lens: float, redshift_source: float, redshift_reference: float) -> float:
        """Factor that turns deflections reduced for a reference source into those of another source.

        Args:
            redshift_lens: Redshift of the lens.
            redshift_source: Redshift of the source that is seen.
            redshift_reference: Redshift of the source for which the deflections were reduced.

        Returns:
            (D_ls / D_s) of the source over (D_ls / D_s) of the reference; 1 when both redshifts are equal.

        Source:
            Schneider, Ehlers & Falco (1992), section 9.1: the reduced deflection is D_ls / D_s times the
            physical one.
        """

        def efficiency(redshift: float) -> float:
            return self.angular_diameter_distance(redshift_lens, redshift) / self.angular_diameter_distance(0, redshift)

        return efficiency(redshift_source) / efficiency(redshift_reference)


def point_mass_einstein_radius(
    mass: NDArray[np.float64] | float,
    distance_lens: float,
    distance_source: float,
    distance_lens_source: float,
    arcsec_per_radian: float = ARCSEC_PER_RADIAN,
) -> NDArray[np.float64]:
    """Einstein radius of a point mass.

    Args:
        mass: Mass [Msun], any shape.
        distance_lens: Distance to the lens [Mpc].
        distance_source: Distance to the source [Mpc].
        distance_lens_source: Distance from lens to source [Mpc].
        arcsec_per_radian: Unit conversion; the published generator rounds it to 206265.

    Returns:
        Einstein radius [arcsec], in the shape of the masses.

    Raises:
        ValueError: If a mass is negative or a distance is not positive.

    Source:
        Schneider, Ehlers & Falco (1992), eq. 2.6a, where the distances are angular diameter distances.
    """
    masses = np.asarray(mass, dtype=np.float64)
    if np.any(masses < 0):
        raise ValueError(f"mass={masses.min()} is negative. Masses are in units of the Sun's and zero or more.")
    for name, distance in (
        ("distance_lens", distance_lens),
        ("distance_source", distance_source),
        ("distance_lens_source", distance_lens_source),
    ):
        if not distance > 0:
            raise ValueError(f"{name}={distance} is not positive. The source must lie behind the lens.")
    geometry = distance_lens_source / (distance_lens * distance_source)
    return np.sqrt(EINSTEIN_LENGTH_OF_SUN_MPC * masses * geometry) * arcsec_per_radian


@lru_cache(maxsize=4)
def _quadrature(order: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return (nodes + 1) / 2, weights / 2
