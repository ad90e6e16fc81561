"""Options of every push to the Hub; importing this module costs nothing."""

from dataclasses import dataclass, field


# by keyword, so that a command may have options of its own that must be given
@dataclass(kw_only=True)
class RepositoryOptions:
    """Which repository a command pushes to, and how."""

    repo_id: str = field(metadata={"help": "owner/name on the Hub, for example ml4sci/deeplense"})
    private: bool = field(default=False, metadata={"help": "create the repository as a private one"})
    create_pr: bool = field(default=False, metadata={"help": "open a pull request instead of committing"})
    revision: str = field(default="main", metadata={"help": "branch, created where it is missing"})
    message: str = field(default="Upload with deeplense_hf", metadata={"help": "first line of the commit"})
    dry_run: bool = field(default=False, metadata={"help": "list what would go, push nothing"})

    def __post_init__(self) -> None:
        """Check the name.

        Raises:
            ValueError: If it has no owner, whom the Hub would guess.
        """
        if self.repo_id.count("/") != 1:
            raise ValueError(f"repo_id='{self.repo_id}' is not a name on the Hub; write owner/name.")
