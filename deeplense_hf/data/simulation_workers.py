"""Processes that write shards, each on one thread; they end with the command that started them, however it ends.

They are programs of their own that are told their work in lines of JSON, and not `multiprocessing`'s: these would run
the script that asked for a data set once more, and would survive it if it were killed.
"""

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import numpy as np

from .simulation_plan import Shard, Systems
from .simulation_shards import Job, write_shard

_PROGRAM = "import sys; sys.path[:] = {path!r}; from deeplense_hf.data.simulation_workers import serve; serve()"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")


def write_shards(job: Job, shards: Sequence[Shard], workers: int, advance: Callable[[int], None]) -> None:
    """Write shards, several at a time.

    Args:
        job: What to simulate.
        shards: The shards; finished ones are checked and left alone.
        workers: Number of processes; with one the calling process does the work.
        advance: Called with the number of systems that were finished since the last call.

    Raises:
        ValueError: If a system cannot be simulated.
        OSError: If the disk refuses, or a process was killed.
    """
    if workers == 1:
        for shard in shards:
            write_shard(job, shard, advance)
        return
    lock = threading.Lock()

    def advance_alone(systems: int) -> None:
        with lock:
            advance(systems)

    waiting = deque(shards)
    with _processes(job, workers) as processes, ThreadPoolExecutor(workers) as threads:
        feeding = [threads.submit(_feed, job, process, waiting, advance_alone) for process in processes]
        try:
            done, _ = wait(feeding, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            # after an error or an interruption nobody begins another shard, and threads that listen hear the end
            waiting.clear()
            for process in processes:
                process.kill()


def serve() -> None:
    """Write the shards that the standard input names, until it ends; what a worker process runs."""
    answers = os.dup(sys.stdout.fileno())
    # whatever a library prints must not be taken for an answer
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def answer(**values: Any) -> None:
        os.write(answers, json.dumps(values).encode() + b"\n")

    job = Job(**json.loads(sys.stdin.readline()))
    _use_one_thread()
    try:
        for line in sys.stdin:
            try:
                write_shard(job, _shard_of(json.loads(line)), lambda systems: answer(systems=systems))
            except BrokenPipeError:
                raise
            except OSError as error:
                answer(error=str(error.strerror or error), number=error.errno, file=error.filename)
            except (ValueError, ImportError) as error:
                answer(error=str(error))
            else:
                answer(done=True)
    except BrokenPipeError:
        # the command has ended
        return


def _use_one_thread() -> None:
    import pyarrow as pa
    import torch

    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


@contextmanager
def _processes(job: Job, workers: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Start processes, and see that they are gone afterwards."""
    program = _PROGRAM.format(path=sys.path)
    processes: list[subprocess.Popen[str]] = []
    try:
        for _ in range(workers):
            process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **_ONE_THREAD},
                # Ctrl-C is for the command, which ends them
                start_new_session=True,
            )
            processes.append(process)
        yield processes
    finally:
        for process in processes:
            process.kill()
            for stream in (process.stdin, process.stdout):
                if stream:
                    with suppress(BrokenPipeError):
                        stream.close()
            process.wait()


def _feed(job: Job, process: subprocess.Popen[str], waiting: deque[Shard], advance: Callable[[int], None]) -> None:
    """Hand shards to a process one after another, and pass on what it says."""
    _tell(process, asdict(job))
    while waiting:
        try:
            shard = waiting.popleft()
        except IndexError:
            # another thread took the last one
            return
        systems = {"labels": shard.systems.labels.tolist(), "indices": shard.systems.indices.tolist()}
        _tell(process, {"name": shard.name, "split": shard.split, **systems})
        _listen(process, shard.name, advance)


def _tell(process: subprocess.Popen[str], message: dict[str, Any]) -> None:
    """Send a line; a process that has ended is noticed on listening."""
    with suppress(BrokenPipeError):
        print(json.dumps(message), file=process.stdin, flush=True)


def _listen(process: subprocess.Popen[str], shard: str, advance: Callable[[int], None]) -> None:
    """Pass on what a process says until a shard is finished."""
    for line in process.stdout or ():
        answer = json.loads(line)
        if "systems" in answer:
            advance(answer["systems"])
        elif "done" in answer:
            return
        elif "number" in answer:
            raise OSError(answer["number"], answer["error"], answer["file"])
        else:
            raise ValueError(answer["error"])
    status = process.wait()
    how = f"by signal {-status}, perhaps for want of memory" if status < 0 else f"with status {status}"
    raise ChildProcessError(
        f"a worker process ended {how} while it wrote {shard}; finished shards are kept, run the same command again, "
        "perhaps with a smaller --num_workers or --batch_size."
    )


def _shard_of(message: dict[str, Any]) -> Shard:
    systems = Systems(np.array(message["labels"], dtype=np.int16), np.array(message["indices"], dtype=np.int64))
    return Shard(message["name"], message["split"], systems)
