"""How a model that learnt from lenses of one size answers for lenses of another.

    python benchmarks/einstein_radius_shift.py --model model_cards/deeplense-swin --output_dir /tmp/shift

Model I has one Einstein radius. The same population is simulated with radii a few percent larger and smaller, the model
is evaluated on each, and a folder for each radius is written, which `make-release --evaluations` puts on the card.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from datasets import Dataset

from deeplense_hf import Predictor, get_recipe, simulate_batch
from deeplense_hf.data.schema import IMAGE, LABEL, features
from deeplense_hf.evaluation.run import evaluate_model
from deeplense_hf.simulation.finding_recipe import FindingRecipe
from deeplense_hf.simulation.recipes import Recipe
from deeplense_hf.simulation.scene_recipe import SceneRecipe

# of systems that no training saw
SEED = 2_000_003
_BATCH = 64


def with_radius(recipe: Recipe, factor: float) -> Recipe:
    """Give the lenses of a published population another Einstein radius, which goes with the root of the mass."""
    if isinstance(recipe, SceneRecipe):
        raise ValueError(f"the lenses of {recipe.name} have many Einstein radii; take a recipe of Model I.")
    if isinstance(recipe, FindingRecipe):
        return replace(recipe, lenses=replace(recipe.lenses, lens_mass=recipe.lenses.lens_mass * factor**2))
    return replace(recipe, lens_mass=recipe.lens_mass * factor**2)


def lenses(recipe: Recipe, factor: float, images_per_class: int) -> Dataset:
    """Simulate a population whose lenses have another Einstein radius.

    Args:
        recipe: The population.
        factor: Of the Einstein radius.
        images_per_class: Images of each class.

    Returns:
        A split with images, labels, pixel scales and systems.
    """
    shifted = with_radius(recipe, factor)
    images, labels, systems = [], [], []
    for label, name in enumerate(recipe.class_names):
        for start in range(0, images_per_class, _BATCH):
            indices = range(start, min(start + _BATCH, images_per_class))
            images.extend(simulate_batch(shifted, name, indices, SEED).images)
            labels += [label] * len(indices)
            systems += [f"{name}-{index}" for index in indices]
    declared = features(recipe.class_names, *images[0].shape)
    columns = {name: [None] * len(labels) for name in declared} | {
        IMAGE: images,
        LABEL: labels,
        "system_id": systems,
        "pixel_scale": [recipe.instrument.pixel_scale] * len(labels),
    }
    return Dataset.from_dict(columns, features=declared)


def measure(model: str, factors: Sequence[float], images_per_class: int, output_dir: Path) -> None:
    """Evaluate a model on each population and print a table.

    Args:
        model: Folder of a classifier, or of a finder of lenses of Model I.
        factors: Of the Einstein radius.
        images_per_class: Images of each class.
        output_dir: A folder for each is written there.
    """
    predictor = Predictor.from_pretrained(model, "cpu")
    recipe = get_recipe("model_1_lens_finding" if predictor.task.name == "lens_finding" else "model_1")
    rights = "".join(f"{f'{name} right':>16}" for name in recipe.class_names)
    print(f"{'Einstein radius':<16}{'ROC AUC':>9}{'calibration error':>19}{rights}")
    for factor in factors:
        report = evaluate_model(
            predictor.model,
            predictor.processor,
            lenses(recipe, factor, images_per_class),
            output_dir=output_dir / f"{factor:.2f}",
            model_name=model,
            dataset_name=f"{recipe.name}, Einstein radius x {factor:.2f}",
            description=f"Systems of `{recipe.name}` that no training saw, every Einstein radius times {factor:.2f}",
        )
        scores = [report.metrics[name].value for name in ("roc_auc", "expected_calibration_error")]
        roc_auc, error = (np.nan if score is None else score for score in scores)
        confusion = np.array(report.confusion_matrix)
        shares = "".join(f"{share:>16.3f}" for share in confusion.diagonal() / confusion.sum(axis=1))
        print(f"x {factor:<14.2f}{roc_auc:>9.4f}{error:>19.3f}{shares}", flush=True)


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", required=True, help="folder of a model that learnt from model_1 or model_1_lens_finding"
    )
    parser.add_argument("--factors", type=float, nargs="+", default=[0.97, 1.0, 1.03])
    parser.add_argument("--images_per_class", type=int, default=500)
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/einstein_radius_shift"))
    options = parser.parse_args()
    measure(options.model, options.factors, options.images_per_class, options.output_dir)


if __name__ == "__main__":
    main()
