"""The published populations, Models I to III, with and without the noise that was thrown away."""

from dataclasses import replace

from .instruments import MODEL_1_CAMERA, MODEL_2_CAMERA, MODEL_3_CAMERA, TEST_CAMERA
from .published_recipe import PYHALO_COSMOLOGY, PublishedRecipe

_MODEL_1 = PublishedRecipe(
    name="model_1",
    description="DeepLense Model I as published: 150x150 photon counts at 0.05 arcsec, noise included.",
    instrument=MODEL_1_CAMERA,
    source_amplitude=20.0,
    noise_model="photon_counts",
    poisson_applied_twice=True,
)

_MODEL_2 = PublishedRecipe(
    name="model_2",
    description="DeepLense Model II as published: Euclid-like 64x64 images, twice the noise-free model.",
    instrument=MODEL_2_CAMERA,
    source_magnitude=20.0,
    deflection_reference_redshift=2.5,
    deflection_cosmology=PYHALO_COSMOLOGY,
    noise_discarded=True,
    image_multiplier=2.0,
)

_MODEL_3 = replace(
    _MODEL_2,
    name="model_3",
    description="DeepLense Model III as published: HST-like 64x64 images, twice the noise-free model.",
    instrument=MODEL_3_CAMERA,
)


def _with_noise(recipe: PublishedRecipe) -> PublishedRecipe:
    return replace(
        recipe,
        name=f"{recipe.name}_noisy",
        description=f"The systems of `{recipe.name}` with the noise that was thrown away, their light counted once.",
        noise_discarded=False,
        image_multiplier=1.0,
        population=recipe.name,
    )


PUBLISHED_RECIPES: dict[str, PublishedRecipe] = {
    recipe.name: recipe
    for recipe in (
        _MODEL_1,
        _MODEL_2,
        _MODEL_3,
        _with_noise(_MODEL_2),
        _with_noise(_MODEL_3),
        replace(
            _MODEL_1,
            name="test",
            description="The systems of Model I in 32x32 noisy pixels, for tests.",
            instrument=TEST_CAMERA,
        ),
    )
}
