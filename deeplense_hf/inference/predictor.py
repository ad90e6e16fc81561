"""`Predictor`: a model, its processor and a device, from raw images to answers."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from transformers import PreTrainedModel

# the room registers the DeepLense families with the Auto classes
from deeplense_hf.models import auto_class_of
from deeplense_hf.models.image_reading import check_missing, eight_bit
from deeplense_hf.models.safe_loading import RefusedModelError, load_config, load_image_processor, load_model
from deeplense_hf.tasks.classification import PROBABILITIES, ClassificationTask
from deeplense_hf.tasks.registry import task_of_model
from deeplense_hf.tasks.task import Arrays

_COLOURS = 3
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


class Predictor:
    """A model that answers for raw lens images what its task asks.

    Args:
        model: A model of one of the tasks, DeepLense or stock.
        processor: Its image processor.
        device: Where to run: `auto` (CUDA, else Apple's MPS, else the CPU), `cpu`, `cuda:1`, ...; None leaves
            the model where it is.

    Raises:
        ValueError: If the device is not there, or the model answers none of the tasks.
    """

    def __init__(self, model: PreTrainedModel, processor: Any, device: str | torch.device | None = "auto") -> None:
        self.task = task_of_model(model.config)
        self.device = model.device if device is None else select_device(device)
        torch.nn.Module.to(model, self.device)
        self.model = model.eval()
        self.processor = processor

    @classmethod
    def from_pretrained(cls, name: str | Path, device: str | torch.device | None = "auto") -> "Predictor":
        """Load a model and its processor.

        Args:
            name: Model folder, or id on the Hugging Face Hub.
            device: See the class.

        Returns:
            The predictor, in evaluation mode.

        Raises:
            FileNotFoundError: If the folder or a file in it is missing.
            OSError: If the Hub does not give the model.
            ValueError: If the folder holds no complete model of one of the tasks, or one that can be loaded only by
                running its code or by unpickling.
        """
        target = None if device is None else select_device(device)
        name = str(name)
        _check_folder(name)
        try:
            config = load_config(name)
            # weights that do not fit are told below, in one sentence instead of transformers' table
            model, loading = load_model(
                auto_class_of(config), name, output_loading_info=True, ignore_mismatched_sizes=True
            )
            processor = load_image_processor(name)
        except RefusedModelError:
            raise
        except SafetensorError as error:
            raise ValueError(f"{name}: the weights file is damaged ({error}); copy or train it again.") from None
        except OSError as error:
            if Path(name).exists():
                raise OSError(f"{name}: {_first_sentence(error)}") from None
            raise OSError(
                f"{name}: there is no folder of that name here, and no such model could be fetched from the Hub "
                f"({_first_sentence(error)}); check the path, or the id and the connection."
            ) from None
        except ValueError as error:
            raise ValueError(f"{name} is no model for images that can be loaded: {_first_sentence(error)}") from None
        except (TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError) as error:
            # transformers and torch check few of the values that they are given
            raise ValueError(
                f"{name} is no model for images that can be loaded, for a value in config.json or "
                f"preprocessor_config.json is of the wrong kind ({_first_sentence(error)}); copy or train it again."
            ) from None
        absent = sorted(loading["missing_keys"]) + sorted(key for key, *_ in loading["mismatched_keys"])
        if absent:
            raise ValueError(
                f"{name} lacks {len(absent)} weights of {type(model).__name__}, among them '{absent[0]}': "
                "it is not a trained model of this kind, train it first."
            )
        try:
            return cls(model, processor, target)
        except ValueError as error:
            raise ValueError(f"{name} cannot be asked: {error}") from None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes of a classifier, in the order of its probabilities.

        Raises:
            ValueError: If the model is no classifier.
        """
        if not isinstance(self.task, ClassificationTask):
            raise ValueError(f"the model's task is {self.task.name}, so it knows no classes.")
        return self.task.class_names

    @property
    def bands(self) -> int | None:
        """Bands an image must have; None where the processor picks some or the model does not say."""
        if getattr(self.processor, "bands", None) is not None:
            return None
        bands = getattr(self.model.config, "num_channels", None)
        return bands if isinstance(bands, int) else None

    @property
    def colour_bands(self) -> tuple[int, ...] | None:
        """Which band red, green and blue of a colour picture are, see `in_band_order`; None where it is not known."""
        return getattr(self.processor, "colour_bands", None)

    def doubt_about(self, shape: Sequence[int], pixel_scale: float | None) -> str | None:
        """Say why an image is unlike those that the model learnt from, as far as its size and scale tell.

        Args:
            shape: Of the raw image, `(bands, height, width)`.
            pixel_scale: Its pixel scale [arcsec/pixel]; None where unknown.

        Returns:
            A sentence; None where there is no such reason, or the processor does not know.
        """
        doubt = getattr(self.processor, "doubt_about", None)
        found: str | None = None if doubt is None else doubt(*shape[-2:], pixel_scale)
        return found

    def check_bands(self, bands: int, what: str, remedy: str) -> None:
        """Refuse images of another number of bands than the model's.

        Args:
            bands: Number of bands of the images.
            what: The images, as the sentence names them.
            remedy: What to do about it.

        Raises:
            ValueError: If the numbers differ.
        """
        if self.bands is not None and bands != self.bands:
            takes = count(self.bands, "band")
            raise ValueError(f"{what} has {count(bands, 'band')}, but the model takes {takes}; {remedy}.")

    def match_bands(self, images: NDArray[np.float32], what: str, remedy: str) -> NDArray[np.float32]:
        """Refuse images of another number of bands, unless they are grey.

        A grey picture saved in colour is one of one band. To a model of three bands with a processor of 8-bit pictures,
        a stock one, a picture of one band is one in colour, as transformers reads it.

        Args:
            images: Raw images, `(..., bands, height, width)`.
            what: As in `check_bands`.
            remedy: As in `check_bands`.

        Returns:
            The images, with the model's number of bands.

        Raises:
            ValueError: If the numbers differ.
        """
        bands = images.shape[-3]
        grey = images[..., :1, :, :]
        if (
            self.bands == 1
            and bands > 1
            and np.array_equal(images, np.broadcast_to(grey, images.shape), equal_nan=True)
        ):
            return grey
        if bands == 1 and self.bands == _COLOURS and self._takes_pictures:
            return np.repeat(images, _COLOURS, axis=-3)
        self.check_bands(bands, what, remedy)
        return images

    @property
    def _takes_pictures(self) -> bool:
        """Whether the processor is a stock one of 8-bit pictures."""
        return not hasattr(self.processor, "process_batch") and bool(getattr(self.processor, "do_rescale", False))

    def answers(self, images: NDArray[np.float32], pixel_scale: NDArray[np.float32] | None = None) -> Arrays:
        """Answer what the model's task asks, for a batch.

        Args:
            images: Raw images, float32, shape `(batch, bands, height, width)`; missing pixels are NaN, infinite or
                masked.
            pixel_scale: Pixel scale of each image [arcsec/pixel], shape `(batch,)`; needed by processors that
                resize by pixel scale.

        Returns:
            Answers by name, see the task; each of shape `(batch, ...)`.

        Raises:
            ValueError: If the images are not such a batch, have another number of bands than the model takes, more than
                half of a band that the model looks at is missing, or the processor refuses them; if the model was never
                fitted to what it compares images with, or cannot be asked for a value in its configuration.
        """
        if images.ndim != 4 or len(images) == 0:
            raise ValueError(f"images have shape {images.shape}, but (batch, bands, height, width) is needed.")
        if isinstance(images, np.ma.MaskedArray):
            images = np.ma.filled(images.astype(np.float32), np.nan)
        images = self.match_bands(images, "the image", "select bands first")
        if not np.isfinite(images).all():
            for image in images:
                check_missing(torch.from_numpy(np.asarray(image)), bands=getattr(self.processor, "bands", None))
        with torch.inference_mode():
            pixel_values = self.pixel_values(images, pixel_scale)
            # what processes raw images itself takes them in single precision, whatever its weights are in
            dtype = getattr(self.model, "input_dtype", self.model.dtype)
            try:
                outputs = self.model(pixel_values=pixel_values.to(self.device, dtype))
            except (TypeError, AttributeError) as error:
                # some values of a configuration are not looked at before the first image
                raise ValueError(
                    "the model cannot be asked, for a value in its config.json is of the wrong kind "
                    f"({_first_sentence(error)}); copy or train it again."
                ) from error
        absent = [key for key in self.task.output_keys if outputs.get(key) is None]
        if absent:
            raise ValueError(
                f"the model gives no {absent[0]}, for it has not been fitted to data after its weights were found; "
                "train it with deeplense-hf train."
            )
        return self.task.answers({key: outputs[key].cpu().double().numpy() for key in self.task.output_keys})

    def probabilities(
        self, images: NDArray[np.float32], pixel_scale: NDArray[np.float32] | None = None
    ) -> NDArray[np.float64]:
        """Classify a batch.

        Args:
            images: Raw images, as in `answers`.
            pixel_scale: As in `answers`.

        Returns:
            Class probabilities in the order of `class_names`, shape `(batch, classes)`.

        Raises:
            ValueError: As `answers` does, or if the model is no classifier.
        """
        self.class_names  # noqa: B018 - refuses what is no classifier
        probabilities: NDArray[np.float64] = self.answers(images, pixel_scale)[PROBABILITIES]
        return probabilities

    def pixel_values(self, images: NDArray[np.float32], pixel_scale: NDArray[np.float32] | None) -> torch.Tensor:
        """Run the processor, by its batched path where it has one.

        Args:
            images: Raw images, as in `answers`.
            pixel_scale: As in `answers`.

        Returns:
            What the model takes, `(batch, channels, height, width)`.

        Raises:
            ValueError: If the processor refuses the images.
        """
        if hasattr(self.processor, "process_batch"):
            batch = torch.from_numpy(np.array(images, dtype=np.float32)).to(self.device)
            scale = None if pixel_scale is None else torch.as_tensor(pixel_scale, dtype=torch.float32)
            pixel_values: torch.Tensor = self.processor.process_batch(
                batch, None if scale is None else scale.to(self.device)
            )
            return pixel_values
        accepted = eight_bit(images, type(self.processor).__name__) if self._takes_pictures else images
        values: torch.Tensor = self.processor(
            images=list(accepted), return_tensors="pt", input_data_format="channels_first"
        )["pixel_values"]
        return values

    def fingerprint(self) -> str:
        """Hash weights, configuration and processor: what decides the probabilities of raw images, which are arrays.

        Returns:
            A hexadecimal digest, equal wherever the same model is loaded from.
        """
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        config = {
            key: value
            for key, value in self.model.config.to_dict().items()
            if key not in _UNRELATED and not (key in _ABSENT_AT_FIRST and value == _ABSENT_AT_FIRST[key])
        }
        settings = {key: value for key, value in self.processor.to_dict().items() if key not in _UNRELATED}
        digest.update(json.dumps([config, settings], sort_keys=True, default=str).encode())
        return digest.hexdigest()[:16]


_UNRELATED = frozenset(
    {
        "_name_or_path",
        "transformers_version",
        "auto_map",
        "architectures",
        "_commit_hash",
        "custom_pipelines",
        "use_cache",
        # the weights have a type themselves
        "dtype",
        # how pictures become raw images, which says nothing of the answers for raw images
        "colour_bands",
        # says when to doubt an answer, and changes none
        "learnt_pixel_scale",
    }
)
"""Settings that say where a model came from or what `Trainer` did with it, not what it computes."""

_ABSENT_AT_FIRST: dict[str, Any] = {"interval_factors_95": None, "joint_temperature": 1.0, "band_adapter": False}
"""Settings younger than saved models; with these values a model answers as it did before, under the same hash."""


def select_device(device: str | torch.device) -> torch.device:
    """Return a device that is there.

    Args:
        device: `auto`, or a name that torch knows.

    Returns:
        The device.

    Raises:
        ValueError: If torch does not know the name or this machine does not have the device.
    """
    if str(device) == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        if chosen.type == "meta":
            raise RuntimeError("it is everywhere, but computes nothing")
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError):
        # torch's own words are a paragraph on every device it was ever built for
        raise ValueError(f"device '{device}' cannot be used here; use auto, cpu, or cuda where it is.") from None
    return chosen


def count(number: int, noun: str) -> str:
    """Return a number with its noun in the right form.

    >>> count(1, "band"), count(3, "band")
    ('1 band', '3 bands')

    Args:
        number: How many.
        noun: Of what, in the singular.

    Returns:
        Both.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _check_folder(name: str) -> None:
    """Say clearly what is missing in a local model folder."""
    folder = Path(name)
    if not folder.exists():
        if _HUB_ID.fullmatch(name):
            return
        raise FileNotFoundError(f"{name}: there is no such model folder, and it is not the form of a Hub id.")
    if not folder.is_dir():
        raise ValueError(f"{name} is a file; give the folder that holds config.json and model.safetensors.")
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"{name} is not a model folder: it has no config.json; give the folder that train saved."
        )
    if not list(folder.glob("*.safetensors")):
        raise FileNotFoundError(f"{name} holds no weights (*.safetensors); give the folder that train saved.")
    if not any((folder / file).is_file() for file in ("preprocessor_config.json", "processor_config.json")):
        raise FileNotFoundError(
            f"{name} has no preprocessor_config.json, so it is not known how the model wants its images; "
            "save its image processor into the folder."
        )


def _first_sentence(error: BaseException) -> str:
    """Return the first line of a message, without a final stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".")
