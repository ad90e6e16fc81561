"""Simulate a population of strong lenses as a Hugging Face data set.

    python scripts/simulate.py --list
    python scripts/simulate.py --recipe model_1 --images_per_class 1000 --seed 0 --output_dir data/model_1

The first line lists the recipes: the published DeepLense populations with every quirk, and corrected ones. The folder
loads with `load_dataset("data/model_1")`. All cores are used (`--num_workers`); after a kill, Ctrl-C or a full disk the
same command goes on where it stopped, and images and their order are the same whatever the number of workers or the
size of the files.

On several machines every rank writes its own files into the shared folder, and whoever writes the last one completes
the data set; ranks may start at any time, and one that died is started again:

    torchrun --nproc_per_node 4 scripts/simulate.py --recipe model_1 --images_per_class 1000000 --output_dir /shared/set
    sbatch --array=0-31 --wrap "python scripts/simulate.py --recipe model_1 ... --output_dir /shared/set"

Where the tasks of an array are to write a data set each, add `--num_ranks 1`.
"""

from deeplense_hf.cli import run_as_script

if __name__ == "__main__":
    run_as_script("simulate")
