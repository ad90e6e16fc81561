"""A batch of scenes: what stands in the sky, before a telescope looks at it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .components import Deflector, Light
from .point_images import PointImages
from .smooth_lens import SmoothLens

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Scenes:
    """What a batch of systems of one class is made of.

    Args:
        class_name: Their class.
        indices: Their numbers within (population, class, seed), shape `(batch,)`.
        seed: The data set's seed.
        parameters: Columns of the data set by name, each of shape `(batch,)`; NaN (or an empty text) where a system
            has no such parameter.
        image_centre: Position of the image's centre relative to the lens's [arcsec], shape `(batch, 2)`.
        macro_lens: The main lens without substructure, holding all of the mass.
        smooth_lens: The main lens beside its substructure, holding the rest of the mass.
        substructure: What deflects beside `smooth_lens`; empty for a class without.
        source: What is behind the lens.
        foreground: What is not lensed: the lens's own light, or a look-alike.
        points: Images of point-like sources with substructure; None without.
    """

    class_name: str
    indices: NDArray[np.int64]
    seed: int
    parameters: dict[str, NDArray[np.generic]]
    image_centre: FloatArray
    macro_lens: SmoothLens
    smooth_lens: SmoothLens
    substructure: Sequence[Deflector]
    source: Sequence[Light]
    foreground: Sequence[Light]
    points: PointImages | None = None
    points_without_substructure: PointImages | None = None

    def __len__(self) -> int:
        return len(self.indices)
