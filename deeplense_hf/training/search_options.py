"""Options of the command `search`; importing this module costs nothing."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class SearchOptions:
    """Which options are searched, how and for how long; every option of `train` is one of `search` too.

    Raises:
        ValueError: If a number lies outside its range.
    """

    search_space: str = field(
        metadata={
            "help": "YAML file: option: [a, b] or {low: 1e-4, high: 1e-2, log: true} or {low: 1, high: 4, step: 1}; "
            "model_options.NAME for one of a new model's configuration"
        }
    )
    study_dir: str = field(default="outputs/search", metadata={"help": "folder of trials, study and report"})
    trials: int = field(default=20, metadata={"help": "trials in all, of every process and of earlier runs"})
    sampler: Literal["tpe", "random", "grid"] = field(
        default="tpe", metadata={"help": "how options are drawn; grid tries every combination once"}
    )
    pruner: Literal["none", "median", "hyperband"] = field(
        default="median", metadata={"help": "which trials are stopped early, by their validation scores so far"}
    )
    storage: str | None = field(
        default=None,
        metadata={"help": "database of the study, shared by processes that search together; a SQLite file when absent"},
    )
    study_name: str = field(default="deeplense", metadata={"help": "name of the study in its database"})
    sampler_seed: int = field(default=0, metadata={"help": "seed of the draws"})
    keep_models: bool = field(default=False, metadata={"help": "keep the models of all trials, not of the best alone"})

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.trials < 1:
            raise ValueError(f"trials={self.trials} must be at least 1.")
        if self.sampler_seed < 0:
            raise ValueError(f"sampler_seed={self.sampler_seed} must not be negative.")
