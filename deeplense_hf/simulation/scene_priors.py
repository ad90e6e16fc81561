"""Priors of the parts of a scene: the lens and its light, the source, a vortex, a quasar, haloes by pyHalo."""

import math
from dataclasses import dataclass

from .priors import LogUniform, Prior, TruncatedNormal, Uniform, check_within


@dataclass(frozen=True)
class LensLightPrior:
    """Light of the lens galaxy: a Sersic profile that follows its mass.

    Args:
        magnitude: Apparent magnitude in the reference band [mag].
        radius_in_einstein_radii: Half-light radius in units of the Einstein radius.
        sersic_index: Sersic index.
        colours: Magnitude in each band minus that in the reference band [mag].
        radius: Half-light radius [arcsec], where it does not go with the Einstein radius; otherwise None.
        ellipticity: Both components of the ellipticity, where it does not follow the mass; otherwise None.
        axial_ratio_scatter: Standard deviation of the light's axial ratio about the mass's.
        angle_scatter: Standard deviation of the light's position angle about the mass's [rad].

    Source:
        Koopmans et al. (2006), arXiv:astro-ph/0601628: light and mass are aligned within about 10 degrees.
        Sonnenfeld et al. (2013), arXiv:1307.4759, fig. 3: sizes of a few tenths to twice the Einstein radius.
    """

    magnitude: Prior = TruncatedNormal(19.2, 0.8, 17.5, 21.0)
    radius_in_einstein_radii: Prior = LogUniform(0.4, 1.2)
    sersic_index: Prior = Uniform(3.0, 5.0)
    colours: tuple[float, ...] = (0.0,)
    radius: Prior | None = None
    ellipticity: tuple[float, float] | None = None
    axial_ratio_scatter: float = 0.08
    angle_scatter: float = 0.17

    def __post_init__(self) -> None:
        check_within("lens sersic_index", self.sersic_index, 0.3, 10)
        check_within("lens radius_in_einstein_radii", self.radius_in_einstein_radii, 1e-3, 100)


@dataclass(frozen=True)
class LensPrior:
    """Mass of the lens galaxy: an isothermal ellipsoid in an external shear.

    Args:
        redshift: Redshift.
        einstein_radius: Product-averaged Einstein radius of all mass, substructure included [arcsec].
        axial_ratio: Minor over major axis of the mass.
        shear: Modulus of the external shear.
        shear_angle: Position angle of the external shear [rad].
        largest_velocity_dispersion: Redshifts and Einstein radius are drawn anew if they ask for a more massive galaxy
            than this [km/s].
        largest_offset: The lens's centre is uniform in a disc of this radius about the image's centre [arcsec].
        light: Its light, or None for a lens whose light has been removed.

    Source:
        Bolton et al. (2008), arXiv:0805.1931 (axial ratios of SLACS lenses 0.79 +- 0.12, Einstein radii 1.2
        +- 0.3 arcsec); Keeton et al. (1997), arXiv:astro-ph/9610163 (shear of a few percent).
    """

    redshift: Prior = TruncatedNormal(0.5, 0.2, 0.2, 0.9)
    einstein_radius: Prior = Uniform(0.8, 1.8)
    axial_ratio: Prior = TruncatedNormal(0.79, 0.12, 0.5, 1.0)
    shear: Prior = TruncatedNormal(0.0, 0.05, 0.0, 0.15)
    shear_angle: Prior = Uniform(0.0, math.pi)
    largest_velocity_dispersion: float = 400.0
    largest_offset: float = 0.1
    light: LensLightPrior | None = LensLightPrior()

    def __post_init__(self) -> None:
        check_within("redshift_lens", self.redshift, 1e-3, 20)
        check_within("einstein_radius [arcsec]", self.einstein_radius, 1e-3, 100)
        check_within("lens axial_ratio", self.axial_ratio, 0.05, 1)
        check_within("shear", self.shear, 0, 0.5)
        if not self.largest_offset >= 0:
            raise ValueError(f"largest_offset={self.largest_offset} arcsec must be zero or more.")


@dataclass(frozen=True)
class SourcePrior:
    """The galaxy behind the lens.

    Args:
        redshift: Redshift.
        magnitude: Apparent magnitude without lensing, in the reference band [mag].
        radius: Half-light radius [arcsec]; for a real galaxy that of its picture.
        sersic_index: Sersic index; does not apply to real galaxies.
        axial_ratio: Minor over major axis; does not apply to real galaxies.
        largest_position: The source's centre is uniform in a disc of this radius about the lens's [Einstein
            radii].
        square_position: Quirk. The source's centre is uniform in a square of plus or minus this [arcsec] instead;
            None for the disc.
        colours: Magnitude in each band minus that in the reference band [mag].

    Source:
        Newton et al. (2011), arXiv:1104.2608: sources of SLACS lenses have half-light radii of 0.05 to 0.4
        arcsec, magnitudes of 22 to 26 and Sersic indices around 1.
    """

    redshift: Prior = Uniform(1.2, 3.0)
    magnitude: Prior = Uniform(22.5, 25.0)
    radius: Prior = LogUniform(0.08, 0.4)
    sersic_index: Prior = LogUniform(0.7, 3.0)
    axial_ratio: Prior = Uniform(0.35, 1.0)
    largest_position: float = 0.5
    square_position: float | None = None
    colours: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        check_within("redshift_source", self.redshift, 1e-3, 30)
        check_within("source_radius [arcsec]", self.radius, 1e-4, 100)
        check_within("sersic_index", self.sersic_index, 0.3, 10)
        check_within("source axial_ratio", self.axial_ratio, 0.05, 1)
        if not self.largest_position >= 0:
            raise ValueError(f"largest_position={self.largest_position} Einstein radii must be zero or more.")


@dataclass(frozen=True)
class VortexPrior:
    """The vortex of an axion condensate: a straight line of mass with a finite core.

    Args:
        log10_axion_mass: Decimal logarithm of the axion mass [log10 eV].
        mass_fraction: Mass of the vortex in units of the mass within the Einstein radius.
        length_constant: Half length times twice the axion mass [kpc 1e-22 eV].
        largest_offset: The vortex's centre is uniform in a disc of this radius about the lens's [Einstein radii].
        core_fraction: Core radius in units of the half length.

    Source:
        Alexander et al. (2020), arXiv:1909.07346, whose 0.06 arcsec at redshift 0.5 are 0.37 kpc here, so that
        the relation holds at every redshift.
    """

    log10_axion_mass: Prior = Uniform(-23.5, -22.0)
    mass_fraction: Prior = LogUniform(0.003, 0.03)
    length_constant: float = 0.366
    largest_offset: float = 0.7
    core_fraction: float = 0.1

    def __post_init__(self) -> None:
        check_within("vortex mass_fraction", self.mass_fraction, 0, 0.5)
        for name in ("length_constant", "core_fraction"):
            if not getattr(self, name) > 0:
                raise ValueError(f"vortex {name}={getattr(self, name)} must be above zero.")

    def half_length(self, log10_axion_mass: float, kiloparsec_per_arcsec: float) -> float:
        """Half length of a vortex.

        Args:
            log10_axion_mass: Axion mass [log10 eV].
            kiloparsec_per_arcsec: Scale at the lens [kpc/arcsec].

        Returns:
            Half length [arcsec].
        """
        return self.length_constant / (2 * 10 ** (log10_axion_mass + 22)) / kiloparsec_per_arcsec


@dataclass(frozen=True)
class QuasarPrior:
    """A point of light at the centre of the source.

    Args:
        magnitude: Apparent magnitude without lensing, in the reference band [mag].
        colours: Magnitude in each band minus that in the reference band [mag].

    Source:
        Oguri & Marshall (2010), arXiv:1001.2037: lensed quasars of Rubin have unlensed magnitudes of 21 to 25.
    """

    magnitude: Prior = Uniform(21.5, 24.0)
    colours: tuple[float, ...] = (0.0,)


@dataclass(frozen=True)
class PyHaloPrior:
    """Haloes in the lens and along the line of sight by pyHalo, of cold dark matter or of ultra-light axions.

    Args:
        cone_opening_angle: Diameter at the lens of the double cone that holds the haloes of a `cdm` system [arcsec].
        axion_cone_opening_angle: The same for an `axion` system [arcsec].
        log10_lowest_mass: Lightest halo [log10 Msun].
        log10_axion_mass: Decimal logarithm of the axion mass [log10 eV]; below -21.5 hardly a halo is left.
        subhalo_normalization: Subhaloes of 10^8 Msun per unit of ln mass and area, in a halo of 10^13 Msun at redshift
            0.5 [1/kpc^2].
        redshift_convention: Quirk. Source redshift that the haloes' deflections are taken to be reduced to; None for
            that of the source, which is right.
        conserve_mass: Whether the smooth lens gives up what the haloes add to the deflection at the Einstein radius,
            averaged around it, so that neither class has the more massive lenses. False: quirk of the published data.

    Source:
        Gilman et al. (2020), arXiv:1908.06983; Laroche et al. (2022), arXiv:2206.11269.
    """

    cone_opening_angle: float = 10.0
    axion_cone_opening_angle: float = 10.0
    log10_lowest_mass: float = 7.0
    log10_axion_mass: Prior = Uniform(-21.5, -20.0)
    subhalo_normalization: float = 0.025
    redshift_convention: float | None = None
    conserve_mass: bool = True

    def __post_init__(self) -> None:
        for name in ("cone_opening_angle", "axion_cone_opening_angle", "subhalo_normalization"):
            if not getattr(self, name) > 0:
                raise ValueError(f"pyHalo {name}={getattr(self, name)} must be above zero.")
