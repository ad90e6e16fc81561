"""A search: spaces, trials, pruning, resuming, sharing, and a report that train reads."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deeplense_hf.cli import main, parse_options
from deeplense_hf.training.search_space import (
    Choice,
    Range,
    checked_space,
    options_of_trial,
    read_space,
    with_values,
)

optuna = pytest.importorskip("optuna")


@pytest.fixture
def space(tmp_path: Path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(
        "learning_rate: {low: 1e-4, high: 1e-2, log: true}\nloss: [cross_entropy, focal]\n"
        "model_options.drop_path_rate: {low: 0.0, high: 0.2, step: 0.1}\n"
    )
    return path


def words(space: Path, folder: Path, quick: list[str], *options: str) -> list[str]:
    return [
        "search", "--search_space", str(space), "--study_dir", str(folder), *quick, "--images_per_class", "20",
        "--num_train_epochs", "1", *options,
    ]  # fmt: skip


def study_of(folder: Path) -> "optuna.Study":
    return optuna.load_study(study_name="deeplense", storage=f"sqlite:///{folder / 'study.db'}")


def test_search_reports_and_resumes(
    space: Path, tmp_path: Path, quick: list[str], lens_cache: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))
    folder = tmp_path / "study"
    assert main(words(space, folder, quick, "--trials", "2")) == 0
    first = {trial.number: trial.params for trial in study_of(folder).trials}
    assert len(first) == 2
    assert main(words(space, folder, quick, "--trials", "3")) == 0
    printed = capsys.readouterr().out
    trials = study_of(folder).trials
    assert len(trials) == 3
    assert all(trials[number].params == params for number, params in first.items()), "earlier trials stay"
    assert len({trial.params["learning_rate"] for trial in trials}) == 3, "no trial is drawn again"
    report = json.loads((folder / "search_report.json").read_text())
    assert report["best_value"] == max(trial.value for trial in trials)
    assert f"best {report['best_value']:.4f}" in printed
    for name in ("trials.csv", "history.png", "slices.png", "best_options.yaml"):
        assert (folder / name).stat().st_size > 0
    kept = [path.name for path in folder.glob("trial-*")]
    assert kept == [f"trial-{report['best_trial']:05d}"], "only the best model is kept"
    assert not list(folder.glob("trial-*/metrics.json")), "the test split was not looked at"
    best = parse_options(
        "train", ["--config", str(folder / "best_options.yaml"), "--output_dir", str(tmp_path / "best")]
    )
    assert best[-1].learning_rate == report["best_options"]["learning_rate"]
    assert f"drop_path_rate={report['best_options']['model_options.drop_path_rate']}" in best[0].model_options
    assert main(words(space, folder, quick, "--trials", "3", "--augmentation", "none")) == 1
    assert "has augmentation='dihedral', not 'none'" in capsys.readouterr().err


def test_grid_is_exhausted(tmp_path: Path, quick: list[str], lens_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))
    path = tmp_path / "space.yaml"
    path.write_text("augmentation: [none, dihedral]\n")
    assert main(words(path, tmp_path / "study", quick, "--trials", "9", "--sampler", "grid")) == 0
    assert sorted(trial.params["augmentation"] for trial in study_of(tmp_path / "study").trials) == ["dihedral", "none"]


def test_failed_trials_are_recorded_and_the_search_goes_on(
    tmp_path: Path, quick: list[str], lens_cache: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))
    path = tmp_path / "space.yaml"
    path.write_text("loss: [cross_entropy, gaussian_nll]\n")
    assert main(words(path, tmp_path / "study", quick, "--trials", "2", "--sampler", "grid")) == 0
    trials = study_of(tmp_path / "study").trials
    assert {trial.state.name for trial in trials} == {"COMPLETE", "FAIL"}
    failed = next(trial for trial in trials if trial.state.name == "FAIL")
    assert "does not fit the task" in failed.user_attrs["error"]
    assert [record.levelname for record in caplog.records if "does not fit" in record.message] == ["WARNING"]
    assert optuna.logging.get_verbosity() == optuna.logging.ERROR, "its traceback is not printed"
    path.write_text("loss: [gaussian_nll]\n")
    assert main(words(path, tmp_path / "other", quick, "--trials", "1", "--sampler", "grid")) == 1
    assert "none of the" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("loss: [focal, focul]", [], "loss='focul' is not one of 'default', 'cross_entropy'"),
        ("augmentation: {low: 0, high: 1}", [], "augmentation=0 is not one of 'none'"),
        ("freeze_backbone: {low: 0, high: 1}", [], "'freeze_backbone' takes no range of numbers; give a list"),
        ("per_device_train_batch_size: {low: 8.0, high: 16.0}", [], "takes whole numbers; give whole ends"),
        ("per_device_train_batch_size: [8, 12.5]", [], "per_device_train_batch_size=12.5 is not of type int"),
        ("learning_rate: [fast]", [], "learning_rate='fast' is not of type float"),
        ("ema_decay: {low: 0.9, high: 1.5}", [], "ema_decay=1.5 cannot be tried: ema_decay=1.5 must be between 0 and"),
        ("lr_scheduler_type: [cosin]", [], "lr_scheduler_type='cosin' cannot be tried"),
        ("label_smoothing_factor: [0.1, 1.1]", [], "label_smoothing_factor=1.1 must be from 0 to 1"),
        ("model_options.symmetry: [none, sideways]", [], "symmetry='sideways' is not one of"),
        ("model_options.colour: [red]", [], "has no option 'colour'"),
        ("model_options.symmetry: [none]", ["--model", "folder"], "are for new models of a named size, and 'folder'"),
        ("task: [classification, regression]", [], "'task' is no option that can be searched"),
        ("focal_gamma: [1.0, 2.0]", [], "focal_gamma has no effect here: it belongs to loss='focal'"),
        ("seed: [1, 2]", ["--mixing_alpha", "0.5"], "mixing_alpha=0.5 has no effect here: mixing is 'none'"),
        ("seed: [1, 2]", ["--resume_from_checkpoint"], "a search goes on by itself where it stopped"),
    ],
)
def test_what_cannot_be_tried_is_said_before_the_first_trial(
    text: str, options: list[str], message: str, tmp_path: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    assert main(words(path, tmp_path / "study", quick, *options)) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_values_that_only_go_together_are_tried(tmp_path: Path, quick: list[str]) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        "eval_strategy: [steps]\nsave_strategy: [steps]\nlearning_rate: [1]\nfocal_gamma: [1, 3]\n"
        "loss: [focal, asymmetric]\n"
    )
    together = parse_options("train", quick)
    fields = [name for instance in together for name in vars(instance)]
    space = checked_space(path, read_space(path, fields), together)
    assert isinstance(space["learning_rate"].values[0], float)
    values = {"eval_strategy": "steps", "save_strategy": "steps", "learning_rate": 1.0, "focal_gamma": 3.0}
    _, _, method, arguments = options_of_trial(together, {**values, "loss": "focal"}, tmp_path)
    assert (method.focal_gamma, arguments.learning_rate) == (3.0, 1.0)
    assert options_of_trial(together, {**values, "loss": "asymmetric"}, tmp_path)[2].focal_gamma == 2.0


def test_trials_of_other_lengths_compare_by_the_share_that_is_done(
    tmp_path: Path, quick: list[str], lens_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))
    path = tmp_path / "space.yaml"
    path.write_text("per_device_train_batch_size: [16, 32]\nnum_train_epochs: [2, 3]\n")
    assert main(words(path, tmp_path / "study", quick, "--trials", "4", "--sampler", "grid")) == 0
    for trial in study_of(tmp_path / "study").trials:
        steps = trial.intermediate_values
        first = 50 if trial.params["num_train_epochs"] == 2 else 33
        assert list(steps) == list(range(first, 101))
        assert len({steps[step] for step in range(first, 2 * first - 1)}) == 1, "what was known then"


def test_hopeless_trials_are_pruned(
    tmp_path: Path, quick: list[str], lens_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))

    class Strict(optuna.pruners.BasePruner):
        def prune(self, study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> bool:
            return trial.number > 0

    monkeypatch.setattr(optuna.pruners, "MedianPruner", Strict)
    path = tmp_path / "space.yaml"
    path.write_text("learning_rate: [1e-3, 2e-3]\n")
    folder = tmp_path / "study"
    assert main(words(path, folder, quick, "--trials", "2", "--num_train_epochs", "3")) == 0
    assert [trial.state.name for trial in study_of(folder).trials] == ["COMPLETE", "PRUNED"]
    assert len(study_of(folder).trials[1].intermediate_values) == 1, "it stopped after its first evaluation"


def test_two_searches_share_a_study(space: Path, tmp_path: Path, quick: list[str], environment: dict[str, str]) -> None:
    folder = tmp_path / "study"
    command = [sys.executable, "-m", "deeplense_hf.cli", *words(space, folder, quick, "--trials", "2")]
    running = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in running:
        _, error = process.communicate(timeout=240)
        assert process.returncode == 0, error
    trials = study_of(folder).trials
    done = [trial for trial in trials if trial.state.name == "COMPLETE"]
    assert 2 <= len(done) <= 3
    assert len({trial.params["learning_rate"] for trial in done}) == len(done), "none was drawn twice"


def test_values_reach_the_options(tmp_path: Path, quick: list[str]) -> None:
    together = parse_options("train", [*quick, "--model_options", "window_size=4"])
    values = {"learning_rate": 0.5, "loss": "focal", "model_options.depths": [1, 1], "images_per_class": 7}
    options, _, method, arguments = with_values(together, values, tmp_path)
    assert options.model_options == ["window_size=4", "depths=[1, 1]"]
    assert (options.images_per_class, method.loss, arguments.learning_rate) == (7, "focal", 0.5)
    assert arguments.per_device_train_batch_size == 16
    assert arguments.output_dir == str(tmp_path)


def test_spaces_are_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("rate: {low: 1e-4, high: 1, log: true}\ndepth: {low: 1, high: 3}\nkind: [a, b]\n")
    space = read_space(path, ["rate", "depth", "kind"])
    assert space == {"rate": Range(1e-4, 1, True), "depth": Range(1, 3), "kind": Choice(("a", "b"))}
    assert space["depth"].grid("depth") == [1, 2, 3]
    assert Range(0.0, 0.2, step=0.1).grid("x") == pytest.approx([0, 0.1, 0.2])
    with pytest.raises(ValueError, match="sampler='grid' needs a list of values"):
        space["rate"].grid("rate")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat: [1]", "'learning_rat' is no option that can be searched; did you mean learning_rate?"),
        ("output_dir: [a]", "'output_dir' is no option that can be searched"),
        ("learning_rate: 3", "give a list, or low and high"),
        ("learning_rate: {low: 2, high: 1}", "give a list, or low and high"),
        ("learning_rate: {low: 0, high: 1, log: true}", "is above 0 and has no step"),
        ("- learning_rate", "must map option names to values"),
        ("{}", "names no option"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_mistakes_in_a_space_get_one_sentence(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"space\.yaml") as error:
        read_space(path, ["learning_rate", "loss"])
    assert message in str(error.value)
