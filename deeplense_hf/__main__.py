"""`python -m deeplense_hf COMMAND ...`, where the command `deeplense-hf` is not on the path."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
