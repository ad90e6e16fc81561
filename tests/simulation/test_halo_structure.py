import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from lenstronomy.Cosmo.lens_cosmo import LensCosmo
from lenstronomy.LensModel.Profiles.tnfw import TNFW

from deeplense_hf.simulation.cosmology import FlatCosmology
from deeplense_hf.simulation.halo_structure import (
    bound_fraction,
    critical_density,
    critical_surface_density,
    kiloparsec_per_arcsec,
    median_concentration,
    nfw_deflection,
    nfw_scale_radius,
)

COSMOLOGY = FlatCosmology("test", hubble_constant=70.0, matter_density=0.3)
ASTROPY = FlatLambdaCDM(H0=70.0, Om0=0.3, Tcmb0=0.0)


@pytest.mark.parametrize(("redshift_lens", "redshift_source"), [(0.2, 0.8), (0.5, 1.5), (0.9, 3.0)])
def test_equals_lenstronomy(redshift_lens: float, redshift_source: float) -> None:
    lens = LensCosmo(redshift_lens, redshift_source, ASTROPY)
    surface = critical_surface_density(redshift_lens, redshift_source, COSMOLOGY)
    # lenstronomy's gravitational constant and solar mass differ by 3e-4
    assert surface == pytest.approx(lens.sigma_crit_angle, rel=5e-4)
    mass, concentration = np.array([1e7, 1e9]), np.array([18.0, 11.0])
    scale_radius = nfw_scale_radius(mass, concentration, redshift_lens, COSMOLOGY)
    deflection = nfw_deflection(mass, concentration, scale_radius, surface)
    expected = np.array([lens.nfw_physical2angle(*halo) for halo in zip(mass, concentration, strict=True)])
    np.testing.assert_allclose(scale_radius, expected[:, 0], rtol=5e-4)
    np.testing.assert_allclose(deflection, expected[:, 1], rtol=5e-4)


def test_equals_astropy() -> None:
    expected = ASTROPY.critical_density(0.7).to("Msun / Mpc3").value
    assert critical_density(0.7, COSMOLOGY) == pytest.approx(expected, rel=1e-5)
    expected = ASTROPY.kpc_proper_per_arcmin(0.7).to("kpc / arcsec").value
    assert kiloparsec_per_arcsec(0.7, COSMOLOGY) == pytest.approx(expected, rel=1e-6)


def test_concentration_falls_with_mass_and_redshift() -> None:
    mass = np.array([1e7, 1e10, 1e12 / 0.7])
    today, earlier = (median_concentration(mass, redshift, COSMOLOGY) for redshift in (0.0, 1.0))
    assert (np.diff(today) < 0).all()
    assert (earlier < today).all()
    assert today[2] == pytest.approx(10**0.905)


@pytest.mark.parametrize("truncation", [0.7, 3.0, 30.0])
def test_bound_mass_is_what_deflects_far_out(truncation: float) -> None:
    mass, concentration, far = np.array([1e9]), np.array([10.0]), 1e5
    surface = critical_surface_density(0.5, 1.5, COSMOLOGY)
    scale_radius = nfw_scale_radius(mass, concentration, 0.5, COSMOLOGY)
    deflection = nfw_deflection(mass, concentration, scale_radius, surface)
    radius = far * scale_radius
    far_out, _ = TNFW().derivatives(radius, 0 * radius, scale_radius[0], deflection[0], truncation * scale_radius[0])
    bound = mass * bound_fraction(concentration, np.array([truncation]))
    np.testing.assert_allclose(far_out * np.pi * radius * surface, bound, rtol=2e-3)


def test_a_source_in_front_is_named() -> None:
    with pytest.raises(ValueError, match=r"redshift_lens=1\.0 must be above 0 and below redshift_source=0\.5"):
        critical_surface_density(1.0, 0.5, COSMOLOGY)
