"""Serve a page on which lens images are dropped or drawn with sliders, and all models answer.

    pip install -e ".[demo]"
    python scripts/app.py                                     # the released models, on http://127.0.0.1:7860
    python scripts/app.py --models outputs/main_job outputs/mass outputs/anomalies

The page shows the image in a chosen stretch, class probabilities, estimated quantities with intervals, the anomaly
score, how the answer changes when a patch is covered, and what a masked model fills in. Files may be FITS, npy, npz,
HDF5 or pictures; many at a time give a table to download. Uploads are bounded, nothing is unpickled, and all files are
deleted after an hour.

Options: python scripts/app.py --help
"""

from deeplense_hf.cli import run_as_script

if __name__ == "__main__":
    run_as_script("app")
