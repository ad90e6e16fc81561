"""The recipes in which everything varies: the corrected benchmark, lens finding, quasars, and tests."""

from dataclasses import replace

from .instruments import EUCLID_VIS, GROUND, GROUND_G, GROUND_R, HST_F160W, HST_F814W, Telescope
from .priors import TruncatedNormal, Uniform
from .scene_priors import LensLightPrior, LensPrior, QuasarPrior, SourcePrior
from .scene_recipe import SceneRecipe

# Rubin's pixels and seeing separate only the wider lenses.
_GROUND_LENSES = LensPrior(einstein_radius=Uniform(1.2, 2.5))

_REALISTIC = SceneRecipe(
    name="realistic",
    description="The corrected benchmark in Euclid's visible band: everything but the substructure varies for every "
    "class alike.",
    bands=(EUCLID_VIS,),
    population="realistic",
)


def _seen_by(telescope: Telescope, **changes: object) -> SceneRecipe:
    description = f"The systems of `realistic` as seen by {telescope.name}."
    values = {"name": f"realistic_{telescope.name}", "bands": (telescope,), "description": description, **changes}
    return replace(_REALISTIC, **values)  # type: ignore[arg-type]


_GRI = tuple(replace(band, image_size=64) for band in (GROUND_G, GROUND_R, GROUND))

SCENE_RECIPES: dict[str, SceneRecipe] = {
    recipe.name: recipe
    for recipe in (
        _REALISTIC,
        replace(
            _REALISTIC,
            name="realistic_no_lens_light",
            description="The systems of `realistic` with the lens's light removed without a trace.",
            lens_light=False,
        ),
        _seen_by(HST_F814W),
        _seen_by(HST_F160W),
        _seen_by(
            GROUND,
            name="realistic_ground",
            lens=_GROUND_LENSES,
            population="realistic_ground",
            description="The priors of `realistic` with wider lenses, as the Rubin Observatory sees them.",
        ),
        replace(
            _REALISTIC,
            name="quasar",
            description="Quasars in their host galaxies behind the lenses of `realistic`, as seen by hst_f814w: "
            "doubles, quads and rings, with flux ratios that substructure changes.",
            bands=(replace(HST_F814W, image_size=96),),
            population="quasar",
            quasar=QuasarPrior(),
            source=replace(_REALISTIC.source, largest_position=0.18),
        ),
        SceneRecipe(
            name="lens_finding",
            description="Lenses beside spirals, ellipticals with companions, rings and mergers made of the same "
            "light, in three bands (g, r, i) from the ground.",
            bands=_GRI,
            class_names=("non_lens", "lens"),
            lens=replace(
                _GROUND_LENSES,
                light=LensLightPrior(magnitude=TruncatedNormal(20.5, 0.8, 18.5, 22.5), colours=(0.0, -1.2, -1.7)),
            ),
            source=SourcePrior(magnitude=Uniform(22.0, 24.5), colours=(0.0, -0.3, -0.4)),
            galaxies="hubble_deep_field",
            real_galaxy_fraction=0.5,
        ),
    )
}
