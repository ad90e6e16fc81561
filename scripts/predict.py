"""Answer for images what a model was trained for: one row per image.

Usage:
    python scripts/predict.py --model MODEL --input FILES_OR_FOLDERS --output predictions.parquet

MODEL is a folder that scripts/train.py saved, or an id on the Hugging Face Hub. The input is any number of
image files (npy, npz, FITS, HDF5, jpg, png, tif), folders of them at any depth, or folders of built data
sets. The output ends in .parquet or .csv and has the columns path, index (of the image in its file), the
model's answer, and error: an image that cannot be read or used gets its reason there and the rest goes on.
A classifier answers with predicted_class and probability_<class> for every class, a regression with <target>,
<target>_standard_deviation, <target>_low_95 and <target>_high_95, an anomaly detector with anomaly_score, a
model of masked images with reconstruction_error.

Several models are a chain, for example a lens finder, a classifier of substructure and a regression of the axion
mass: each is asked only about the images that the one before passes on, and its columns, which begin with its task, are
empty for the others.

Memory does not grow with the number of images. A run that was killed goes on where it was when the same
command is given again; until it is complete its rows lie in OUTPUT.parts. A complete output is never
overwritten.

Examples:
    python scripts/predict.py --model runs/swin --input survey/ --output predictions.parquet
    python scripts/predict.py --model runs/swin --input a.fits b.npy --output predictions.csv --pixel_scale 0.05
    python scripts/predict.py --model runs/swin --input colour/ --output red.parquet --bands 1
    python scripts/predict.py --model runs/finder runs/swin runs/mass --input survey/ --output found.parquet

Options: python scripts/predict.py --help
"""

from deeplense_hf.cli import run_as_script

if __name__ == "__main__":
    run_as_script("predict")
