"""Measure a trained model on a data set.

Usage:
    python scripts/evaluate_model.py --model MODEL --dataset DATASET --output_dir OUT [--split test]

MODEL is a folder that scripts/train.py saved, or an id on the Hugging Face Hub. DATASET is the name of a
recipe, a folder that scripts/simulate.py or scripts/import_dataset.py built, a folder or archive of original
files, or a Hub id. Classes of model and data are matched by name.

Into OUT it writes metrics.json (the scores of the model's task, each with a 95% bootstrap interval that
resamples lens systems) and figures, and it prints a short table. Of a classifier the scores are ROC AUC,
accuracy, average precision, expected calibration error and log loss, with the confusion matrix; of a lens finder
also the true positive rate at 0 and 10 false positives; of a regression MAE, RMSE, R2 and the coverage of
intervals in the units of each target; of an anomaly detector ROC AUC and average precision against each class of
anomalies. Batch size and, under torchrun, the number of processes change no more than the last decimal.

Examples:
    python scripts/evaluate_model.py --model runs/swin --dataset runs/data --output_dir runs/swin/evaluation
    python scripts/evaluate_model.py --model runs/swin --dataset model_1 --split validation --output_dir out
    torchrun --nproc-per-node 2 scripts/evaluate_model.py --config evaluation.yaml

Options: python scripts/evaluate_model.py --help
"""

from deeplense_hf.cli import run_as_script

if __name__ == "__main__":
    run_as_script("evaluate")
