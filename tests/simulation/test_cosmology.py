import numpy as np
import pytest

from deeplense_hf.simulation.cosmology import FlatCosmology, point_mass_einstein_radius

COSMOLOGIES = [(70.0, 0.3), (69.7, 0.2814), (67.66, 0.30966), (50.0, 1.0)]


@pytest.mark.parametrize(("hubble_constant", "matter_density"), COSMOLOGIES)
@pytest.mark.parametrize("redshift", [0.0, 0.1, 0.5, 1.0, 2.5, 8.0])
def test_distances_equal_astropy(hubble_constant: float, matter_density: float, redshift: float) -> None:
    from astropy.cosmology import FlatLambdaCDM

    reference = FlatLambdaCDM(H0=hubble_constant, Om0=matter_density)
    ours = FlatCosmology("test", hubble_constant, matter_density)
    assert ours.comoving_distance(redshift) == pytest.approx(reference.comoving_distance(redshift).value, rel=1e-9)
    assert ours.luminosity_distance(redshift) == pytest.approx(reference.luminosity_distance(redshift).value, rel=1e-9)
    between = reference.angular_diameter_distance(redshift, redshift + 0.7).value
    assert ours.angular_diameter_distance(redshift, redshift + 0.7) == pytest.approx(between, rel=1e-9)


def test_point_mass_einstein_radius_equals_astropy_constants() -> None:
    from astropy import units
    from astropy.constants import G, M_sun, c

    distances = 1000 * units.Mpc, 2000 * units.Mpc, 1500 * units.Mpc
    expected = np.sqrt(4 * G * 1e12 * M_sun / c**2 * distances[2] / (distances[0] * distances[1]))
    expected_arcsec = (expected.decompose().value * units.rad).to(units.arcsec).value
    assert point_mass_einstein_radius(1e12, 1000, 2000, 1500) == pytest.approx(expected_arcsec, rel=1e-9)


def test_deflection_ratio_is_one_at_the_reference() -> None:
    cosmology = FlatCosmology("test", 70.0, 0.3)
    assert cosmology.deflection_ratio(0.5, 1.0, 1.0) == 1
    assert cosmology.deflection_ratio(0.5, 1.0, 2.5) < 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FlatCosmology("x", -70.0, 0.3), "hubble_constant=-70"),
        (lambda: FlatCosmology("x", 70.0, 1.3), "matter_density=1.3"),
        (lambda: FlatCosmology("x", 70.0, 0.3).comoving_distance(-1), "redshift=-1"),
        (lambda: point_mass_einstein_radius(-1e9, 1, 2, 1), "mass=-1"),
        (lambda: point_mass_einstein_radius(1e9, 1, 2, 0), "distance_lens_source=0"),
    ],
)
def test_unphysical_values_are_named(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
