"""Model IV: real galaxies as sources, three bands, haloes by pyHalo; as published, and corrected."""

import math
from dataclasses import replace

from .instruments import EUCLID_VIS, MODEL_2_CAMERA
from .priors import Fixed, TruncatedNormal, Uniform
from .scene_priors import LensLightPrior, LensPrior, PyHaloPrior, SourcePrior
from .scene_recipe import SceneRecipe

# Magnitudes of the lens were 17, 18, 19 and those of the source 22, 19, 18 in the three bands. The lens had a second
# component of magnitude 28, which is less than a ten-thousandth of its light and left out.
_LENS_COLOURS = (0.0, 1.0, 2.0)
_SOURCE_COLOURS = (0.0, -3.0, -4.0)

# Deflections were reduced for a source at redshift 2.5 and used for one at 1.0. What deflected in effect: an Einstein
# radius of 1.5 arcsec and a shear of 0.05, times 0.633458.
_LENS = LensPrior(
    redshift=Fixed(0.5),
    einstein_radius=Fixed(0.950187),
    axial_ratio=Fixed(1.0),
    shear=Fixed(0.031673),
    shear_angle=Fixed(0.0),
    largest_offset=0.0,
    light=LensLightPrior(
        magnitude=Fixed(17.0),
        radius=Fixed(0.4),
        sersic_index=Fixed(2.3),
        ellipticity=(0.0, 0.05),
        colours=_LENS_COLOURS,
    ),
)

_MODEL_4 = SceneRecipe(
    name="model_4",
    description="DeepLense Model IV by its published script: real galaxies behind lenses with haloes by pyHalo, in "
    "three equal bands. Lenses without substructure have another Einstein radius and no shear, which gives the class "
    "away.",
    bands=(MODEL_2_CAMERA,) * 3,
    lens=_LENS,
    # 0.83511 arcsec times (velocity dispersion / 260 km/s)^2, of which the dispersion is 260 +- 20 km/s.
    lens_of_no_sub=replace(_LENS, einstein_radius=TruncatedNormal(0.840, 0.129, 0.4, 1.4), shear=Fixed(0.0)),
    source=SourcePrior(
        redshift=Fixed(1.0),
        magnitude=Fixed(22.0),
        # 256 pixels of 0.0025 arcsec show a galaxy of which about a third is its half-light diameter.
        radius=Fixed(0.1),
        square_position=0.3,
        colours=_SOURCE_COLOURS,
    ),
    galaxies="hubble_deep_field",
    pyhalo=PyHaloPrior(
        axion_cone_opening_angle=6.0,
        log10_lowest_mass=6.0,
        log10_axion_mass=Fixed(-21.0),
        redshift_convention=2.5,
        conserve_mass=False,
    ),
    supersampling=1,
)

_CORRECTED_LENS = LensPrior(light=LensLightPrior(colours=(0.0, -0.7, -1.1)), shear_angle=Uniform(0.0, math.pi))

MODEL_4_RECIPES: dict[str, SceneRecipe] = {
    recipe.name: recipe
    for recipe in (
        _MODEL_4,
        replace(
            _MODEL_4,
            name="model_4_corrected",
            description="Model IV without its leak: real galaxies behind lenses with haloes by pyHalo, in three bands; "
            "all classes share one distribution of lenses and sources.",
            bands=(EUCLID_VIS,) * 3,
            lens=_CORRECTED_LENS,
            lens_of_no_sub=None,
            source=SourcePrior(magnitude=Uniform(22.5, 25.0), colours=(0.0, -0.3, -0.4)),
            pyhalo=PyHaloPrior(),
            supersampling=2,
        ),
    )
}
