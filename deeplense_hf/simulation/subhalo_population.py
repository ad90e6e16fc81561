"""Subhaloes of a galaxy: how many, how massive, how concentrated, where, and how far tides truncate them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .cosmology import FlatCosmology
from .halo_structure import (
    TRUNCATION_RANGE,
    bound_fraction,
    critical_surface_density,
    kiloparsec_per_arcsec,
    median_concentration,
    nfw_deflection,
    nfw_scale_radius,
)

if TYPE_CHECKING:
    from .truncated_haloes import TruncatedHaloes

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class DrawnSubhaloes:
    """Subhaloes of one system.

    Args:
        x: Positions along x [arcsec], shape `(haloes,)`.
        y: Positions along y [arcsec], shape `(haloes,)`.
        infall_mass: M200 before tides truncated the halo [Msun], shape `(haloes,)`; what the mass function is of.
        bound_mass: Total mass of the truncated halo [Msun], shape `(haloes,)`; what the mass fraction counts.
        concentration: Ratio of the radius of M200 to the scale radius, shape `(haloes,)`.
        scale_radius: Scale radii [arcsec], shape `(haloes,)`.
        truncation_radius: Truncation radii [arcsec], shape `(haloes,)`.
        deflection: Deflections at the scale radii without truncation [arcsec], shape `(haloes,)`.
        mass_fraction: Expected fraction of the lens's mass near its Einstein radius that is in subhaloes; the prior's
            draw, not what the few most massive subhaloes made of it.
        expected_convergence: Mean convergence of the subhaloes, which must be taken out of the smooth lens. The
            outskirts of the haloes smooth the disc's edge: at its centre the mean is lower, by 8% in a disc of 3 and
            2% in one of 10 arcsec.
        critical_density: Critical surface density [Msun/arcsec^2].
        disc_radius: Radius of the disc that holds the subhaloes [arcsec].
    """

    x: FloatArray
    y: FloatArray
    infall_mass: FloatArray
    bound_mass: FloatArray
    concentration: FloatArray
    scale_radius: FloatArray
    truncation_radius: FloatArray
    deflection: FloatArray
    mass_fraction: float
    expected_convergence: float
    critical_density: float
    disc_radius: float

    @property
    def count(self) -> int:
        """Number of the subhaloes."""
        return len(self.x)

    @property
    def total_mass(self) -> float:
        """Bound mass of all subhaloes [Msun]."""
        return float(self.bound_mass.sum())

    @property
    def convergence(self) -> float:
        """Bound mass of these subhaloes over area of the disc and critical density."""
        return self.total_mass / (math.pi * self.disc_radius**2 * self.critical_density)


@dataclass(frozen=True)
class SubhaloPopulation:
    """Prior of the subhaloes of a lens galaxy.

    Infall masses follow a power law; the number is a Poisson number with the mean at which the bound masses make
    up the drawn fraction of the lens's mass. Positions are uniform in area. Along the line of sight the number
    density falls as 1 / (core^2 + depth^2), and the distance from the host's centre decides the truncation. The
    projected part of that distance is the same for all, so that mass, like number, is uniform in area.

    Args:
        mass_range: Lowest and highest infall mass (M200) [Msun].
        mass_slope: Exponent of the mass function dN/dm.
        mass_fraction_range: Lowest and highest fraction of the lens's mass near its Einstein radius in subhaloes of
            these masses, drawn log-uniformly.
        lens_convergence: Mean convergence of the lens near its Einstein radius, of which that is a fraction.
        concentration_scatter: Scatter of the concentration at given mass [dex].
        truncation_norm: Truncation radius of 1e7 Msun at 50 kpc from the host's centre [kpc].
        projected_distance: Projected distance from the host's centre at which images lie [kpc]; enters the
            truncation only.
        host_core_radius: Core radius of the subhaloes' number density in the host [kpc].
        host_radius: Radius of the host up to which subhaloes lie along the line of sight [kpc].
        capacity: Largest number of subhaloes of a system; of more, the most massive ones are kept.

    Raises:
        ValueError: If a value is unphysical.

    Source:
        Slope: Springel et al. (2008), arXiv:0809.0898. Mass fraction: Dalal & Kochanek (2002), Hsueh et al. (2020),
        arXiv:1905.04182. Concentration: Dutton & Maccio (2014), arXiv:1402.7073. Truncation: Cyr-Racine et al.
        (2016), arXiv:1512.05349, as used by Gilman et al. (2020), arXiv:1908.06983, and pyHalo.
    """

    mass_range: tuple[float, float] = (1e7, 1e10)
    mass_slope: float = -1.9
    mass_fraction_range: tuple[float, float] = (0.003, 0.03)
    lens_convergence: float = 0.5
    concentration_scatter: float = 0.11
    truncation_norm: float = 1.4
    projected_distance: float = 8.0
    host_core_radius: float = 50.0
    host_radius: float = 300.0
    capacity: int = 4096

    def __post_init__(self) -> None:
        for name in ("mass_range", "mass_fraction_range"):
            lowest, highest = getattr(self, name)
            if not 0 < lowest <= highest < math.inf:
                raise ValueError(f"{name}=({lowest}, {highest}) must be positive and in rising order.")
        if not self.mass_fraction_range[1] < 1:
            raise ValueError(f"mass_fraction_range={self.mass_fraction_range} must be below 1.")
        for name in (
            *("lens_convergence", "truncation_norm", "projected_distance", "host_core_radius", "host_radius"),
            "capacity",
        ):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)} must be a positive number.")
        if not 0 <= self.concentration_scatter < math.inf:
            raise ValueError(f"concentration_scatter={self.concentration_scatter} dex must be zero or more.")
        if not math.isfinite(self.mass_slope):
            raise ValueError(f"mass_slope={self.mass_slope} must be a number such as -1.9.")

    def draw(
        self,
        generator: np.random.Generator,
        redshift_lens: float,
        redshift_source: float,
        cosmology: FlatCosmology,
        disc_radius: float,
    ) -> DrawnSubhaloes:
        """Draw the subhaloes of one system.

        Args:
            generator: Random numbers.
            redshift_lens: Redshift of the lens.
            redshift_source: Redshift of the source.
            cosmology: Gives the distances and the critical density of the universe.
            disc_radius: Radius of the disc around the lens that holds the subhaloes [arcsec].

        Returns:
            The subhaloes, from the most to the least massive at infall.

        Raises:
            ValueError: If the radius is not positive or the source does not lie behind the lens.
        """
        critical_density = critical_surface_density(redshift_lens, redshift_source, cosmology)
        lowest, highest = np.log(self.mass_fraction_range)
        mass_fraction = math.exp(generator.uniform(lowest, highest))
        mean_number = self.mean_number(mass_fraction, redshift_lens, redshift_source, cosmology, disc_radius)
        number = int(generator.poisson(mean_number))
        # One row each for mass, radius, angle and line of sight, so that a row's length is the only thing that
        # the number decides.
        uniform = generator.random((4, number))
        scatter = self.concentration_scatter * generator.standard_normal(number)
        order = np.argsort(-uniform[0], kind="stable")[: self.capacity]
        uniform, scatter = uniform[:, order], scatter[order]
        mass = _power_law(uniform[0], self.mass_range, self.mass_slope)
        radius, angle = disc_radius * np.sqrt(uniform[1]), 2 * np.pi * uniform[2]
        concentration = median_concentration(mass, redshift_lens, cosmology) * 10**scatter
        scale_radius = nfw_scale_radius(mass, concentration, redshift_lens, cosmology)
        ratio = self._truncation(mass, uniform[3], scale_radius * kiloparsec_per_arcsec(redshift_lens, cosmology))
        return DrawnSubhaloes(
            x=radius * np.cos(angle),
            y=radius * np.sin(angle),
            infall_mass=mass,
            bound_mass=mass * bound_fraction(concentration, ratio),
            concentration=concentration,
            scale_radius=scale_radius,
            truncation_radius=scale_radius * ratio,
            deflection=nfw_deflection(mass, concentration, scale_radius, critical_density),
            mass_fraction=mass_fraction,
            expected_convergence=mass_fraction * self.lens_convergence,
            critical_density=critical_density,
            disc_radius=disc_radius,
        )

    def mean_number(
        self,
        mass_fraction: float,
        redshift_lens: float,
        redshift_source: float,
        cosmology: FlatCosmology,
        disc_radius: float,
    ) -> float:
        """Mean number of subhaloes of a system.

        Args:
            mass_fraction: Fraction of the lens's mass near its Einstein radius in subhaloes.
            redshift_lens: Redshift of the lens.
            redshift_source: Redshift of the source.
            cosmology: Gives the distances.
            disc_radius: Radius of the disc that holds the subhaloes [arcsec].

        Returns:
            The mean number.

        Raises:
            ValueError: If the radius is not positive or the source does not lie behind the lens.
        """
        if not 0 < disc_radius < math.inf:
            raise ValueError(f"disc_radius={disc_radius} arcsec must be positive.")
        area = math.pi * disc_radius**2
        critical_density = critical_surface_density(redshift_lens, redshift_source, cosmology)
        mass = mass_fraction * self.lens_convergence * critical_density * area
        return mass / self.mean_bound_mass(redshift_lens, cosmology)

    def mean_bound_mass(self, redshift_lens: float, cosmology: FlatCosmology) -> float:
        """Mean bound mass of a subhalo, over masses, concentrations and depths.

        Args:
            redshift_lens: Redshift of the lens.
            cosmology: Gives the distance and the critical density of the universe.

        Returns:
            Mean bound mass [Msun], by quadrature.
        """
        for_mass, for_depth, normal, weight = _population_nodes()
        # Nodes are quantiles of the mass, not of the number, to which the many light subhaloes add little.
        mass = _power_law(for_mass, self.mass_range, self.mass_slope + 1)
        scatter = 10 ** (self.concentration_scatter * normal)
        concentration = median_concentration(mass, redshift_lens, cosmology) * scatter
        scale_radius = nfw_scale_radius(mass, concentration, redshift_lens, cosmology)
        ratio = self._truncation(mass, for_depth, scale_radius * kiloparsec_per_arcsec(redshift_lens, cosmology))
        mean_mass = _power_law_mean(self.mass_range, self.mass_slope)
        return float(mean_mass * np.sum(weight * bound_fraction(concentration, ratio)))

    def _truncation(self, mass: FloatArray, uniform: FloatArray, scale_radius: FloatArray) -> FloatArray:
        """Truncation radii [scale radii] at quantiles of the depth in the host; scale radii in kpc."""
        core = self.host_core_radius
        depth = core * np.tan(uniform * math.atan(self.host_radius / core))
        distance = np.hypot(self.projected_distance, depth)
        truncation_radius = self.truncation_norm * np.cbrt(mass / 1e7) * (distance / 50) ** (2 / 3)
        return np.clip(truncation_radius / scale_radius, *TRUNCATION_RANGE)


def stack(systems: Sequence[DrawnSubhaloes]) -> "TruncatedHaloes":
    """Haloes of a batch of systems, padded with absent ones to a common number.

    Args:
        systems: One draw each.

    Returns:
        The haloes, arrays of shape `(batch, most haloes)`.
    """
    from .truncated_haloes import TruncatedHaloes

    columns = {}
    most = max((system.count for system in systems), default=0)
    for name in ("x", "y", "scale_radius", "truncation_radius", "deflection"):
        columns[name] = np.zeros((len(systems), most))
        for row, system in zip(columns[name], systems, strict=True):
            row[: system.count] = getattr(system, name)
    return TruncatedHaloes(**columns)


def _power_law(uniform: FloatArray, limits: tuple[float, float], slope: float) -> FloatArray:
    """Quantiles of p(x) proportional to x^slope between limits."""
    lowest, highest = limits
    exponent = slope + 1
    if abs(exponent) < 1e-9:
        return lowest * (highest / lowest) ** uniform
    low, high = lowest**exponent, highest**exponent
    return (low + (high - low) * uniform) ** (1 / exponent)


def _power_law_mean(limits: tuple[float, float], slope: float) -> float:
    """Mean of p(x) proportional to x^slope between limits."""
    lowest, highest = limits
    if lowest == highest:
        return lowest

    def integral(exponent: float) -> float:
        if abs(exponent) < 1e-9:
            return math.log(highest / lowest)
        return (highest**exponent - lowest**exponent) / exponent

    return integral(slope + 2) / integral(slope + 1)


@lru_cache(maxsize=1)
def _population_nodes() -> tuple[FloatArray, ...]:
    """Quadrature over quantiles of mass and depth, and over the scatter of the concentration."""
    quantiles = [((1 + nodes) / 2, weights / 2) for nodes, weights in map(np.polynomial.legendre.leggauss, (12, 16))]
    normal, normal_weight = np.polynomial.hermite_e.hermegauss(5)
    axes = [*quantiles, (normal, normal_weight / normal_weight.sum())]
    nodes = np.meshgrid(*(axis for axis, _ in axes), indexing="ij")
    weight = np.prod(np.meshgrid(*(weights for _, weights in axes), indexing="ij"), axis=0)
    return *(axis.ravel() for axis in nodes), weight.ravel()
