"""What a model of three bands loses on colour pictures: the same systems as numbers and as pictures for the eye.

    python benchmarks/colour_pictures.py --model model_cards/deeplense-swin-finder --recipe lens_finding

The pictures are those that cards and data sets show of such images. They are given to the model in the order of its
bands, as the package reads them, and red first, as it would without `colour_bands`.
"""

import argparse

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from deeplense_hf import Predictor, get_recipe, simulate_batch
from deeplense_hf.data.display import picture
from deeplense_hf.models.image_files import image_from_bytes
from deeplense_hf.models.image_reading import to_tensor

# of systems that no training saw
SEED = 2_000_003
_BATCH = 50


def measure(model: str, recipe_name: str, images_per_class: int) -> None:
    """Ask a lens finder about systems in each form and print a table.

    Args:
        model: Folder of the finder.
        recipe_name: A recipe of three bands with the classes `non_lens` and `lens`.
        images_per_class: Systems of each class.
    """
    predictor, recipe = Predictor.from_pretrained(model, "cpu"), get_recipe(recipe_name)
    scores: dict[str, list[NDArray[np.float64]]] = {"numbers": [], "pictures": [], "pictures, red first": []}
    labels: list[int] = []
    for label, name in enumerate(recipe.class_names):
        for start in range(0, images_per_class, _BATCH):
            images = simulate_batch(recipe, name, range(start, min(start + _BATCH, images_per_class)), SEED).images
            labels += [label] * len(images)
            pictures = [image_from_bytes(picture(image), name) for image in images]
            forms = {
                "numbers": images,
                "pictures": [to_tensor(one, colour_bands=predictor.colour_bands) for one in pictures],
                "pictures, red first": [to_tensor(one) for one in pictures],
            }
            for form, asked in forms.items():
                scores[form].append(predictor.probabilities(np.stack(list(map(np.asarray, asked))))[:, 1])
    truth = np.array(labels)
    print(f"{'':<20}{'ROC AUC':>9}{'AP':>8}{'lenses found':>14}{'look-alikes taken':>19}")
    for form, parts in scores.items():
        score = np.concatenate(parts)
        found = [(score[truth == label] > 0.5).mean() for label in (1, 0)]
        areas = roc_auc_score(truth, score), average_precision_score(truth, score)
        print(f"{form:<20}{areas[0]:>9.4f}{areas[1]:>8.4f}{found[0]:>14.3f}{found[1]:>19.3f}", flush=True)


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a lens finder of three bands")
    parser.add_argument("--recipe", default="lens_finding")
    parser.add_argument("--images_per_class", type=int, default=200)
    options = parser.parse_args()
    measure(options.model, options.recipe, options.images_per_class)


if __name__ == "__main__":
    main()
