"""The command `simulate` in parts: several processes and ranks, kills, and going on afterwards."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tqdm import tqdm

from deeplense_hf.cli import main
from deeplense_hf.data import simulation_shards, simulation_workers
from deeplense_hf.data.schema import SPLITS
from deeplense_hf.data.simulation_build import SimulationBuild
from deeplense_hf.data.simulation_ranks import Share, share_of_process, usable_cores
from deeplense_hf.data.staging import Staging
from deeplense_hf.simulation import simulator

Count = Callable[[], int]


def words(folder: Path, *more: str) -> list[str]:
    return ["simulate", "--recipe", "test", "--output_dir", str(folder), *more]


def simulate(folder: Path, *more: str) -> int:
    return main(words(folder, *more))


def unfinished(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.unfinished")


def finished_shards(folder: Path) -> list[Path]:
    data = unfinished(folder) / "dataset" / "data"
    names = [path.name.removesuffix(".json") for path in (unfinished(folder) / "records").glob("*.json")]
    return sorted(data / name for name in names)


def tables(folder: Path) -> dict[str, pa.Table]:
    found = {}
    for split in SPLITS:
        parts = [pq.read_table(path) for path in sorted((folder / "data").glob(f"{split}-*.parquet"))]
        found[split] = pa.concat_tables(parts).combine_chunks()
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kill_in_mid_flight(folder: Path, shards: int, *more: str) -> None:
    """Start the command, kill it once some shards are finished, and see its workers go."""
    process = subprocess.Popen(
        [sys.executable, "-m", "deeplense_hf.cli", *words(folder, *more)], stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(20_000):
            if len(finished_shards(folder)) >= shards:
                break
            assert process.poll() is None
            time.sleep(0.005)
        workers = psutil.Process(process.pid).children()
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert len(workers) == 2
    assert not psutil.wait_procs(workers, timeout=60)[1]


def test_a_killed_run_goes_on_without_a_lost_or_doubled_system(tmp_path: Path) -> None:
    size = ("--images_per_class", "300", "--systems_per_shard", "60", "--no_morphology")
    folder = tmp_path / "set"
    kill_in_mid_flight(folder, 2, *size, "--batch_size", "1", "--num_workers", "2")
    shards = finished_shards(folder)
    assert 2 <= len(shards) < 16
    assert not folder.exists()

    damaged, kept = shards[0], {path.name: path.stat().st_ino for path in shards[1:]}
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    assert simulate(folder, *size, "--num_workers", "1") == 0
    assert {name: (folder / "data" / name).stat().st_ino for name in kept} == kept

    assert simulate(tmp_path / "other" / "set", *size, "--num_workers", "1") == 0
    assert contents(folder) == contents(tmp_path / "other" / "set")
    systems = [name for table in tables(folder).values() for name in table["system_id"].to_pylist()]
    assert len(systems) == len(set(systems)) == 900
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "set"]


def test_an_interruption_ends_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    endless = "print('{{\"systems\": 1}}', flush=True); import time; time.sleep(600)"
    monkeypatch.setattr(simulation_workers, "_PROGRAM", endless)
    before = psutil.Process().children()
    workers = []

    def interrupt(self: tqdm, systems: int) -> None:
        workers.extend(process for process in psutil.Process().children() if process not in before)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(tqdm, "update", interrupt)
    # what a shell starts in the background ignores interruptions
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert simulate(tmp_path / "set", "--images_per_class", "9", "--num_workers", "2") == 130
    finally:
        signal.signal(signal.SIGINT, usual)
    assert "interrupted; finished work is kept" in capsys.readouterr().err
    assert len(set(workers)) == 2
    assert not any(process.is_running() for process in workers)


def test_workers_and_sizes_of_shards_change_nothing(tmp_path: Path) -> None:
    assert simulate(tmp_path / "one", "--images_per_class", "20", "--num_workers", "1") == 0
    more = ("--num_workers", "3", "--systems_per_shard", "13", "--batch_size", "4")
    assert simulate(tmp_path / "three", "--images_per_class", "20", *more) == 0
    assert len(list((tmp_path / "one" / "data").iterdir())) == 3
    assert len(list((tmp_path / "three" / "data").iterdir())) == 6
    one, three = tables(tmp_path / "one"), tables(tmp_path / "three")
    assert all(one[split].equals(three[split]) for split in SPLITS)
    # the same data set, so nothing is to be done
    assert simulate(tmp_path / "one", "--images_per_class", "20", *more) == 0


def test_ranks_share_the_work_at_any_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    size = ("--images_per_class", "40", "--systems_per_shard", "9")
    assert simulate(tmp_path / "alone" / "set", *size) == 0
    folder = tmp_path / "set"
    monkeypatch.setenv("WORLD_SIZE", "2")

    def dies_after(systems: int) -> Callable[..., Any]:
        left = [systems]

        def simulate_batch(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise RuntimeError("the rank dies")
            return simulator_batch(*arguments, **options)

        return simulate_batch

    simulator_batch = simulator.simulate_batch
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(simulator, "simulate_batch", dies_after(7))
    assert simulate(folder, *size) == 1
    assert "error: the computation failed (the rank dies)" in capsys.readouterr().err
    monkeypatch.setattr(simulator, "simulate_batch", simulator_batch)
    assert len(finished_shards(folder)) == 2

    monkeypatch.setenv("RANK", "1")
    capsys.readouterr()
    assert simulate(folder, *size) == 0
    assert "rank 1 of 2 has written its share; 6 shards of other ranks are missing" in capsys.readouterr().out
    assert len(finished_shards(folder)) == 9
    assert not folder.exists()

    monkeypatch.setenv("RANK", "0")
    assert simulate(folder, *size) == 0
    assert "written" in capsys.readouterr().out
    assert contents(folder) == contents(tmp_path / "alone" / "set")
    monkeypatch.setenv("RANK", "1")
    assert simulate(folder, *size) == 0
    assert "already there" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "set"]


def test_concurrent_ranks_publish_once(tmp_path: Path) -> None:
    size = ("--images_per_class", "40", "--systems_per_shard", "9")
    assert simulate(tmp_path / "alone" / "set", *size) == 0
    # a fourth process takes rank 2 once more and waits for its turn
    ranks = ["0", "1", "2", "2"]
    outcomes: list[int] = []
    threads = [
        threading.Thread(
            target=lambda rank=rank: outcomes.append(
                simulate(tmp_path / "set", *size, "--rank", rank, "--num_ranks", "3")
            )
        )
        for rank in ranks
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [0] * 4
    assert contents(tmp_path / "set") == contents(tmp_path / "alone" / "set")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "set"]


def test_an_unfinished_data_set_is_gone_on_with_by_its_own_options_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "set"
    share = ("--rank", "0", "--num_ranks", "2")
    assert simulate(folder, "--images_per_class", "9", "--systems_per_shard", "5", *share) == 0
    before = contents(unfinished(folder))
    for more, difference in (
        (("--images_per_class", "9", "--systems_per_shard", "5", "--seed", "1"), "seed=0 instead of 1"),
        (("--images_per_class", "9", "--systems_per_shard", "4"), "systems_per_shard=5 instead of 4"),
        (("--images_per_class", "8", "--systems_per_shard", "5"), "images_per_class=9 instead of 8"),
    ):
        assert simulate(folder, *more) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert f".set.unfinished holds an unfinished data set with {difference}; go on with that one" in error
    monkeypatch.setattr(SimulationBuild, "_fingerprint", lambda _: "changed")
    assert simulate(folder, "--images_per_class", "9", "--systems_per_shard", "5") == 1
    assert "holds an unfinished data set of another version of the code" in capsys.readouterr().err
    assert contents(unfinished(folder)) == before


def test_what_has_no_finished_shard_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(simulation_shards, "simulate_records", interrupted)
        assert simulate(tmp_path / "set", "--images_per_class", "9") == 130
    assert list(tmp_path.iterdir()) == []
    # as after a kill
    Staging(tmp_path / "set").open({"seed": 1})
    assert simulate(tmp_path / "set", "--images_per_class", "8") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_full_disk_is_one_sentence_and_can_be_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "set"
    write_table, written = pq.ParquetWriter.write_table, []

    def nearly_full(*arguments: Any, **options: Any) -> None:
        written.append(arguments)
        if len(written) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_table(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(pq.ParquetWriter, "write_table", nearly_full)
        assert simulate(folder, "--images_per_class", "9", "--systems_per_shard", "5") == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: No space left on device; make room and run the same command again, the finished shards of "
        f"{folder} are kept"
    )
    assert len(finished_shards(folder)) == 2
    assert not any((unfinished(folder) / "scratch").rglob("*.parquet*"))
    assert simulate(folder, "--images_per_class", "9", "--systems_per_shard", "5") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_worker_that_ends_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(simulation_workers, "_PROGRAM", "raise SystemExit(3)")
    assert simulate(tmp_path / "set", "--images_per_class", "9", "--num_workers", "2") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: a worker process ended with status 3 while it wrote data/")
    assert "run the same command again" in error


@pytest.mark.parametrize(
    ("environment", "share"),
    [
        ({}, Share()),
        ({"RANK": "3", "WORLD_SIZE": "4"}, Share(3, 4)),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, Share(1, 2)),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "2"}, Share(1, 2)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "RANK": "1", "WORLD_SIZE": "2"}, Share(1, 2)),
        ({"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "5"}, Share(2, 4)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "12",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "SLURM_ARRAY_TASK_MIN": "4",
                "SLURM_ARRAY_TASK_STEP": "4",
                "SLURM_PROCID": "1",
                "SLURM_NTASKS": "2",
            },
            Share(5, 8),
        ),
    ],
)
def test_the_launcher_says_the_share(environment: dict[str, str], share: Share) -> None:
    assert share_of_process(environment) == share


def test_shares_are_disjoint_and_complete() -> None:
    items = list(range(23))
    parts = [item for rank in range(5) for item in Share(rank, 5).of(items)]
    assert sorted(parts) == items


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK=2 must be 0 or more and below WORLD_SIZE=2"),
        ({"RANK": "one", "WORLD_SIZE": "2"}, "the variable RANK='one' must be a whole number"),
        ({"SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_COUNT": "3"}, "evenly spaced array of 3 tasks"),
    ],
)
def test_a_contradictory_launcher_is_refused(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        share_of_process(environment)


def test_ranks_of_a_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert usable_cores({}) == 8
    assert usable_cores({"LOCAL_WORLD_SIZE": "3"}) == 2
    assert usable_cores({"LOCAL_WORLD_SIZE": "16"}) == 1
    assert usable_cores({"SLURM_CPUS_PER_TASK": "4"}) == 4
