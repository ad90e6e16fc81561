"""The command line: one table of commands, one way to parse options, one way to say what went wrong.

`deeplense-hf COMMAND ...` and `scripts/*.py` both end in `main`. A command is a function that takes dataclasses
of options; they are read from the command line and from `--config file.yaml` (the file gives defaults, the command
line wins, unknown keys are refused). Only the room of the chosen command is imported, so that `--help` is quick.
"""

import dataclasses
import difflib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from deeplense_hf import __version__
from deeplense_hf.option_parser import OptionParser

TRACE_VARIABLE = "DEEPLENSE_HF_TRACE"


@dataclasses.dataclass(frozen=True)
class Command:
    """Where a command lives.

    Attributes:
        summary: One line for the list of commands.
        function: `module:name`; called with one instance of every class of options, in order.
        options: `module:name` of the dataclasses of options; their modules import in milliseconds.
        heavy_options: Further dataclasses, many or expensive to import; `--help` leaves them to `--help_all`.
        advanced: Single options that `--help` leaves to `--help_all`.
        to_go_on: What is said after an interruption of a command that keeps what is finished; others begin again.
        instead: What to do instead where a launcher started several processes; None of a command that shares its work
            among them, or says so itself.
        script: Name of the file of `scripts` that runs it, where it is another one; it is understood as well.
    """

    summary: str
    function: str
    options: tuple[str, ...]
    heavy_options: tuple[str, ...] = ()
    advanced: tuple[str, ...] = ()
    to_go_on: str = ""
    instead: str | None = "start it once, without torchrun or accelerate launch"
    script: str = ""


_AGAIN = "finished work is kept, run the same command again to go on"
_TRAIN_OPTIONS = ("deeplense_hf.training.options:TrainOptions", "deeplense_hf.tasks.options:TaskOptions")
_TRAIN_HEAVY_OPTIONS = (
    "deeplense_hf.training.method_options:MethodOptions",
    "deeplense_hf.training.arguments:LensTrainingArguments",
)

COMMANDS: dict[str, Command] = {
    "train": Command(
        "train a model on lens images and score it on held-out systems",
        "deeplense_hf.training.run:train",
        _TRAIN_OPTIONS,
        _TRAIN_HEAVY_OPTIONS,
        advanced=(
            "normalisation",
            "uncertainty",
            "normal_class",
            "anomaly_score",
            "mask_ratio",
            "mask_size",
            "cpu_threads",
        ),
        to_go_on="checkpoints are kept, run the command with --resume_from_checkpoint to go on",
        instead=None,
    ),
    "search": Command(
        "search the training options of the best validation score",
        "deeplense_hf.training.search:search",
        ("deeplense_hf.training.search_options:SearchOptions",),
        (*_TRAIN_OPTIONS, *_TRAIN_HEAVY_OPTIONS),
        to_go_on=_AGAIN,
        instead=None,
    ),
    "simulate": Command(
        "simulate a population of strong lenses as a data set",
        "deeplense_hf.data.simulate:simulate",
        ("deeplense_hf.data.simulate:SimulateOptions",),
        to_go_on=_AGAIN,
        instead=None,
    ),
    "import": Command(
        "turn original lens files, also in archives, into a data set",
        "deeplense_hf.data.importing:import_dataset",
        ("deeplense_hf.data.importing:ImportOptions",),
        script="import_dataset",
    ),
    "evaluate": Command(
        "measure a trained model on a data set: metrics.json and figures",
        "deeplense_hf.evaluation.run:evaluate",
        ("deeplense_hf.evaluation.run:EvaluateOptions",),
        instead=None,
        script="evaluate_model",
    ),
    "ensemble": Command(
        "join trained models into one that averages their answers",
        "deeplense_hf.inference.ensemble:ensemble",
        ("deeplense_hf.inference.ensemble:EnsembleOptions",),
    ),
    "predict": Command(
        "answer for images what a model was trained for, a row for each",
        "deeplense_hf.inference.predict:predict",
        ("deeplense_hf.inference.predict:PredictOptions",),
        to_go_on=_AGAIN,
        instead="start it without torchrun or accelerate launch, or split --input among runs with an --output each",
    ),
    "app": Command(
        "serve a page where models answer for lenses you drop or draw",
        "deeplense_hf.demo.app:run_app",
        ("deeplense_hf.demo.app:AppOptions",),
    ),
    "make-release": Command(
        "assemble model, scores and card as a repository of the Hub",
        "deeplense_hf.hub.release:make_release",
        ("deeplense_hf.hub.release:ReleaseOptions",),
    ),
    "export-stock": Command(
        "make a classifier that transformers runs without code of ours",
        "deeplense_hf.hub.stock_export:export_stock",
        ("deeplense_hf.hub.stock_export:ExportOptions",),
    ),
    "push": Command(
        "push a released model to the Hugging Face Hub",
        "deeplense_hf.hub.push_model:push_model",
        ("deeplense_hf.hub.push_model:PushOptions",),
        script="push_to_hub",
        to_go_on=_AGAIN,
    ),
    "push-dataset": Command(
        "push data sets to the Hugging Face Hub, a configuration each",
        "deeplense_hf.hub.push_dataset:push_dataset",
        ("deeplense_hf.hub.push_dataset:PushDatasetOptions",),
        to_go_on=_AGAIN,
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command and its options; the process's own arguments when absent.

    Returns:
        The exit status: 0 done, 1 the command failed and said why in one sentence, 2 the options are wrong.
    """
    # Threads of torch that wait for each other sleep instead of spinning: on cores that other programs share a step
    # took 0.6 s instead of 1 to 4 s, at the price of roughly a quarter on idle ones, where OMP_WAIT_POLICY=ACTIVE wins.
    # Read by OpenMP when torch is imported, hence here.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # names of files need not be text, and a line that cannot be printed is no reason to fail
        sys.stdout.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if words[0] == "--version":
        print(f"deeplense-hf {__version__}")
        return 0
    word, *rest = words
    scripts = {_hyphened(command.script): name for name, command in COMMANDS.items() if command.script}
    name = scripts.get(_hyphened(word), _hyphened(word))
    if name not in COMMANDS:
        close = difflib.get_close_matches(word, COMMANDS, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        return _say_error(f"'{word}' is not a command; the commands are {', '.join(COMMANDS)}.{hint}", status=2)
    try:
        return _run(name, rest)
    except KeyboardInterrupt:
        to_go_on = COMMANDS[name].to_go_on
        return _say_error(f"interrupted; {to_go_on}." if to_go_on else "interrupted.", status=130)
    except (ValueError, OSError, ImportError, RuntimeError, MemoryError) as error:
        if os.environ.get(TRACE_VARIABLE):
            raise
        return _say_error(_one_sentence(error), status=1)


def _hyphened(name: str) -> str:
    """Return a name as commands are written; files of Python have underscores instead."""
    return name.replace("_", "-")


def _run(name: str, words: list[str]) -> int:
    """Parse the options of a command and call it."""
    command = COMMANDS[name]
    if "--help_all" in words:
        _parser(name, command.options + command.heavy_options).print_help()
        return 0
    options = parse_options(name, words)
    _check_processes(name)
    status = _load(command.function)(*options)
    return int(status or 0)


def _check_processes(name: str) -> None:
    """Refuse what a launcher started several times, if each of its processes would do all of the work."""
    processes = os.environ.get("WORLD_SIZE", "") if "RANK" in os.environ else ""
    instead = COMMANDS[name].instead
    if instead and processes.isdecimal() and int(processes) > 1:
        raise ValueError(f"{name} runs in one process, but a launcher started {processes}; {instead}.")


def parse_options(name: str, words: Sequence[str]) -> tuple[Any, ...]:
    """Read the options of a command, as the command line does.

    Args:
        name: A key of `COMMANDS`.
        words: The command's arguments.

    Returns:
        One instance of every class of its options, in order.

    Raises:
        ValueError: If a value is refused.
        SystemExit: If a word is wrong, or help was asked for.
    """
    command = COMMANDS[name]
    wants_help = "-h" in words or "--help" in words
    classes = command.options if wants_help else command.options + command.heavy_options
    parser = _parser(name, classes, _help_epilog(command) if wants_help else None)
    if wants_help:
        parser.hide(command.advanced)
    return parser.parse(words)


def _parser(name: str, classes: Sequence[str], epilog: str | None = None) -> OptionParser:
    """Make the parser of a command."""
    return OptionParser(
        [_load(path) for path in classes],
        prog=f"deeplense-hf {name}",
        description=_sentence(COMMANDS[name].summary),
        epilog=epilog,
    )


def _load(path: str) -> Any:
    """Import `module:name`."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _help_epilog(command: Command) -> str | None:
    if not command.heavy_options:
        return None
    return (
        "Losses, balance, mixing, averaging, distillation and curricula have options too (for example --loss, "
        "--ema_decay, --teachers), and every option of transformers.TrainingArguments is accepted, for example "
        "--num_train_epochs, --learning_rate, --output_dir, --resume_from_checkpoint; --help_all lists them."
    )


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: deeplense-hf COMMAND [options]",
            "",
            "Dark matter substructure in strong gravitational lenses.",
            "",
            *lines,
            "",
            "deeplense-hf COMMAND --help lists a command's options;",
            "--config FILE.yaml reads them from a file.",
            f"Set {TRACE_VARIABLE}=1 to see the full trace of an error.",
        ]
    )


def _one_sentence(error: BaseException) -> str:
    """What went wrong, on one line, whoever raised it."""
    if isinstance(error, RuntimeError | MemoryError):
        what_failed = _load("deeplense_hf.inference.shortages:what_failed")
        return f"{what_failed(error)} Set {TRACE_VARIABLE}=1 to see where."
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        message = f"{where}{error.strerror}"
    else:
        message = str(error) or type(error).__name__
    return " ".join(message.split())


def _say_error(sentence: str, status: int) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return status


def run_as_script(command: str) -> NoReturn:
    """Entry point of `scripts/*.py`: run one command with the process's arguments and exit.

    The folder of a script comes first on `sys.path`; it is dropped so that no script can shadow a library.
    """
    folder = str(Path(sys.argv[0]).resolve().parent)
    sys.path[:] = [entry for entry in sys.path if entry != folder]
    sys.exit(main([command, *sys.argv[1:]]))


if __name__ == "__main__":
    sys.exit(main())
