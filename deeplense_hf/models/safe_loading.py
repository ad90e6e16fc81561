"""Loading what others made, from a folder or the Hub: none of its code is run, and no pickled weights are read.

Transformers' own loading asks on the terminal whether to run the code of a repository, and falls back to pickled
weights where there are no others.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoImageProcessor
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file

_ENDING = ".safetensors"
_WITHOUT_CODE = {"trust_remote_code": False}


class RefusedModelError(ValueError):
    """A model that can be loaded only by running its code or by unpickling; its message is a sentence for the user."""


def load_config(name: str) -> Any:
    """Load a configuration.

    Args:
        name: Folder or Hub id.

    Returns:
        The configuration, of a class that is installed.

    Raises:
        RefusedModelError: If it needs code of its own, or names weights that are no safetensors.
        OSError: As transformers does.
        ValueError: As transformers does.
    """
    with _refusing(name):
        config = AutoConfig.from_pretrained(name, **_WITHOUT_CODE)
    parts = [config, *(getattr(config, part, None) for part in config.sub_configs)]
    if any("/" in str(getattr(part, "_attn_implementation", "")) for part in parts):
        # attention that transformers fetches from the Hub and runs
        raise RefusedModelError(_needs_code(name))
    if not str(getattr(config, "transformers_weights", None) or _ENDING).endswith(_ENDING):
        raise RefusedModelError(_needs_unpickling(name))
    return config


def load_model(auto_class: Any, name: str, **options: Any) -> Any:
    """Load a model; of its configuration `load_config` has approved.

    Args:
        auto_class: Auto class of transformers or of ours.
        name: Folder or Hub id.
        **options: Of `from_pretrained`.

    Returns:
        What `from_pretrained` returns.

    Raises:
        RefusedModelError: If it needs code of its own, or has no weights as safetensors.
        OSError: As transformers does.
        ValueError: As transformers does.
    """
    with _refusing(name):
        _check_parts(name)
        return auto_class.from_pretrained(name, use_safetensors=True, **_WITHOUT_CODE, **options)


def load_image_processor(name: str) -> Any:
    """Load an image processor.

    Args:
        name: Folder or Hub id.

    Returns:
        The processor, of a class that is installed.

    Raises:
        RefusedModelError: If it needs code of its own.
        OSError: As transformers does.
        ValueError: As transformers does.
    """
    with _refusing(name):
        return AutoImageProcessor.from_pretrained(name, **_WITHOUT_CODE)


def _check_parts(name: str) -> None:
    """Refuse weights in several files of which one is a pickle, whatever the list of them is called."""
    index = cached_file(
        name,
        SAFE_WEIGHTS_INDEX_NAME,
        # who cannot be reached is told of by from_pretrained
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if index is not None:
        parts = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values()
        if not all(str(part).endswith(_ENDING) for part in parts):
            raise RefusedModelError(_needs_unpickling(name))


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Say in one sentence what transformers says in several, with advice that nobody should follow."""
    try:
        yield
    except (OSError, ValueError) as error:
        if "trust_remote_code" in str(error):
            raise RefusedModelError(_needs_code(name)) from None
        if SAFE_WEIGHTS_NAME in str(error):
            raise RefusedModelError(_needs_unpickling(name)) from None
        raise


def _needs_code(name: str) -> str:
    return (
        f"{name} can be loaded only by running code from its folder or the Hub, which is never done; give a model of "
        "this package or one that transformers knows by itself."
    )


def _needs_unpickling(name: str) -> str:
    return (
        f"{name} has no {SAFE_WEIGHTS_NAME}, and weights of other kinds are never loaded, since pickles may execute "
        "code; save it again with save_pretrained of a present transformers."
    )
