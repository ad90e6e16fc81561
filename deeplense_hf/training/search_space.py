"""A search space: which values options may take, and a trial's options from values."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deeplense_hf.option_parser import read_yaml_mapping

MODEL_OPTION = "model_options."
# decided by the search itself
_NOT_SEARCHED = ("output_dir", "overwrite", "resume_from_checkpoint", "config")


@dataclass(frozen=True)
class Choice:
    """One of several values.

    Attributes:
        values: The values.
    """

    values: tuple[Any, ...]

    def suggest(self, trial: Any, name: str) -> Any:
        """Draw a value."""
        return trial.suggest_categorical(name, list(self.values))

    def grid(self, name: str) -> list[Any]:
        """Return all values."""
        return list(self.values)


@dataclass(frozen=True)
class Range:
    """A number between two ends.

    Attributes:
        low: Lower end.
        high: Upper end.
        log: Whether it is drawn by its logarithm.
        step: Distance of the values; any number between the ends when absent.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether the numbers are whole."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step or 1))

    def suggest(self, trial: Any, name: str) -> Any:
        """Draw a number."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def grid(self, name: str) -> list[Any]:
        """Return all numbers.

        Raises:
            ValueError: If there are infinitely many.
        """
        step = 1 if self.whole and self.step is None else self.step
        if step is None or self.log:
            raise ValueError(f"sampler='grid' needs a list of values, or low, high and step, for '{name}'.")
        count = int((self.high - self.low) / step + 1e-9) + 1
        return [self.low + step * number for number in range(count)]


Space = dict[str, Choice | Range]


def read_space(path: Path, known: Sequence[str]) -> Space:
    """Read a search space.

    Args:
        path: A YAML file.
        known: Names of options.

    Returns:
        What each option may be.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it names an unknown option, or no values.
    """
    content = read_yaml_mapping(path, "--search_space")
    if not content:
        raise ValueError(f"{path} names no option, so there is nothing to search.")
    space: Space = {}
    for name, entry in content.items():
        if name in _NOT_SEARCHED or (name not in known and not str(name).startswith(MODEL_OPTION)):
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {close[0]}?" if close else "."
            raise ValueError(f"{path}: '{name}' is no option that can be searched{hint}")
        space[str(name)] = _entry(path, str(name), entry)
    return space


def _entry(path: Path, name: str, entry: Any) -> Choice | Range:
    """Read what one option may be."""
    example = f"give a list, or low and high, for example '{name}: {{low: 0.1, high: 0.3}}'."
    if isinstance(entry, list) and entry:
        return Choice(tuple(_number(value) for value in entry))
    if not isinstance(entry, dict) or not {"low", "high"} <= set(entry) <= {"low", "high", "log", "step"}:
        raise ValueError(f"{path}: '{name}' is {entry!r}; {example}")
    numbers = {key: _number(value) for key, value in entry.items() if key != "log"}
    if not all(isinstance(value, int | float) for value in numbers.values()) or numbers["low"] > numbers["high"]:
        raise ValueError(f"{path}: '{name}' is {entry!r}; {example}")
    log = bool(entry.get("log", False))
    if log and (numbers["low"] <= 0 or "step" in numbers):
        raise ValueError(f"{path}: '{name}' is {entry!r}; a logarithmic range is above 0 and has no step.")
    return Range(log=log, **numbers)


def _number(value: Any) -> Any:
    """Read 1e-3, which YAML takes for text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def with_values(options: Sequence[Any], values: Mapping[str, Any], output_dir: Path) -> tuple[Any, ...]:
    """Put the values of a trial into options of `train`.

    Args:
        options: Instances of the dataclasses of options; the last one are the training arguments.
        values: Values by name.
        output_dir: Folder of the trial.

    Returns:
        New instances.

    Raises:
        ValueError: If a class refuses its values.
    """
    *plain, arguments = options
    inner = {name.removeprefix(MODEL_OPTION): value for name, value in values.items() if name.startswith(MODEL_OPTION)}
    changed = []
    for instance in plain:
        names = {field.name for field in dataclasses.fields(instance)}
        own = {name: value for name, value in values.items() if name in names}
        if inner and "model_options" in names:
            words = [
                f"{name}={yaml.safe_dump(value, default_flow_style=True).strip()}" for name, value in inner.items()
            ]
            own["model_options"] = [*instance.model_options, *(word.removesuffix("\n...") for word in words)]
        changed.append(dataclasses.replace(instance, **own))
    names = {field.name for field in dataclasses.fields(arguments)}
    own = {name: value for name, value in values.items() if name in names}
    given = {"disable_tqdm": True, **arguments.changed(), **own, "output_dir": str(output_dir)}
    return (*changed, type(arguments)(**given))
