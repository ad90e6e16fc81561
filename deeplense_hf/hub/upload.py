"""From local files to a Hub repository: what is there already, and one commit for the rest."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .refusals import MOVED_ON, one_sentence

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Content = Path | bytes
RepositoryType = Literal["model", "dataset", "space"]
# the Hub writes it, and no folder holds it
_HUB_OWN_FILE = ".gitattributes"
LIBRARY = "deeplense_hf"
"""How requests name themselves."""


@dataclass(frozen=True)
class Upload:
    """What is to lie in a repository.

    Attributes:
        repo_id: `owner/name`.
        repo_type: Kind of repository.
        files: Path in the repository -> local file or content.
        message: First line of the commit.
        revision: Branch; where it is missing it is created, with what is on main.
        private: Whether a new repository is private.
        create_pr: Open a pull request instead of committing to the branch.
        delete_below: Beginnings of paths; what lies below them in the repository and not in `files` is deleted. The
            empty one is that of every path.
        based_on: Commit that `files` were made to follow, if they depend on what lies there.
    """

    repo_id: str
    repo_type: RepositoryType
    files: Mapping[str, Content]
    message: str
    revision: str = "main"
    private: bool = False
    create_pr: bool = False
    delete_below: tuple[str, ...] = ()
    based_on: str | None = None


@dataclass(frozen=True)
class Place:
    """A branch as it is on the Hub now.

    Attributes:
        commit: Its newest commit; that of main where there is no such branch yet.
        has_branch: Whether there is.
        private: Whether the repository is.
    """

    commit: str
    has_branch: bool
    private: bool


@dataclass(frozen=True)
class Difference:
    """How a repository differs from what is to lie in it.

    Attributes:
        place: What was compared with; None if there is no such repository.
        new: Paths that it lacks.
        changed: Paths with other content.
        unchanged: Paths with the same content.
        deleted: Paths in the repository alone that are to go.
        kept: Paths in the repository alone that are to stay.
    """

    place: Place | None
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def is_none(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.new or self.changed or self.deleted)


def look_up(repo_id: str, repo_type: RepositoryType, revision: str, api: "HfApi") -> Place | None:
    """Look up a branch; nothing is written.

    Args:
        repo_id: `owner/name`.
        repo_type: Kind of repository.
        revision: The branch.
        api: Client of the Hub.

    Returns:
        The branch, or what a new one begins with; None if there is no such repository for this token.

    Raises:
        OSError: If the Hub does not answer or refuses.
    """
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    with one_sentence(repo_id):
        try:
            info, has_branch = api.repo_info(repo_id, repo_type=repo_type, revision=revision), True
        except RepositoryNotFoundError:
            # said of what is private and not ours, too; creating it then says so
            return None
        except RevisionNotFoundError:
            info, has_branch = api.repo_info(repo_id, repo_type=repo_type), False
    return Place(str(info.sha), has_branch, bool(info.private))


def compare(upload: Upload, api: "HfApi") -> Difference:
    """Look up what lies in the repository; nothing is written.

    Args:
        upload: What is to lie there.
        api: Client of the Hub.

    Returns:
        The difference, by the hashes that the Hub keeps.

    Raises:
        OSError: If the Hub does not answer or refuses.
        ValueError: If the options do not go with the repository.
    """
    from huggingface_hub import RepoFile

    place = look_up(upload.repo_id, upload.repo_type, upload.revision, api)
    _check_options(upload, place)
    if place is None:
        return Difference(None, new=tuple(upload.files))
    with one_sentence(upload.repo_id):
        tree = api.list_repo_tree(upload.repo_id, recursive=True, revision=place.commit, repo_type=upload.repo_type)
        remote = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
    states: dict[str, list[str]] = {"new": [], "changed": [], "unchanged": []}
    for path, content in upload.files.items():
        entry = remote.get(path)
        if entry is None:
            states["new"].append(path)
        elif entry.lfs is not None:
            states["unchanged" if entry.lfs.sha256 == _sha256(content) else "changed"].append(path)
        else:
            states["unchanged" if entry.blob_id == _git_hash(content) else "changed"].append(path)
    absent = sorted(set(remote) - set(upload.files) - {_HUB_OWN_FILE})
    return Difference(
        place,
        new=tuple(states["new"]),
        changed=tuple(states["changed"]),
        unchanged=tuple(states["unchanged"]),
        deleted=tuple(path for path in absent if path.startswith(upload.delete_below)),
        kept=tuple(path for path in absent if not path.startswith(upload.delete_below)),
    )


def _check_options(upload: Upload, place: Place | None) -> None:
    """Refuse what the Hub would do otherwise than it was meant."""
    if upload.create_pr and not (place.has_branch if place else upload.revision == "main"):
        raise ValueError(
            f"{upload.repo_id} has no branch '{upload.revision}' that a pull request could change; leave --revision "
            "out, or push to that branch first."
        )
    if place is None:
        return
    if upload.private and not place.private:
        raise ValueError(
            f"{upload.repo_id} is public, and --private is for new repositories only; make it private on its settings "
            "page on the Hub, or leave the option out."
        )
    if upload.based_on not in (None, place.commit):
        raise OSError(MOVED_ON.format(repo_id=upload.repo_id))


def push(upload: Upload, api: "HfApi", say: Callable[[str], None] = print) -> str | None:
    """Bring a repository to what is to lie in it, by one commit, creating it where it is missing.

    Files that an interrupted push brought up already are not sent again, and a pull request that is open already is
    not opened again. A commit of somebody else between comparing and committing is never overwritten.

    Args:
        upload: What is to lie there.
        api: Client of the Hub.
        say: Takes lines for the user.

    Returns:
        Address of the commit or pull request; None if there was nothing to do.

    Raises:
        OSError: If the Hub does not answer or refuses, or somebody else pushed meanwhile; what was sent is kept there.
        ValueError: If the options do not go with the repository; nothing is written then.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    difference = _compare_with_made_place(upload, api)
    if difference.is_none:
        say(f"{upload.repo_id}: nothing to push, all {len(upload.files)} files are there as they are here")
        return None
    proposal = open_proposal(upload, api)
    if proposal:
        say(f"{upload.repo_id}: nothing to push, a pull request with these files is open")
        say(proposal)
        return None
    wanted = (*difference.new, *difference.changed)
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationAdd(path, _for_hub(upload.files[path])) for path in wanted
    ]
    operations += [CommitOperationDelete(path) for path in difference.deleted]
    with one_sentence(upload.repo_id):
        commit = api.create_commit(
            upload.repo_id,
            operations,
            commit_message=upload.message,
            repo_type=upload.repo_type,
            revision=upload.revision,
            create_pr=upload.create_pr,
            parent_commit=difference.place.commit if difference.place else None,
        )
    said = f"{upload.repo_id}: {len(wanted)} files pushed, {len(difference.unchanged)} were there"
    say(said + (f", {len(difference.deleted)} deleted" if difference.deleted else ""))
    address = commit.pr_url or commit.commit_url
    say(address)
    return str(address)


def _compare_with_made_place(upload: Upload, api: "HfApi") -> Difference:
    """Make the repository and its branch where they are missing, and return the difference to them."""
    difference = compare(upload, api)
    if difference.place is None:
        with one_sentence(upload.repo_id):
            api.create_repo(upload.repo_id, repo_type=upload.repo_type, private=upload.private, exist_ok=True)
        difference = compare(upload, api)
    if difference.place is not None and not difference.place.has_branch:
        with one_sentence(upload.repo_id):
            api.create_branch(
                upload.repo_id,
                branch=upload.revision,
                revision=difference.place.commit,
                repo_type=upload.repo_type,
                exist_ok=True,
            )
        difference = compare(upload, api)
    return difference


def open_proposal(upload: Upload, api: "HfApi") -> str | None:
    """Look for an open pull request that brings the same files to the same branch; nothing is written.

    Args:
        upload: What is to lie there.
        api: Client of the Hub.

    Returns:
        Its address; None if there is none, or none is asked for.

    Raises:
        OSError: If the Hub does not answer or refuses.
    """
    if not upload.create_pr:
        return None
    with one_sentence(upload.repo_id):
        for found in api.get_repo_discussions(
            upload.repo_id, repo_type=upload.repo_type, discussion_type="pull_request", discussion_status="open"
        ):
            proposed = replace(upload, revision=f"refs/pr/{found.num}", create_pr=False, based_on=None)
            if compare(proposed, api).is_none:
                details = api.get_discussion_details(upload.repo_id, found.num, repo_type=upload.repo_type)
                if (details.target_branch or "").removeprefix("refs/heads/") == upload.revision:
                    return found.url
    return None


def carry_out(upload: Upload, dry_run: bool) -> None:
    """Push, or print what a push would do.

    Args:
        upload: What is to lie in the repository.
        dry_run: Whether nothing is written.

    Raises:
        OSError: As `push` does.
        ValueError: As `push` does.
    """
    from huggingface_hub import HfApi

    api = HfApi(library_name=LIBRARY)
    if not dry_run:
        push(upload, api)
        return
    for line in describe(upload, api):
        print(line)


def describe(upload: Upload, api: "HfApi") -> Iterator[str]:
    """Tell what a push would do; nothing is written.

    Args:
        upload: What is to lie in the repository.
        api: Client of the Hub.

    Yields:
        Lines for the user, one for each file among them.

    Raises:
        ValueError: If the options do not go with the repository.
    """
    try:
        difference, proposal = compare(upload, api), None
        if difference.place is None:
            yield f"{upload.repo_id} would be created{' as a private repository' if upload.private else ''}"
        elif not difference.is_none:
            proposal = open_proposal(upload, api)
        if not (upload.revision == "main" or (difference.place and difference.place.has_branch)):
            yield f"the branch '{upload.revision}' would be created, with what is on main"
        if proposal:
            yield f"a pull request with these files is open already: {proposal}"
    except OSError as error:
        yield f"not compared with the Hub ({error})"
        difference = Difference(None, new=tuple(upload.files))
    for state in ("new", "changed", "unchanged"):
        for path in getattr(difference, state):
            yield f"{state:<9}  {_size(upload.files[path]):>11,} bytes  {path}"
    for state in ("deleted", "kept"):
        for path in getattr(difference, state):
            yield f"{state:<9}  {'':>17}  {path}"
    yield "dry run: nothing was pushed"


def _for_hub(content: Content) -> str | bytes:
    return content if isinstance(content, bytes) else str(content)


def _size(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _chunks(content: Content) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def _sha256(content: Content) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(content):
        digest.update(chunk)
    return digest.hexdigest()


def _git_hash(content: Content) -> str:
    """Return the name that git gives the content."""
    digest = hashlib.sha1(b"blob %d\0" % _size(content), usedforsecurity=False)
    for chunk in _chunks(content):
        digest.update(chunk)
    return digest.hexdigest()
