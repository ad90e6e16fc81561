"""Join trained models into one that averages their answers.

    python scripts/ensemble.py --models outputs/swin outputs/vit outputs/resnet --output_dir outputs/ensemble
    python scripts/ensemble.py --models outputs/swin outputs/vit --dataset model_1 --output_dir outputs/calibrated
    python scripts/ensemble.py --models outputs/swin outputs/vit --weighting validation --dataset model_1 \
        --images_per_class 4000 --output_dir outputs/weighted

The models may be of different families and sizes and process images differently: the ensemble takes raw images and each
member processes them in its own way. The folder loads with `from_pretrained`, and `evaluate` and `predict` take it as
any other. With `--dataset` the ensemble is calibrated as single models are at the end of their training: of classifiers
the probabilities, with sets that hold the true class for 95% of the images, of estimators the intervals. Without it
there are no sets. All is found on the validation split (`--split`), never on the test split.
"""

from deeplense_hf.cli import run_as_script

if __name__ == "__main__":
    run_as_script("ensemble")
