"""Turn original lens files into a Hugging Face data set.

    python scripts/import_dataset.py --source Model_I_test --output_dir data/model_1_original --pixel_scale 0.05
    python scripts/import_dataset.py --source lens_finding.tgz --output_dir data/lens_finding

Reads `.npy` (also the pickled `[image, mass]` arrays of DeepLense, without executing a pickle), `.npz`, FITS, HDF5,
jpg, png and tif, from a folder, a file or an archive. Names of folders give classes and splits. What cannot be read
is listed in `import_report.json`; the rest is imported.
"""

from deeplense_hf.cli import run_as_script

if __name__ == "__main__":
    run_as_script("import")
