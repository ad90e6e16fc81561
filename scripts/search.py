"""Search the training options that give the best validation score, with Optuna.

    python scripts/search.py --search_space scripts/configs/search_space.yaml --trials 20 --dataset model_1

Every option of `scripts/train.py` is one of `search` too and holds for all trials; those of the search space are drawn.
The same command goes on where it stopped, and several of them with one `--study_dir` share the work. The folder ends up
with `best_options.yaml` for `scripts/train.py --config`, a table of trials, importances and plots. The test split is
never looked at.
"""

from deeplense_hf.cli import run_as_script

if __name__ == "__main__":
    run_as_script("search")
