"""A search space: which values options may take, and a trial's options from values."""

import dataclasses
import difflib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deeplense_hf.models.presets import PRESETS, build_config
from deeplense_hf.option_parser import OptionParser, read_yaml_mapping

from .option_effects import defaults_of, idle_options
from .setup import parse_model_options

MODEL_OPTION = "model_options."
# decided by the search itself; and what is learnt, since scores of different tasks do not compare
_NOT_SEARCHED = (
    "output_dir",
    "overwrite",
    "resume_from_checkpoint",
    "config",
    "task",
    "metric_for_best_model",
    "greater_is_better",
)
# combinations that a value is tried in before it is refused
_COMBINATIONS = 64


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

    @property
    def samples(self) -> tuple[Any, ...]:
        """The values, for a check."""
        return self.values

    def checked(self, path: Path, name: str, check: Callable[[Path, str, Any], Any]) -> "Choice":
        """Give the values the option's type, or refuse them."""
        return Choice(tuple(check(path, name, value) for value in self.values))


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

    @property
    def samples(self) -> tuple[Any, ...]:
        """Both ends, for a check."""
        return self.low, self.high

    def checked(self, path: Path, name: str, check: Callable[[Path, str, Any], Any]) -> "Range":
        """Refuse a range between whose ends the option does not take every number."""
        ends = [check(path, name, number) for number in self.samples]
        if any(isinstance(end, str | bool) for end in ends):
            raise ValueError(f"{path}: '{name}' takes no range of numbers; give a list of values.")
        if isinstance(ends[0], int) and not self.whole:
            raise ValueError(f"{path}: '{name}' takes whole numbers; give whole ends, and a whole step or none.")
        return self


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


def checked_space(path: Path, space: Space, options: Sequence[Any]) -> Space:
    """Check every value of a search space as the command line would, before anything is trained.

    Args:
        path: The YAML file, for messages.
        space: What it says.
        options: Instances of the dataclasses of options that all trials share; the last one are the training arguments.

    Returns:
        The space with values of the options' types.

    Raises:
        ValueError: If an option does not allow a value, or a value is refused by its class beside all others.
    """
    parser = OptionParser([type(instance) for instance in options])
    typed: Space = {}
    for name, entry in space.items():
        typed[name] = entry if name.startswith(MODEL_OPTION) else entry.checked(path, name, parser.check_value)
    for name, entry in typed.items():
        others = {other: typed[other].samples for other in typed if other != name}
        for value in entry.samples:
            reason = _refusal(options, {name: value})
            # drawn, since the first of many combinations differ in the last options alone
            generator = random.Random(0)
            drawn = (
                {other: generator.choice(samples) for other, samples in others.items()} for _ in range(_COMBINATIONS)
            )
            # what does not go with the options that all trials share may go with those that are drawn
            if reason and all(_refusal(options, {**rest, name: value}) for rest in drawn):
                raise ValueError(f"{path}: {name}={value!r} cannot be tried: {reason}")
    return typed


def _refusal(options: Sequence[Any], values: Mapping[str, Any]) -> str:
    """Return why the options' classes, or a new model's configuration, refuse values; nothing where they take them."""
    try:
        changed = with_values(options, values, Path("trial"))
        model, own = changed[0].model, parse_model_options(changed[0].model_options)
        if own and model not in PRESETS:
            return f"model_options are for new models of a named size, and '{model}' brings its own."
        if own:
            build_config(model, **own)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        # of images that are not known yet
        return "" if "image_size" in reason else reason
    return ""


def options_of_trial(options: Sequence[Any], values: Mapping[str, Any], output_dir: Path) -> tuple[Any, ...]:
    """Put the values of a trial into options of `train`, without those that have no effect beside the others.

    A space may hold options that act beside some values of another one alone, as `focal_gamma` beside `loss: [focal,
    cross_entropy]`; the rest of the trials leave them at their defaults.

    Args:
        options: As for `with_values`.
        values: As for `with_values`.
        output_dir: As for `with_values`.

    Returns:
        New instances.

    Raises:
        ValueError: If a class refuses its values.
    """
    idle = idle_options(with_values(options, values, output_dir))
    defaults = defaults_of(options)
    return with_values(options, {**values, **{name: defaults[name] for name in idle}}, output_dir)


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
