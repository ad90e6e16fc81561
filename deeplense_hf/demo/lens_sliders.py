"""A lens drawn by hand: the systems of a published recipe with the numbers that a person chose."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deeplense_hf.simulation.populations import draw_systems, einstein_radius
from deeplense_hf.simulation.published_recipe import PublishedRecipe
from deeplense_hf.simulation.recipes import get_recipe
from deeplense_hf.simulation.renderer import render
from deeplense_hf.simulation.simulator import observe

RECIPE = "model_1"
RANGES: dict[str, tuple[float, float]] = {
    "einstein_radius": (0.6, 1.8),
    "shear": (0.0, 0.2),
    "source_x": (-0.5, 0.5),
    "source_y": (-0.5, 0.5),
    "log10_axion_mass_ev": (-24.0, -22.0),
    "subhalo_count": (0, 60),
    "seed": (0, 999),
}
_WHOLE_NUMBERS = ("subhalo_count", "seed")


@dataclass(frozen=True)
class DrawnLens:
    """What a person may choose.

    Attributes:
        substructure: `no_sub`, `cdm` or `axion`.
        einstein_radius: Einstein radius of the main lens [arcsec].
        shear: External shear along the x axis.
        source_x: Position of the source [arcsec].
        source_y: Position of the source [arcsec].
        log10_axion_mass_ev: Axion mass [log10 eV]; of `axion` alone.
        subhalo_count: Number of subhaloes; of `cdm` alone.
        seed: Of noise, subhaloes and the direction of the vortex.

    Raises:
        ValueError: If a number is none, is out of range, or is not whole where a count or a seed is asked for.
    """

    substructure: str = "cdm"
    einstein_radius: float = 1.28
    shear: float = 0.05
    source_x: float = 0.1
    source_y: float = 0.1
    log10_axion_mass_ev: float = -23.0
    subhalo_count: int = 25
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the numbers; counts that come as floats, as from a page, become integers."""
        if self.substructure not in ("no_sub", "cdm", "axion"):
            raise ValueError(f"substructure='{self.substructure}' is not one of no_sub, cdm, axion.")
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise ValueError(f"{name}={value!r} is no number; give one between {low} and {high}.")
            if not low <= value <= high:
                raise ValueError(f"{name}={value} is not between {low} and {high}.")
        for name in _WHOLE_NUMBERS:
            value = getattr(self, name)
            if value != int(value):
                raise ValueError(f"{name}={value} is no whole number; round it.")
            object.__setattr__(self, name, int(value))


def is_smooth(lens: DrawnLens) -> bool:
    """Tell whether a lens has no substructure, whatever kind was chosen.

    Args:
        lens: What was chosen.

    Returns:
        Whether it equals one of `no_sub`.
    """
    return lens.substructure == "no_sub" or (lens.substructure == "cdm" and lens.subhalo_count < 1)


def unlike_training(lens: DrawnLens) -> str | None:
    """Tell whether models trained on the recipe know such lenses.

    Args:
        lens: What was chosen.

    Returns:
        A sentence that says what they never saw; None where they know such lenses.
    """
    recipe = get_recipe(RECIPE)
    assert isinstance(recipe, PublishedRecipe)
    trained = float(einstein_radius(recipe, recipe.lens_mass))
    limit = recipe.source_position_limit
    strange = []
    if abs(lens.einstein_radius - trained) > 0.01:
        strange.append(f'an Einstein radius other than {trained:.2f}"')
    if abs(lens.shear - recipe.shear_1) > 0.005:
        strange.append(f"a shear other than {recipe.shear_1:g}")
    if max(abs(lens.source_x), abs(lens.source_y)) > limit:
        strange.append(f'a source beyond {limit:g}" in x or y')
    if lens.substructure == "cdm" and not is_smooth(lens) and abs(lens.subhalo_count - recipe.subhalo_count) > 5:
        strange.append(f"a number of subhaloes far from {recipe.subhalo_count}")
    if not strange:
        return None
    return f"Models trained on {RECIPE} never saw {' or '.join(strange)}; what they answer here means nothing."


def draw_lens(lens: DrawnLens) -> tuple[NDArray[np.float32], float]:
    """Simulate the lens.

    Args:
        lens: What was chosen.

    Returns:
        Observed image `(1, height, width)` [counts] and its pixel scale [arcsec/pixel].
    """
    recipe = get_recipe(RECIPE)
    assert isinstance(recipe, PublishedRecipe)
    wanted = lens.einstein_radius / float(einstein_radius(recipe, recipe.lens_mass))
    mass = float(lens.log10_axion_mass_ev)
    changed = replace(
        recipe,
        lens_mass=recipe.lens_mass * wanted**2,
        shear_1=float(lens.shear),
        subhalo_count=max(1, lens.subhalo_count),
        log10_axion_mass_range=(mass, mass),
    )
    name = "no_sub" if is_smooth(lens) else lens.substructure
    systems = draw_systems(changed, name, [0], lens.seed)
    parameters = systems.parameters | {
        "source_x": np.array([lens.source_x], dtype=np.float32),
        "source_y": np.array([lens.source_y], dtype=np.float32),
    }
    systems = replace(systems, parameters=parameters)
    images = render(systems, changed)[:, 0].cpu().numpy()
    return observe(images, systems, changed), changed.instrument.pixel_scale
