"""The earlier place of `data.staging.write_atomically`, for the rooms that still import it from here."""

import os

from deeplense_hf.data.staging import write_atomically

__all__ = ["os", "write_atomically"]
