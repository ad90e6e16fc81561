"""Haloes at many redshifts as a deflector: what they add to the deflection of the main lens, by lenstronomy."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .cosmology import FlatCosmology
from .pyhalo_substructure import HaloRealization

FloatArray = NDArray[np.float64]

POINTS_ON_CIRCLE = 180


@dataclass(frozen=True)
class RealizationDeflector:
    """What haloes add to the deflection of the main lens, for each system of a batch; a `components.Deflector`.

    Light that a halo in front of the main lens deflects meets that lens elsewhere, so deflections of haloes at several
    redshifts and of the main lens are no sum. This is the total along all planes minus that of the main lens alone, so
    that adding it to a `SmoothLens` of the same parameters gives the total.

    Args:
        realizations: Haloes of each system; None for a system without any.
        einstein_radius: Of the main lens for the source in the picture [arcsec], shape `(batch,)`.
        ellipticity_1: Of the main lens, as in `SmoothLens`, shape `(batch,)`.
        ellipticity_2: As above.
        shear_1: External shear for the source in the picture, shape `(batch,)`.
        shear_2: As above.
        redshift_convention: Redshift that the haloes' deflections are taken to be reduced to. None takes that of the
            source, which is right. The published Model IV took 2.5 for sources at 1.0, so that its haloes deflect less:
            0.63 times as much at the lens, less than that behind it and more than that in front of it.

    Raises:
        ValueError: If there are not as many realisations as lenses.

    Source:
        Schneider, Ehlers & Falco (1992), eq. 9.7, as in lenstronomy's MultiPlane.
    """

    realizations: Sequence[HaloRealization | None]
    einstein_radius: FloatArray
    ellipticity_1: FloatArray
    ellipticity_2: FloatArray
    shear_1: FloatArray
    shear_2: FloatArray
    redshift_convention: float | None = None

    def __post_init__(self) -> None:
        if len(self.realizations) != len(self.einstein_radius):
            raise ValueError(
                f"{len(self.realizations)} realizations do not fit {len(self.einstein_radius)} lenses; give one each, "
                "or None."
            )

    def add_deflection_(self, deflection_x: Tensor, deflection_y: Tensor, x: Tensor, y: Tensor, rows: slice) -> None:
        """Add the deflection; see `components.Deflector`."""
        first = range(len(self.realizations))[rows]
        for number, row in enumerate(first):
            if self.realizations[row] is None:
                continue
            own_x, own_y = (values[min(number, len(values) - 1)] for values in (x, y))
            at_x, at_y = (
                values.detach().to("cpu", torch.float64).numpy() for values in torch.broadcast_tensors(own_x, own_y)
            )
            for total, added in zip((deflection_x, deflection_y), self.deflection(row, at_x, at_y), strict=True):
                total[number] += torch.from_numpy(added).to(total)

    def deflection(self, row: int, x: FloatArray, y: FloatArray) -> FloatArray:
        """What the haloes of one system add.

        Args:
            row: Which system.
            x: Positions [arcsec], any shape.
            y: Positions [arcsec], the same shape.

        Returns:
            Deflections along x and y [arcsec], shape `(2, ...)`.
        """
        realization = self.realizations[row]
        if realization is None:
            return np.zeros((2, *np.shape(x)))
        from lenstronomy.LensModel.lens_model import LensModel

        convention = self._convention(realization)
        # lenstronomy refers the main lens to the same redshift as the haloes.
        strength = 1 / realization.cosmology.deflection_ratio(
            realization.redshift_lens, realization.redshift_source, convention
        )
        with warnings.catch_warnings():  # lenstronomy warns of any cosmology that is not its own
            warnings.filterwarnings("ignore", message="Cosmology is provided", category=UserWarning)
            lens = LensModel(
                ["SIE", "SHEAR", *realization.model_names],
                lens_redshift_list=[realization.redshift_lens] * 2 + realization.redshifts.tolist(),
                z_source=realization.redshift_source,
                z_source_convention=convention,
                multi_plane=True,
                cosmo=_astropy_cosmology(realization.cosmology),
            )
        total = lens.alpha(x.ravel(), y.ravel(), [*self._macro_keywords(row, strength), *realization.keywords])
        alone = LensModel(["SIE", "SHEAR"]).alpha(x.ravel(), y.ravel(), self._macro_keywords(row, 1.0))
        return (np.stack(total) - np.stack(alone)).reshape(2, *np.shape(x))

    def mean_deflection(self, radius: FloatArray) -> FloatArray:
        """What the haloes add to the outward deflection on a circle around the lens, on average.

        Args:
            radius: Radius of the circle [arcsec], shape `(batch,)`.

        Returns:
            Mean radial deflection [arcsec], shape `(batch,)`; the radius times the mean convergence within.
        """
        angle = 2 * np.pi * np.arange(POINTS_ON_CIRCLE) / POINTS_ON_CIRCLE
        outward = np.stack([np.cos(angle), np.sin(angle)])
        means = [
            float((self.deflection(row, *(size * outward)) * outward).sum(axis=0).mean())
            for row, size in enumerate(radius.tolist())
        ]
        return np.array(means)

    def _convention(self, realization: HaloRealization) -> float:
        return realization.redshift_source if self.redshift_convention is None else self.redshift_convention

    def _macro_keywords(self, row: int, strength: float) -> list[dict[str, float]]:
        return [
            {
                "theta_E": float(self.einstein_radius[row]) * strength,
                "e1": float(self.ellipticity_1[row]),
                "e2": float(self.ellipticity_2[row]),
                "center_x": 0.0,
                "center_y": 0.0,
            },
            {"gamma1": float(self.shear_1[row]) * strength, "gamma2": float(self.shear_2[row]) * strength},
        ]


def _astropy_cosmology(cosmology: FlatCosmology) -> Any:
    from astropy.cosmology import FlatLambdaCDM

    return FlatLambdaCDM(H0=cosmology.hubble_constant, Om0=cosmology.matter_density)
