"""Images per second of our simulator and of lenstronomy, noise included, on one core, in the same run.

    python benchmarks/simulation.py --recipes model_1 model_2 --images 64

lenstronomy is given what it can reuse: its model classes are built once per recipe and class, and it renders
with the parameters that we drew. Times are the best of several repeats, ours and lenstronomy's in turn; processor times
on the processor, times by the clock with `--device cuda`, where our rays are traced on the card, while noise and
lenstronomy stay on one core.

The floor is what no simulator built of array operations can do without, measured in the same run: bare arithmetic on
arrays that lie in the processor's cache (per ray a square root and an exponential, for `cdm` a division per subhalo,
for `axion` a logarithm and an arc tangent), random normals, and for photon counts Poisson numbers; the draws are also
shown one by one, beside numpy's own. The last line is JSON.
"""

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import torch

from deeplense_hf.simulation import lenstronomy_adapter
from deeplense_hf.simulation.noise import standard_normal
from deeplense_hf.simulation.poisson import draw_poisson
from deeplense_hf.simulation.populations import Systems, draw_systems
from deeplense_hf.simulation.published_recipe import PublishedRecipe
from deeplense_hf.simulation.published_recipes import PUBLISHED_RECIPES
from deeplense_hf.simulation.renderer import render
from deeplense_hf.simulation.simulator import simulate_batch

# Arrays of this many numbers stay in a core's cache and cost next to nothing to call for.
CACHED_NUMBERS = 16_384


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


def seconds(function: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> float:
    start = clock()
    function()
    return clock() - start


def best_seconds(function: Callable[[], Any], repeats: int) -> float:
    function()
    return min(seconds(function) for _ in range(repeats))


def compare(recipe: PublishedRecipe, class_name: str, options: argparse.Namespace) -> dict[str, Any]:
    systems = draw_systems(recipe, class_name, range(options.lenstronomy_images), seed=0)
    theirs = lenstronomy_simulator(systems, recipe)
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    images = options.images

    def ours(first: int, seed: int) -> None:
        simulate_batch(recipe, class_name, range(first, first + images), seed, device=options.device)

    ours(0, 1)
    theirs(0)
    best_ours = best_theirs = np.inf
    for repeat in range(options.repeats):
        spent = seconds(partial(ours, repeat * images, 0), clock)
        best_ours = min(best_ours, spent / images)
        spent = seconds(lambda: [theirs(row) for row in range(len(systems))], clock)
        best_theirs = min(best_theirs, spent / len(systems))
    floor = class_floor(recipe, class_name, options.repeats)
    return {
        "recipe": recipe.name,
        "class": class_name,
        "image_size": recipe.instrument.image_size,
        "ours_images_per_second": round(1 / best_ours, 1),
        "lenstronomy_images_per_second": round(1 / best_theirs, 1),
        "speed_up": round(best_theirs / best_ours, 2),
        "ours_microseconds": round(1e6 * best_ours, 1),
        "lenstronomy_microseconds": round(1e6 * best_theirs, 1),
        "floor_microseconds": {name: round(1e6 * spent, 1) for name, spent in floor.items()},
        "times_floor": round(best_ours / sum(floor.values()), 2),
    }


def class_floor(recipe: PublishedRecipe, class_name: str, repeats: int) -> dict[str, float]:
    """Least times of a class's image [s], by what they are spent on."""
    numbers = torch.rand(CACHED_NUMBERS) + 0.5
    result = torch.empty_like(numbers)

    def light() -> None:
        torch.exp(torch.sqrt(numbers, out=result), out=result)

    def subhaloes() -> None:
        for _ in range(recipe.subhalo_count):
            torch.reciprocal(numbers, out=result)

    def vortex() -> None:
        torch.log(numbers, out=result)
        torch.atan2(numbers, numbers, out=result)

    rays = recipe.instrument.image_size**2 / CACHED_NUMBERS
    arithmetic = best_seconds(light, 20 * repeats) * rays
    for name, function in (("cdm", subhaloes), ("axion", vortex)):
        if class_name == name:
            arithmetic += best_seconds(function, 20 * repeats) * rays
    drawn = raw_draws(recipe, class_name, repeats)
    return {"arithmetic": arithmetic} | {name: drawn[name] for name in ("normal", "poisson") if name in drawn}


def raw_draws(recipe: PublishedRecipe, class_name: str, repeats: int) -> dict[str, float]:
    """Times of an image's random numbers alone [s], ours and numpy's."""
    generator = np.random.Generator(np.random.SFC64(0))
    pixels = recipe.instrument.image_size**2
    draws: dict[str, Callable[[], Any]] = {
        "normal": lambda: standard_normal([generator], pixels),
        "numpy_normal": lambda: generator.standard_normal(pixels, dtype=np.float32),
    }
    if recipe.noise_model == "photon_counts":
        systems = draw_systems(recipe, class_name, range(1), seed=0)
        time_ = float(systems.parameters["exposure_time"][0])
        mean = render(systems, recipe)[0, 0].numpy().ravel() * np.float32(time_)
        background = np.float32(recipe.instrument.background_rms * time_)
        mean = np.maximum(mean + np.sqrt(mean + background**2) * standard_normal([generator], pixels)[0], 0)
        draws["poisson"] = lambda: draw_poisson(mean, generator)
        draws["numpy_poisson"] = lambda: generator.poisson(mean)
    return {name: best_seconds(function, 20 * repeats) for name, function in draws.items()}


def averages(recipe_name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Speed-ups averaged over a recipe's classes, in both ways."""
    ours, theirs = (sum(row[f"{name}_microseconds"] for row in rows) for name in ("ours", "lenstronomy"))
    return {
        "recipe": recipe_name,
        "mean_speed_up": round(float(np.mean([row["speed_up"] for row in rows])), 2),
        "speed_up_of_summed_times": round(theirs / ours, 2),
        "times_floor": round(ours / sum(sum(row["floor_microseconds"].values()) for row in rows), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=["model_1", "model_2", "model_3"], choices=PUBLISHED_RECIPES)
    parser.add_argument("--classes", nargs="+", default=["no_sub", "cdm", "axion"], choices=["no_sub", "cdm", "axion"])
    parser.add_argument("--images", type=int, default=64, help="images of ours per repeat")
    parser.add_argument("--lenstronomy_images", type=int, default=8, help="images of lenstronomy's per repeat")
    parser.add_argument("--repeats", type=int, default=5, help="repeats, of which the best counts")
    parser.add_argument("--device", default="cpu", help="where our rays are traced, such as cpu or cuda")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print("recipe   class    pixels  ours [1/s]  lenstronomy [1/s]  ratio  ours [us] = times the floor of")
    results, summaries = [], []
    for name in options.recipes:
        recipe = with_noise(PUBLISHED_RECIPES[name])
        rows = [compare(recipe, each, options) for each in recipe.class_names if each in options.classes]
        for row in rows:
            parts = " + ".join(f"{part} {spent}" for part, spent in row["floor_microseconds"].items())
            print(
                f"{name:8} {row['class']:6} {row['image_size']:>6}^2 {row['ours_images_per_second']:>11}"
                f" {row['lenstronomy_images_per_second']:>18} {row['speed_up']:>6} {row['ours_microseconds']:>10}"
                f" = {row['times_floor']:>4} x ({parts})"
            )
        summary = averages(name, rows)
        drawn = raw_draws(recipe, rows[0]["class"], options.repeats)
        summary["raw_draws_microseconds"] = {each: round(1e6 * spent, 1) for each, spent in drawn.items()}
        print(
            f"{name:8} mean of the ratios {summary['mean_speed_up']}, ratio of the summed times"
            f" {summary['speed_up_of_summed_times']}; {summary['times_floor']} times the floor; draws alone [us]:"
            f" {summary['raw_draws_microseconds']}"
        )
        results += rows
        summaries.append(summary)
    print(
        json.dumps(
            {
                "benchmark": "simulation",
                "cores": 1,
                "noise": True,
                "device": options.device,
                "load_average": [round(load, 2) for load in os.getloadavg()],
                "averages": summaries,
                "results": results,
            }
        )
    )


if __name__ == "__main__":
    main()
