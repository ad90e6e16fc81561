"""Assemble a trained model, its scores and its card as the exact content of a Hub repository.

    python scripts/make_release.py --model outputs/swin --name deeplense-swin
    python scripts/make_release.py --config release.yaml --overwrite True

The options may stand in a YAML file, as those of every command. The run is one of scripts/train.py; its own
metrics.json are the main results. --evaluations are folders of scripts/evaluate_model.py for the same model on other
data, --baselines for other models on the same test images. The release lies in model_cards/NAME: weights,
configuration, processor, their code, pipelines, metrics, figures, example images and a card in which no number is
typed. The same run gives the same bytes.

Options: python scripts/make_release.py --help
"""

from deeplense_hf.cli import run_as_script

if __name__ == "__main__":
    run_as_script("make-release")
