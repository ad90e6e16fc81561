"""Options as dataclasses: command line and YAML read the same declaration."""

import argparse
import dataclasses
import difflib
import enum
import importlib.util
import re
import sys
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

if TYPE_CHECKING:
    from transformers import HfArgumentParser
else:

    def _hf_argument_parser() -> type:
        """Return transformers' `HfArgumentParser` without importing transformers, which alone takes 0.8 s.

        Its module depends on the standard library and PyYAML only, so it is loaded by its path.
        """
        loaded = sys.modules.get("transformers.hf_argparser")
        if loaded is not None:
            return loaded.HfArgumentParser
        package = importlib.util.find_spec("transformers")
        path = Path(package.submodule_search_locations[0]) / "hf_argparser.py"
        spec = importlib.util.spec_from_file_location("_deeplense_hf_argparser", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.HfArgumentParser

    HfArgumentParser = _hf_argument_parser()


_ALTERNATIVES = (typing.Union, types.UnionType)
# characters; longer ones stand in the text
_WIDEST_CHOICES = 60


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help that names every option once and leaves out the spelling with hyphens."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        name = next(word for word in action.option_strings if word.startswith("--"))
        if isinstance(action.const, bool) and action.default is True:
            # its opposite is an option of its own, and left out
            return f"--[no_]{name[2:]}"
        shown = "" if action.nargs in (0, "?") else f" {_shown_value(action)}"
        return f"{name}{shown} ..." if action.nargs in ("+", "*") else f"{name}{shown}"

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = f"{action.help}: {', '.join(_choices(action))}" if _has_long_choices(action) else action.help
        # no default, an empty list, or a flag that is off
        if action.default in (None, [], "") or action.default is False or action.required:
            return text
        if text != action.help:
            return f"{text} (default: {action.default})"
        if isinstance(action.default, list):
            return f"{action.help} (default: {' '.join(map(str, action.default))})"
        return super()._get_help_string(action)


def _shown_value(action: argparse.Action) -> str:
    """Return what stands for an option's value in the help: its choices, N, X, or the last word of its name."""
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices and not _has_long_choices(action):
        return "{" + ",".join(_choices(action)) + "}"
    letters: dict[Any, str] = {int: "N", float: "X"}
    return letters.get(action.type, action.dest.rpartition("_")[2].upper())


def _has_long_choices(action: argparse.Action) -> bool:
    """Whether an option's choices do not fit beside its name."""
    return len(",".join(_choices(action))) > _WIDEST_CHOICES


def _choices(action: argparse.Action) -> list[str]:
    """Return the values that an option may have, none where it may have any."""
    return [str(choice) for choice in action.choices or ()]


class OptionParser(HfArgumentParser):
    """`HfArgumentParser` that reads YAML defaults and answers a mistake with one sentence.

    Args:
        option_classes: Dataclasses (the classes) whose fields are the options; no two share a field name.
        **parser_options: `prog`, `description`, `epilog` of `argparse.ArgumentParser`.
    """

    def __init__(self, option_classes: Sequence[Any], **parser_options: Any) -> None:
        super().__init__(list(option_classes), formatter_class=_HelpFormatter, allow_abbrev=False, **parser_options)
        self.option_classes = list(option_classes)
        self.usage = "%(prog)s [options]"
        self.add_argument("--config", metavar="FILE.yaml", help="YAML file of option values; the command line wins")
        for action in self._actions:
            if action.dest == "resume_from_checkpoint":
                # a bare flag means: from the last complete checkpoint
                action.nargs, action.const = "?", "last"
            elif getattr(action.type, "__name__", "") == "string_to_bool" and action.nargs is None:
                # a flag that may be absent, true or false; bare it means true, as every other flag
                action.nargs, action.const = "?", True
        self.hide_options([flag for flag in self._option_string_actions if flag.startswith("--no_")])

    def hide(self, names: Sequence[str]) -> None:
        """Leave options out of the help.

        Args:
            names: Their names.
        """
        self.hide_options([f"--{name}" for name in names])

    def hide_options(self, flags: Sequence[str]) -> None:
        """Leave options out of the help.

        Args:
            flags: Their spellings, for example `--no_morphology`; unknown ones are no mistake.
        """
        for flag in flags:
            if flag in self._option_string_actions:
                self._option_string_actions[flag].help = argparse.SUPPRESS

    def error(self, message: str) -> NoReturn:
        """Print one sentence and exit with status 2, instead of pages of usage."""
        unknown = re.match(r"unrecognized arguments: (\S+)", message)
        if unknown:
            message = f"unknown option {unknown[1]}{self._suggestion(unknown[1])}"
        self.exit(2, f"error: {message} ({self.prog} --help lists the options)\n")

    def parse(self, words: Sequence[str]) -> tuple[Any, ...]:
        """Parse the command line over the YAML file over the declared defaults.

        Args:
            words: The command's arguments.

        Returns:
            One instance of every class of options, in the order they were given.

        Raises:
            ValueError: If the YAML file is not a flat mapping of known options to values they allow, or if a
                class refuses its values.
            FileNotFoundError: If the YAML file does not exist.
        """
        finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        finder.add_argument("--config")
        try:
            found, _ = finder.parse_known_args(list(words))
        except argparse.ArgumentError as error:
            self.error(str(error))
        if found.config:
            self._use_yaml(Path(found.config))
        self._check_spelling(words)
        namespace = self.parse_args(list(words))
        instances = []
        for option_class in self.option_classes:
            names = [field.name for field in dataclasses.fields(option_class) if field.init]
            instances.append(option_class(**{name: getattr(namespace, name) for name in names}))
        return tuple(instances)

    def _check_spelling(self, words: Sequence[str]) -> None:
        """Refuse options that there are not, before one that is mistyped is missed."""
        if {"-h", "--help"} & set(words):
            return
        for word in words:
            if re.match(r"--[A-Za-z]", word) and word.partition("=")[0] not in self._option_string_actions:
                self.error(f"unrecognized arguments: {word}")

    def _use_yaml(self, path: Path) -> None:
        """Make the values of a YAML file the defaults."""
        for name, value in read_yaml_mapping(path, "--config").items():
            checked = self.check_value(path, name, value)
            self._action(path, name).required = False
            self.set_defaults(**{name: checked})

    def check_value(self, path: Path, name: str, value: Any) -> Any:
        """Check a value of a YAML file as the command line would.

        Args:
            path: The file, for the message.
            name: Name of the option.
            value: What YAML reads.

        Returns:
            The value in the option's type, for example 1e-3, which YAML reads as text.

        Raises:
            ValueError: If there is no such option, or it does not allow the value.
        """
        action = self._action(path, name)
        allowed = list(action.choices) if action.choices else []
        may_be_absent = value is None and action.default is None and not action.required
        if allowed and value not in allowed and not may_be_absent:
            raise ValueError(f"{path}: {name}={value!r} is not one of {', '.join(map(repr, allowed))}.")
        if may_be_absent or (isinstance(value, dict) and self._may_hold(name, dict)):
            return value
        if value is None:
            raise ValueError(f"{path}: {name} has no value; give one, or leave the line out.")
        takes_several = action.nargs in ("+", "*")
        kind = getattr(action.type, "__name__", "").replace("string_to_bool", "bool")
        if isinstance(value, list) and not takes_several and not self._may_hold(name, list):
            raise ValueError(f"{path}: {name}={value!r} is a list, but one value of type {kind} is taken.")
        items = value if isinstance(value, list) else [value]
        try:
            typed = [_typed(action.type, item) for item in items]
        except (TypeError, ValueError, argparse.ArgumentTypeError):
            wanted = f"a list of type {kind}" if takes_several else f"of type {kind}"
            raise ValueError(f"{path}: {name}={value!r} is not {wanted}.") from None
        return typed if isinstance(value, list) or takes_several else typed[0]

    def _may_hold(self, name: str, container: type) -> bool:
        """Whether the declared type of an option is or includes lists or mappings."""
        for option_class in self.option_classes:
            hint = typing.get_type_hints(option_class).get(name)
            if hint is not None:
                # of alternatives such as dict | str | None any
                choices = typing.get_args(hint) if typing.get_origin(hint) in _ALTERNATIVES else (hint,)
                return any((typing.get_origin(choice) or choice) is container for choice in choices)
        return False

    def _action(self, path: Path, name: str) -> argparse.Action:
        """Return the option of a name; of a flag with a `--no_` form the positive one, which knows its type."""
        for action in self._actions:
            if action.dest == name and name not in ("help", "config"):
                return action
        raise ValueError(f"{path}: unknown option '{name}'{self._suggestion(str(name))}.")

    def _suggestion(self, word: str) -> str:
        known = [flag for action in self._actions for flag in action.option_strings if "-" not in flag[2:]]
        flag = word if word.startswith("--") else f"--{word}"
        close = difflib.get_close_matches(flag.split("=")[0], known, n=1)
        return f"; did you mean {close[0] if word.startswith('--') else close[0][2:]}?" if close else ""


def _typed(kind: Any, value: Any) -> Any:
    """Give a value of YAML the type of an option, if nothing is lost by it."""
    if value is None or isinstance(value, list | dict):
        raise TypeError(value)
    if getattr(kind, "__name__", "") == "string_to_bool":
        return kind(str(value))
    if not isinstance(kind, type):
        return value
    if kind in (int, float) and isinstance(value, bool):
        raise TypeError(value)
    if kind is int and isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return kind(value)


def read_yaml_mapping(path: Path, option: str) -> dict[Any, Any]:
    """Read a YAML file that maps names to values.

    Args:
        path: The file.
        option: The option that names it, for the message.

    Returns:
        What it maps.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not YAML, or no mapping.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the {option} file does not exist.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} must map option names to values, one a line, for example 'seed: 1'.")
    return values


def options_as_dict(*instances: Any) -> dict[str, Any]:
    """Flatten instances of options into one mapping that `--config` reads back.

    Args:
        instances: Dataclasses of options.

    Returns:
        Plain values by option name; what YAML cannot hold is written as text.
    """
    plain = (str, int, float, bool, list, dict, types.NoneType)
    values: dict[str, Any] = {}
    for instance in instances:
        for field in dataclasses.fields(instance):
            if field.init:
                value = getattr(instance, field.name)
                value = value.value if isinstance(value, enum.Enum) else value
                values[field.name] = value if isinstance(value, plain) else str(value)
    return values
