"""Which share of a simulation falls to this process, where a launcher starts several."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Share:
    """A share of the work: every `count`-th shard from the `rank`-th on.

    Attributes:
        rank: Number of this process.
        count: How many share the work.
    """

    rank: int = 0
    count: int = 1

    @property
    def name(self) -> str:
        """Name for files."""
        return f"{self.rank}-of-{self.count}"

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Choose what falls to this process.

        Args:
            items: All the work.

        Returns:
            This share of it, in the same order.
        """
        return items[self.rank :: self.count]


def share_of_process(environment: Mapping[str, str]) -> Share:
    """Read off the environment which share falls to this process.

    Known are `torchrun` and `accelerate launch` (RANK, WORLD_SIZE), tasks of `srun` (SLURM_PROCID, SLURM_NTASKS) and
    SLURM arrays (SLURM_ARRAY_TASK_ID, ...), whose tasks may themselves be one of the former.

    Args:
        environment: Variables of the process.

    Returns:
        All of the work, if nothing is set.

    Raises:
        ValueError: If the variables contradict each other.

    Source:
        pytorch.org/docs/stable/elastic/run.html; slurm.schedmd.com/job_array.html; slurm.schedmd.com/srun.html.
    """
    task = _array_task(environment)
    if "RANK" in environment and "WORLD_SIZE" in environment:
        inner = _checked(environment, "RANK", "WORLD_SIZE")
    elif "SLURM_PROCID" in environment and "SLURM_NTASKS" in environment:
        # a step may have fewer tasks than the job
        size = "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in environment else "SLURM_NTASKS"
        inner = _checked(environment, "SLURM_PROCID", size)
    else:
        inner = Share()
    return Share(task.rank * inner.count + inner.rank, task.count * inner.count)


def usable_cores(environment: Mapping[str, str]) -> int:
    """Count the cores of this process: its own, where a launcher starts several on a machine.

    Args:
        environment: Variables of the process.

    Returns:
        At least one.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if "SLURM_CPUS_PER_TASK" in environment:
        cores = min(cores, _number(environment, "SLURM_CPUS_PER_TASK"))
    processes = _number(environment, "LOCAL_WORLD_SIZE") if "LOCAL_WORLD_SIZE" in environment else 1
    return max(1, cores // max(1, processes))


def _array_task(environment: Mapping[str, str]) -> Share:
    """Place of this task in a SLURM array of consecutive or evenly spaced numbers."""
    if "SLURM_ARRAY_TASK_ID" not in environment or "SLURM_ARRAY_TASK_COUNT" not in environment:
        return Share()
    count = _number(environment, "SLURM_ARRAY_TASK_COUNT")
    first = _number(environment, "SLURM_ARRAY_TASK_MIN") if "SLURM_ARRAY_TASK_MIN" in environment else 0
    step = _number(environment, "SLURM_ARRAY_TASK_STEP") if "SLURM_ARRAY_TASK_STEP" in environment else 1
    rank, rest = divmod(_number(environment, "SLURM_ARRAY_TASK_ID") - first, max(1, step))
    if rest or not 0 <= rank < count:
        raise ValueError(
            f"SLURM_ARRAY_TASK_ID={environment['SLURM_ARRAY_TASK_ID']} does not lie in an evenly spaced array of "
            f"{count} tasks; use --array=0-N, or give --rank and --num_ranks."
        )
    return Share(rank, count)


def _checked(environment: Mapping[str, str], rank_name: str, size_name: str) -> Share:
    rank, size = _number(environment, rank_name), _number(environment, size_name)
    if not 0 <= rank < size:
        raise ValueError(
            f"{rank_name}={rank} must be 0 or more and below {size_name}={size}; give --rank and --num_ranks instead."
        )
    return Share(rank, size)


def _number(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except ValueError:
        raise ValueError(f"the variable {name}={environment[name]!r} must be a whole number.") from None
