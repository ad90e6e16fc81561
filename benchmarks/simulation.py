"""Images per second of our simulator and of lenstronomy, noise included, on one core, in the same run.

    python benchmarks/simulation.py --recipes model_1 model_2 --images 64

lenstronomy is given what it can reuse: its model classes are built once per recipe and class, and it renders
with the parameters that we drew. Times are processor times, the best of several repeats, ours and
lenstronomy's in turn. The last line is JSON.
"""

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import torch

from deeplense_hf.simulation import lenstronomy_adapter
from deeplense_hf.simulation.populations import Systems, draw_systems
from deeplense_hf.simulation.published_recipe import PublishedRecipe
from deeplense_hf.simulation.published_recipes import PUBLISHED_RECIPES
from deeplense_hf.simulation.simulator import simulate_batch


def with_noise(recipe: PublishedRecipe) -> PublishedRecipe:
    return replace(recipe, noise_discarded=False)


def lenstronomy_simulator(systems: Systems, recipe: PublishedRecipe) -> Callable[[int], Any]:
    from lenstronomy.Util import image_util

    draw = lenstronomy_adapter.image_function(systems, recipe)
    random = np.random.default_rng(0)

    def photon_counts(row: int) -> Any:
        exposure_time = float(systems.parameters["exposure_time"][row])
        model = draw(row)
        shot_noise = image_util.add_poisson(model, exp_time=exposure_time)
        background = image_util.add_background(model, sigma_bkd=recipe.instrument.background_rms)
        return random.poisson((exposure_time * (model + shot_noise + background)).clip(min=0))

    def gaussian(row: int) -> Any:
        model = draw(row)
        return model + band.noise_for_model(model)

    if recipe.noise_model == "photon_counts":
        return photon_counts
    band = lenstronomy_adapter.simulation_api(systems, 0, recipe)
    return gaussian


def seconds_per_image(function: Callable[[], Any], images: int) -> float:
    start = time.process_time()
    function()
    return (time.process_time() - start) / images


def compare(
    recipe: PublishedRecipe, class_name: str, images: int, lenstronomy_images: int, repeats: int
) -> dict[str, Any]:
    systems = draw_systems(recipe, class_name, range(lenstronomy_images), seed=0)
    theirs = lenstronomy_simulator(systems, recipe)
    simulate_batch(recipe, class_name, range(images), seed=1)
    theirs(0)
    best = {"ours": np.inf, "lenstronomy": np.inf}
    for repeat in range(repeats):
        first = repeat * images
        for name, function, number in (
            (
                "ours",
                lambda first=first: simulate_batch(recipe, class_name, range(first, first + images), 0),
                images,
            ),
            ("lenstronomy", lambda: [theirs(row) for row in range(lenstronomy_images)], lenstronomy_images),
        ):
            best[name] = min(best[name], seconds_per_image(function, number))
    return {
        "recipe": recipe.name,
        "class": class_name,
        "image_size": recipe.instrument.image_size,
        "ours_images_per_second": round(1 / best["ours"], 1),
        "lenstronomy_images_per_second": round(1 / best["lenstronomy"], 1),
        "speed_up": round(best["lenstronomy"] / best["ours"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=["model_1", "model_2", "model_3"], choices=PUBLISHED_RECIPES)
    parser.add_argument("--images", type=int, default=64, help="images of ours per repeat")
    parser.add_argument("--lenstronomy_images", type=int, default=8, help="images of lenstronomy's per repeat")
    parser.add_argument("--repeats", type=int, default=5, help="repeats, of which the best counts")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(f"{'recipe':8} {'class':8} {'pixels':>8} {'ours [1/s]':>11} {'lenstronomy [1/s]':>18} {'ratio':>6}")
    results = []
    for name in options.recipes:
        recipe = with_noise(PUBLISHED_RECIPES[name])
        for class_name in recipe.class_names:
            row = compare(recipe, class_name, options.images, options.lenstronomy_images, options.repeats)
            results.append(row)
            print(
                f"{name:8} {class_name:8} {row['image_size']:>5}^2 {row['ours_images_per_second']:>12}"
                f" {row['lenstronomy_images_per_second']:>18} {row['speed_up']:>6}"
            )
    print(json.dumps({"benchmark": "simulation", "cores": 1, "noise": True, "results": results}))


if __name__ == "__main__":
    main()
