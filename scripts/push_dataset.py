"""Push data sets to the Hugging Face Hub.

    python scripts/push_dataset.py --datasets outputs/model_1 --repo_id ml4sci/deeplense-model-1
    python scripts/push_dataset.py --datasets outputs/model_2 outputs/model_3 --config_names model_2 model_3 \
        --repo_id ml4sci/deeplense-published

The folders are such as scripts/simulate.py and scripts/import_dataset.py write. One folder becomes a repository for
`load_dataset("ml4sci/deeplense-model-1")`; several, or one with a name, become configurations, and later ones join
those that lie there: `load_dataset("ml4sci/deeplense-published", "model_2")`. The parquet files go as they are, and
those that lay there of the same configuration go away. The same command goes on after a lost connection; --dry_run
lists what would go.

Options: python scripts/push_dataset.py --help
"""

from deeplense_hf.cli import run_as_script

if __name__ == "__main__":
    run_as_script("push-dataset")
