"""Simulate a published DeepLense population as a Hugging Face data set.

    python scripts/simulate.py --recipe model_1 --images_per_class 1000 --seed 0 --output_dir data/model_1

Recipes: `model_1` (150x150 photon counts), `model_2` (Euclid, 64x64) and `model_3` (HST, 64x64) as published, with
every quirk; see `deeplense_hf/simulation/recipes.py`. The folder loads with `load_dataset("data/model_1")`.
"""

from deeplense_hf.cli import run_as_script

if __name__ == "__main__":
    run_as_script("simulate")
