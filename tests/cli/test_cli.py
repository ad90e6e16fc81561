"""One table of commands; options from the command line and from YAML; mistakes in one sentence."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from deeplense_hf import cli
from deeplense_hf.option_parser import OptionParser, options_as_dict


@dataclass
class Options:
    """Options of a test."""

    source: str = field(metadata={"help": "where from"})
    rate: float = field(default=0.5, metadata={"help": "how fast"})
    colours: list[str] = field(default_factory=list, metadata={"help": "which"})
    mode: Literal["slow", "fast"] | None = field(default=None, metadata={"help": "how"})
    flag: bool | None = field(default=None, metadata={"help": "whether"})
    settings: dict[str, int] | None = field(default=None, metadata={"help": "what else"})


def parse(*words: str) -> Options:
    return OptionParser([Options], prog="test").parse(words)[0]


def test_command_line_wins_over_yaml_over_defaults(tmp_path: Path) -> None:
    path = tmp_path / "options.yaml"
    path.write_text("source: file\nrate: 1e-3\ncolours: [red, blue]\nmode: null\nsettings: {a: 1}\n")
    options = parse("--config", str(path), "--source", "line")
    assert options == Options("line", rate=1e-3, colours=["red", "blue"], settings={"a": 1})


def test_bare_flag_means_true() -> None:
    assert parse("--source", "x", "--flag").flag is True
    assert parse("--source", "x", "--flag", "false").flag is False
    assert parse("--source", "x").flag is None


def test_options_survive_a_round_trip(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    options = Options("x", rate=0.25, colours=["red"], mode="fast", flag=False)
    path = tmp_path / "options.yaml"
    path.write_text(yaml.safe_dump(options_as_dict(options)))
    assert parse("--config", str(path)) == options


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sorce: x", "unknown option 'sorce'; did you mean source?"),
        ("rate: quick", "rate='quick' is not of type float"),
        ("mode: medium", "mode='medium' is not one of 'slow', 'fast'"),
        ("- source", "must map option names to values"),
        ("a: [", "is not valid YAML"),
        ("rate:", "rate has no value; give one, or leave the line out"),
        ("rate: [1, 2]", "rate=[1, 2] is a list, but one value of type float is taken"),
        ("rate: {a: 1}", "rate={'a': 1} is not of type float"),
        ("source:", "source has no value"),
        ("source: [x]", "source=['x'] is a list, but one value of type str is taken"),
        ("colours:", "colours has no value"),
        ("colours: {a: 1}", "colours={'a': 1} is not a list of type str"),
        ("colours: [[red]]", "colours=[['red']] is not a list of type str"),
        ("colours: [null]", "colours=[None] is not a list of type str"),
        ("mode: [slow]", "mode=['slow'] is not one of 'slow', 'fast'"),
        ("flag: {a: 1}", "flag={'a': 1} is not of type bool"),
        ("settings: [1]", "settings=[1] is a list, but one value of type dict is taken"),
    ],
)
def test_yaml_mistakes_name_file_and_value(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "options.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"options\.yaml") as error:
        parse("--config", str(path), "--source", "x")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--source", "x", "--rat", "1"), "unknown option --rat; did you mean --rate?"),
        # also where a required option is missing, most often this one
        (("--sorce", "x"), "unknown option --sorce; did you mean --source?"),
        (("--source", "x", "--rate", "quick"), "invalid float value: 'quick'"),
        ((), "required: --source"),
        (("--source", "x", "--config"), "argument --config: expected one argument"),
    ],
)
def test_wrong_words_get_one_sentence(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(*words)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in error
    assert error.count("\n") == 1


def test_overview_and_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    overview = capsys.readouterr().out
    assert all(command in overview for command in cli.COMMANDS)
    assert max(map(len, overview.splitlines())) <= 80
    assert cli.main(["trian"]) == 2
    assert "Did you mean 'train'?" in capsys.readouterr().err


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_fits_a_screen(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    assert len(text.splitlines()) <= 50
    assert all(line.strip() for line in text.splitlines()[:1])


def test_help_shows_kinds_and_that_several_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    text = capsys.readouterr().out
    for shown in ("--source SOURCE ", "--rate X ", "--colours COLOURS ...", "--mode {slow,fast} ", "--flag "):
        assert f"  {shown}" in text
    assert "(default: 0.5)" in text


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_the_defaults_of_every_command_can_stand_in_a_file(command: str) -> None:
    chosen = cli.COMMANDS[command]
    parser = cli._parser(command, chosen.options + chosen.heavy_options)
    for action in parser._actions:
        if not action.required and action.dest not in ("help", "config") and not action.dest.startswith("no_"):
            parser.check_value(Path("x.yaml"), action.dest, getattr(action.default, "value", action.default))


def test_help_all_lists_the_training_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--help_all"]) == 0
    assert "--gradient_accumulation_steps" in capsys.readouterr().out


def test_full_disk_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import pyarrow.parquet as pq

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", refuse)
    output = tmp_path / "out"
    status = cli.main(["simulate", "--recipe", "test", "--images_per_class", "10", "--output_dir", str(output)])
    assert status == 1
    assert "error: No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("processes", ["1", "2"])
def test_what_runs_in_one_process_is_not_started_in_several(
    processes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", processes)
    output = tmp_path / "output" / "table.csv"
    words = ["--model", str(tmp_path / "none"), "--input", str(tmp_path), "--output", str(output)]
    assert cli.main(["predict", *words]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: predict runs in one process, but a launcher started 2; start it") is (
        processes != "1"
    )
    assert not output.parent.exists()
    together = {name for name, command in cli.COMMANDS.items() if command.instead is None}
    assert together == {"train", "search", "simulate", "evaluate"}


def test_scripts_are_commands_under_their_own_names(
    repository_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run: list[str] = []
    monkeypatch.setattr(cli, "_run", lambda name, _: run.append(name))
    for script in sorted((repository_root / "scripts").glob("*.py")):
        for word in (script.stem, script.stem.replace("_", "-")):
            run.clear()
            cli.main([word])
            assert f'run_as_script("{run[0]}")' in script.read_text(encoding="utf-8")
    for word in ("", "_", "import-datasets"):
        assert cli.main([word]) == 2
    assert "is not a command" in capsys.readouterr().err


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_an_interruption_promises_what_is_so(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupt)
    assert cli.main([name]) == 130
    said = capsys.readouterr().err
    if name == "train":
        assert (
            said
            == "error: interrupted; checkpoints are kept, run the command with --resume_from_checkpoint to go on.\n"
        )
    elif name in ("search", "simulate", "predict", "push", "push-dataset"):
        assert said == "error: interrupted; finished work is kept, run the same command again to go on.\n"
    else:
        assert said == "error: interrupted.\n"
