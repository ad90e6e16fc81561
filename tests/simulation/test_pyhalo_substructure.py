import math
import pickle
import sys
import warnings
from functools import lru_cache

import numpy as np
import pytest
import torch
from lenstronomy.LensModel.lens_model import LensModel

from deeplense_hf.simulation.cosmology import FlatCosmology
from deeplense_hf.simulation.lenstronomy_deflector import RealizationDeflector
from deeplense_hf.simulation.pyhalo_substructure import HaloRealization, draw_realization
from deeplense_hf.simulation.smooth_lens import SmoothLens

PIXEL = 0.101
AXIS = (torch.arange(24, dtype=torch.float64) - 11.5) * 2 * PIXEL
QUICK = {"cone_opening_angle": 6.0, "log10_lowest_mass": 8.0}
MACRO = {
    "einstein_radius": np.array([0.95, 1.2]), "ellipticity_1": np.array([0.1, 0.0]),
    "ellipticity_2": np.array([-0.05, 0.0]), "shear_1": np.array([0.03, 0.0]), "shear_2": np.array([0.0, 0.02]),
}  # fmt: skip


def made_by_hand() -> HaloRealization:
    """Haloes in front of, at and behind the lens, without pyHalo."""
    return HaloRealization(
        model_names=("TNFW", "TNFW", "CONVERGENCE", "SIS"),
        redshifts=np.array([0.2, 0.5, 0.5, 0.7]),
        keywords=(
            {"alpha_Rs": 0.004, "Rs": 0.3, "r_trunc": 1.0, "center_x": 0.8, "center_y": 0.2},
            {"alpha_Rs": 0.01, "Rs": 0.2, "r_trunc": 0.5, "center_x": -0.5, "center_y": 0.9},
            {"kappa": -0.01},
            {"theta_E": 0.02, "center_x": 0.1, "center_y": -1.1},
        ),
        redshift_lens=0.5,
        redshift_source=1.0,
        cosmology=FlatCosmology("pyHalo", 67.5, 0.309),
        subhalo_count=1,
        subhalo_total_mass=1e9,
        line_of_sight_count=2,
        line_of_sight_total_mass=1e9,
        log10_axion_mass_ev=math.nan,
    )


def deflection(*deflectors: object, rows: slice = slice(0, 2), dtype: torch.dtype = torch.float64) -> np.ndarray:
    x, y = AXIS.to(dtype)[None, None, :], AXIS.to(dtype)[None, :, None]
    result = torch.zeros(2, rows.stop - rows.start, len(AXIS), len(AXIS), dtype=dtype)
    for deflector in deflectors:
        deflector.add_deflection_(result[0], result[1], x, y, rows)
    return result.numpy()


def lenstronomys(realization: HaloRealization, row: int, convention: float) -> np.ndarray:
    """The whole deflection, the main lens being given for the redshift of the convention."""
    from astropy.cosmology import FlatLambdaCDM

    cosmology = FlatLambdaCDM(H0=realization.cosmology.hubble_constant, Om0=realization.cosmology.matter_density)

    def efficiency(redshift: float) -> float:
        return float(cosmology.angular_diameter_distance(0.5, redshift) / cosmology.angular_diameter_distance(redshift))

    factor = efficiency(convention) / efficiency(1.0)
    lens = LensModel(
        ["SIE", "SHEAR", *realization.model_names], lens_redshift_list=[0.5, 0.5, *realization.redshifts],
        z_source=1.0, z_source_convention=convention, multi_plane=True, cosmo=cosmology,
    )  # fmt: skip
    macro = {name: values[row] for name, values in MACRO.items()}
    keywords = [
        {"theta_E": macro["einstein_radius"] * factor, "e1": macro["ellipticity_1"], "e2": macro["ellipticity_2"]},
        {"gamma1": macro["shear_1"] * factor, "gamma2": macro["shear_2"] * factor},
        *realization.keywords,
    ]
    x, y = (grid.ravel() for grid in np.meshgrid(AXIS.numpy(), AXIS.numpy()))
    return np.stack(lens.alpha(x, y, keywords)).reshape(2, len(AXIS), len(AXIS))


@pytest.mark.parametrize("convention", [None, 2.5])
def test_with_the_main_lens_it_is_lenstronomys_deflection(convention: float | None) -> None:
    haloes = RealizationDeflector([made_by_hand(), made_by_hand()], **MACRO, redshift_convention=convention)
    ours = deflection(SmoothLens(**MACRO), haloes)
    single = deflection(SmoothLens(**MACRO), haloes, dtype=torch.float32)
    for row in range(2):
        expected = lenstronomys(made_by_hand(), row, convention or 1.0)
        assert np.abs(ours[:, row] - expected).max() < 3e-6
        assert np.abs(single[:, row] - expected).max() < 1e-5


def test_a_system_does_not_depend_on_the_rows_around_it() -> None:
    haloes = RealizationDeflector([None, made_by_hand()], **MACRO)
    both = deflection(haloes)
    assert not both[:, 0].any()
    np.testing.assert_array_equal(both[:, 1:], deflection(haloes, rows=slice(1, 2)))


def test_positions_of_their_own_for_each_system() -> None:
    haloes = RealizationDeflector([made_by_hand(), made_by_hand()], **MACRO)
    x = torch.stack([AXIS, AXIS + 0.05])[:, None, :]
    result = torch.zeros(2, 2, 1, len(AXIS), dtype=torch.float64)
    haloes.add_deflection_(result[0], result[1], x, torch.full((2, 1, 1), 0.3, dtype=torch.float64), slice(0, 2))
    for row in range(2):
        expected = haloes.deflection(row, x[row].numpy(), np.full((1, len(AXIS)), 0.3))
        np.testing.assert_array_equal(result[:, row].numpy(), expected)


def test_the_published_convention_weakens_a_lens_by_a_third() -> None:
    assert FlatCosmology("published", 70, 0.3).deflection_ratio(0.5, 1.0, 2.5) == pytest.approx(0.63374, abs=1e-5)


def test_one_realization_per_lens() -> None:
    with pytest.raises(ValueError, match="1 realizations do not fit 2 lenses"):
        RealizationDeflector([None], **MACRO)


def test_without_pyhalo_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyHalo.PresetModels.cdm", None)
    with pytest.raises(ImportError, match=r"recipe 'model_4' needs pyHalo\. Install it with: pip install 'deeplense-h"):
        draw_realization("cdm", 0.5, 1.0, seed=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_name": "no_sub"}, "class_name='no_sub' has no haloes"),
        ({"redshift_source": 0.4}, "redshift_lens=0.5 must lie between zero and redshift_source=0.4"),
        ({"redshift_lens": 0.503}, "redshift_lens=0.503 has more than two decimals"),
        ({"seed": -1}, "seed=-1 must lie between"),
        ({"cone_opening_angle": 0.0}, "cone_opening_angle"),
        ({"log10_lowest_mass": 10.0}, "log10_lowest_mass=10.0 must be below"),
        ({"line_of_sight_normalization": -1.0}, "line_of_sight_normalization=-1.0"),
    ],
)
def test_arguments_out_of_range(changes: dict[str, object], message: str) -> None:
    arguments = {"class_name": "cdm", "redshift_lens": 0.5, "redshift_source": 1.0, "seed": 1} | changes
    with pytest.raises(ValueError, match=message):
        draw_realization(**arguments)


@lru_cache
def drawn(class_name: str, seed: int = 1) -> HaloRealization:
    pytest.importorskip("pyHalo")
    return draw_realization(class_name, 0.5, 1.0, seed=seed, **QUICK)


@pytest.mark.parametrize("class_name", ["cdm", "axion"])
def test_a_realization_depends_on_its_arguments_only(class_name: str) -> None:
    first = drawn(class_name)
    draw_realization(class_name, 0.4, 1.5, seed=2, log10_axion_mass_ev=-20.5, log10_host_mass=13.0, **QUICK)
    again = draw_realization(class_name, 0.5, 1.0, seed=1, **QUICK)
    assert pickle.dumps(first.keywords) == pickle.dumps(again.keywords)
    assert first.model_names == again.model_names
    assert first.subhalo_total_mass == again.subhalo_total_mass != drawn(class_name, seed=4).subhalo_total_mass


def test_drawing_leaves_global_state_alone() -> None:
    pytest.importorskip("pyHalo")
    np.random.seed(5)  # noqa: NPY002
    before, filters = np.random.get_state()[1].tolist(), list(warnings.filters)  # noqa: NPY002
    draw_realization("cdm", 0.5, 1.0, seed=1, cone_opening_angle=6.0, log10_lowest_mass=9.0)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    assert warnings.filters == filters


def test_summaries_of_cold_and_axion_haloes() -> None:
    cold, axion = drawn("cdm"), drawn("axion")
    assert cold.subhalo_count > 2 * axion.subhalo_count > 0
    assert 1e8 * cold.subhalo_count < cold.subhalo_total_mass < 1e10 * cold.subhalo_count
    assert cold.line_of_sight_count > 0
    assert cold.model_names.count("TNFW") == cold.subhalo_count + cold.line_of_sight_count
    assert axion.model_names.count("ULDM") == axion.subhalo_count + axion.line_of_sight_count
    assert math.isnan(cold.log10_axion_mass_ev)
    assert axion.log10_axion_mass_ev == -21
    assert len(cold.model_names) == len(cold.redshifts) == len(cold.keywords)
    assert cold.redshifts.max() < 1.0


def test_rescaling_changes_the_outer_profile_of_axion_haloes_only() -> None:
    published = drawn("axion")
    rescaled = draw_realization("axion", 0.5, 1.0, seed=1, rescale_halo_mass=True, **QUICK)
    differing = {
        name
        for name, one, two in zip(published.model_names, published.keywords, rescaled.keywords, strict=True)
        if one != two
    }
    assert differing == {"CNFW"}


@pytest.mark.parametrize("class_name", ["cdm", "axion"])
def test_drawn_haloes_deflect_as_in_lenstronomy(class_name: str) -> None:
    realization = drawn(class_name, seed=4)
    haloes = RealizationDeflector([realization, None], **MACRO, redshift_convention=2.5)
    ours = deflection(SmoothLens(**MACRO), haloes, rows=slice(0, 1))
    assert np.abs(ours[:, 0] - lenstronomys(realization, 0, 2.5)).max() < 3e-6
    added = deflection(haloes, rows=slice(0, 1))
    assert 1e-3 * PIXEL < np.abs(added).max() < 0.3
