"""Push a released model to the Hugging Face Hub.

    python scripts/push_to_hub.py --folder model_cards/deeplense-swin --repo_id ml4sci/deeplense-swin --dry_run
    python scripts/push_to_hub.py --folder model_cards/deeplense-swin --repo_id ml4sci/deeplense-swin

Log in first: `hf auth login`, or set HF_TOKEN, with a token that may write. The folder is the exact content of the
repository. Files that are there already as they are here are not sent again, so the same command goes on after a lost
connection and does nothing once all is there. --create_pr opens a pull request, --revision pushes to a branch,
--delete_absent removes what the folder does not hold.

Only kinds of files that releases are made of are published, and only if they are what their names say: pickles in any
dress, links, and files with access tokens, passwords or private keys are refused. A folder goes to the repository that
its card names and to no other.

Options: python scripts/push_to_hub.py --help
"""

from deeplense_hf.cli import run_as_script

if __name__ == "__main__":
    run_as_script("push")
