"""Subhaloes and haloes along the line of sight as pyHalo draws them, for the recipes `model_4*`.

pyHalo, the code of the published Model IV, comes with the extra `pyhalo` and is imported when a realisation is drawn.
Its dependency colossus keeps tables in `~/.colossus`, without which a realisation takes a second longer; they do not
change what is drawn.
"""

import math
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .cosmology import FlatCosmology

FloatArray = NDArray[np.float64]
Preset = Literal["cdm", "axion"]

# Model_IV/sim_axion.py and the redshift to which the published scripts refer all deflections.
PUBLISHED_LOG10_AXION_MASS = -21.0
PUBLISHED_REDSHIFT_CONVENTION = 2.5
LARGEST_SEED = 2**32 - 1

_RANDOM_STATE_LOCK = threading.Lock()


@dataclass(frozen=True)
class HaloRealization:
    """The haloes of one system, as lenstronomy takes them.

    Args:
        model_names: lenstronomy's name of each profile; a halo may have two, and sheets of negative convergence
            take out the mean of the drawn mass.
        redshifts: Redshift of each profile, of the same length.
        keywords: lenstronomy's parameters of each profile, whose strengths are reduced to `redshift_source`.
        redshift_lens: Redshift of the main lens.
        redshift_source: Redshift of the source.
        cosmology: The cosmology they were drawn in.
        subhalo_count: Number of subhaloes of the main lens.
        subhalo_total_mass: Their mass before the main lens stripped them [Msun].
        line_of_sight_count: Number of haloes at other redshifts, and near the main lens but not of it.
        line_of_sight_total_mass: Their mass [Msun].
        log10_axion_mass_ev: Axion mass [log10 eV]; NaN for cold dark matter.
    """

    model_names: tuple[str, ...]
    redshifts: FloatArray
    keywords: tuple[dict[str, float], ...]
    redshift_lens: float
    redshift_source: float
    cosmology: FlatCosmology
    subhalo_count: int
    subhalo_total_mass: float
    line_of_sight_count: int
    line_of_sight_total_mass: float
    log10_axion_mass_ev: float


def draw_realization(
    class_name: Preset,
    redshift_lens: float,
    redshift_source: float,
    *,
    seed: int,
    log10_axion_mass_ev: float = PUBLISHED_LOG10_AXION_MASS,
    cone_opening_angle: float = 10.0,
    log10_lowest_mass: float = 6.0,
    log10_highest_mass: float = 10.0,
    log10_host_mass: float = 13.3,
    subhalo_normalization: float = 0.025,
    line_of_sight_normalization: float = 1.0,
    rescale_halo_mass: bool = False,
) -> HaloRealization:
    """Draw the haloes of one system.

    The defaults are those of the published scripts, except that cold dark matter and axions have one cone. The scripts
    gave axions a cone of 6 arcsec and so a different mean density of mass at the image's edge. A lowest mass of 10^7
    instead of 10^6 Msun is eight times as fast and moves light by 0.003 pixels of 0.1 arcsec, beside a uniform
    convergence of 0.002. NumPy's global generator, which pyHalo draws from, is left as it was found.

    Args:
        class_name: `cdm` for cold dark matter, `axion` for ultra-light axions whose haloes have solitonic cores.
        redshift_lens: Redshift of the main lens, of two decimals at most.
        redshift_source: Redshift of the source.
        seed: Seed of this system, 0 to 2^32 - 1.
        log10_axion_mass_ev: Axion mass [log10 eV]; without effect on `cdm`. Below -21.5 hardly a halo is left.
        cone_opening_angle: Diameter at the lens of the double cone that holds the haloes [arcsec].
        log10_lowest_mass: Lightest halo [log10 Msun]; axions may have none as light.
        log10_highest_mass: Heaviest halo [log10 Msun].
        log10_host_mass: Mass of the main lens's own halo [log10 Msun].
        subhalo_normalization: Subhaloes of 10^8 Msun per unit of ln mass and area, in a halo of 10^13 Msun at
            redshift 0.5 [1/kpc^2].
        line_of_sight_normalization: Number of line-of-sight haloes in units of the expected one.
        rescale_halo_mass: Whether an axion halo's outer profile is scaled to the drawn mass, as pyHalo does by now
            and the published script did not.

    Returns:
        The haloes; equal for equal arguments.

    Raises:
        ImportError: If pyHalo is missing or does not fit the installed lenstronomy.
        ValueError: If an argument is out of range.

    Source:
        Gilman et al. (2020), arXiv:1908.06983, for cold dark matter; Laroche et al. (2022), arXiv:2206.11269, for
        axions; DeepLenseSim, Model_IV/sim_cdm.py and Model_IV/sim_axion.py.
    """
    _check_arguments(class_name, redshift_lens, redshift_source, seed, log10_lowest_mass, log10_highest_mass)
    for name, value in (
        ("cone_opening_angle [arcsec]", cone_opening_angle),
        ("subhalo_normalization", subhalo_normalization),
    ):
        if not value > 0:
            raise ValueError(f"{name}={value} must be above zero.")
    if not line_of_sight_normalization >= 0:
        raise ValueError(f"line_of_sight_normalization={line_of_sight_normalization} must be zero or more.")
    preset = _import_preset(class_name)
    options: dict[str, Any] = {
        "cone_opening_angle_arcsec": cone_opening_angle,
        "log_mlow": log10_lowest_mass,
        "log_mhigh": log10_highest_mass,
        "log_m_host": log10_host_mass,
        # pyHalo's own default differs between its presets; the logarithm overrides the linear value in both.
        "log10_sigma_sub": math.log10(subhalo_normalization),
        "LOS_normalization": line_of_sight_normalization,
    }
    if class_name == "axion":
        # Fluctuations of the main lens's halo need a shape that the published script does not give.
        options |= {"log10_m_uldm": log10_axion_mass_ev, "uldm_plaw": 1 / 3, "flucs": False}
    with _global_random_state(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyHalo calls what astropy has deprecated
        realization = preset(redshift_lens, redshift_source, **options)
        if class_name == "axion":
            realization.kwargs_halo_model["kwargs_density_profile"]["scale_nfw"] = rescale_halo_mass
        # Concentrations and truncations are drawn only here.
        names, redshifts, keywords, _ = realization.lensing_quantities()
    own, others = (
        [float(halo.mass) for halo in realization.halos if bool(halo.is_subhalo) is is_subhalo]
        for is_subhalo in (True, False)
    )
    astropy_cosmology = realization.astropy_instance
    return HaloRealization(
        model_names=tuple(names),
        redshifts=np.array(redshifts, dtype=np.float64),
        keywords=tuple({name: float(value) for name, value in halo.items()} for halo in keywords),
        redshift_lens=redshift_lens,
        redshift_source=redshift_source,
        cosmology=FlatCosmology("pyHalo", float(astropy_cosmology.H0.value), float(astropy_cosmology.Om0)),
        subhalo_count=len(own),
        subhalo_total_mass=math.fsum(own),
        line_of_sight_count=len(others),
        line_of_sight_total_mass=math.fsum(others),
        log10_axion_mass_ev=log10_axion_mass_ev if class_name == "axion" else math.nan,
    )


def _check_arguments(
    class_name: str, redshift_lens: float, redshift_source: float, seed: int, lowest: float, highest: float
) -> None:
    if class_name not in ("cdm", "axion"):
        raise ValueError(f"class_name={class_name!r} has no haloes. Use 'cdm' or 'axion'.")
    if not 0 < redshift_lens < redshift_source:
        raise ValueError(f"redshift_lens={redshift_lens} must lie between zero and redshift_source={redshift_source}.")
    # pyHalo rounds the redshifts of its planes, so that another lens would not lie in one.
    if round(redshift_lens, 2) != redshift_lens:
        raise ValueError(f"redshift_lens={redshift_lens} has more than two decimals, which pyHalo cannot place.")
    if not 0 <= seed <= LARGEST_SEED:
        raise ValueError(f"seed={seed} must lie between 0 and {LARGEST_SEED}.")
    if not lowest < highest:
        raise ValueError(f"log10_lowest_mass={lowest} must be below log10_highest_mass={highest}.")


def _import_preset(class_name: Preset) -> Callable[..., Any]:
    """Function of pyHalo that draws the class."""
    try:
        with warnings.catch_warnings():  # pyHalo silences all warnings for good when it is imported
            from pyHalo.PresetModels.cdm import CDM
            from pyHalo.PresetModels.uldm import ULDM
    except ImportError as error:
        raise ImportError(
            "recipe 'model_4' needs pyHalo. Install it with: pip install 'deeplense-hf[pyhalo]'"
        ) from error
    return CDM if class_name == "cdm" else ULDM


@contextmanager
def _global_random_state(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator, which pyHalo and SciPy draw from, and put it back afterwards."""
    with _RANDOM_STATE_LOCK:
        before = np.random.get_state()  # noqa: NPY002 pyHalo knows no other generator
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002
