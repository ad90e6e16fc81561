"""Measure a trained model on a data set.

Usage:
    python scripts/evaluate_model.py --model MODEL --dataset DATASET --output_dir OUT [--split test]

MODEL is a folder that scripts/train.py saved, or an id on the Hugging Face Hub. DATASET is the name of a
recipe, a folder that scripts/simulate.py or scripts/import_dataset.py built, a folder or archive of original
files, or a Hub id. Classes of model and data are matched by name.

Into OUT it writes metrics.json (ROC AUC one against rest, macro and of each class, accuracy, average
precision, expected calibration error and log loss, each with a 95% bootstrap interval that resamples lens
systems, and the confusion matrix) and the figures roc.png, confusion.png and reliability.png, and it prints a
short table. Batch size and, under torchrun, the number of processes change no more than the last decimal.

Examples:
    python scripts/evaluate_model.py --model runs/swin --dataset runs/data --output_dir runs/swin/evaluation
    python scripts/evaluate_model.py --model runs/swin --dataset model_1 --split validation --output_dir out
    torchrun --nproc-per-node 2 scripts/evaluate_model.py --config evaluation.yaml

Options: python scripts/evaluate_model.py --help
"""

from deeplense_hf.cli import run_as_script

if __name__ == "__main__":
    run_as_script("evaluate")
