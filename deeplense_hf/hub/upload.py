"""From local files to a Hub repository: what is there already, and one commit for the rest."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Content = Path | bytes
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
        revision: Branch; it is created where it is missing.
        private: Whether a new repository is private; an existing one stays as it is.
        create_pr: Open a pull request instead of committing to the branch.
        delete_absent: Delete what lies in the repository and not in `files`.
    """

    repo_id: str
    repo_type: Literal["model", "dataset", "space"]
    files: Mapping[str, Content]
    message: str
    revision: str = "main"
    private: bool = False
    create_pr: bool = False
    delete_absent: bool = False


@dataclass(frozen=True)
class Difference:
    """How a repository differs from what is to lie in it.

    Attributes:
        exists: Whether the repository does.
        new: Paths that it lacks.
        changed: Paths with other content.
        unchanged: Paths with the same content.
        absent: Paths in the repository alone.
    """

    exists: bool
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


def compare(upload: Upload, api: "HfApi") -> Difference:
    """Look up what lies in the repository; nothing is written.

    Args:
        upload: What is to lie there.
        api: Client of the Hub.

    Returns:
        The difference, by the hashes that the Hub keeps.

    Raises:
        OSError: If the Hub does not answer or refuses.
    """
    from huggingface_hub import RepoFile
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    with one_sentence(upload.repo_id):
        try:
            tree = api.list_repo_tree(
                upload.repo_id, recursive=True, revision=upload.revision, repo_type=upload.repo_type
            )
            remote = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
        except RepositoryNotFoundError:
            # said of what is private and not ours, too; creating it then says so
            return Difference(exists=False, new=tuple(upload.files))
        except RevisionNotFoundError:
            return Difference(exists=True, new=tuple(upload.files))
    states: dict[str, list[str]] = {"new": [], "changed": [], "unchanged": []}
    for path, content in upload.files.items():
        entry = remote.get(path)
        if entry is None:
            states["new"].append(path)
        elif entry.lfs is not None:
            states["unchanged" if entry.lfs.sha256 == _sha256(content) else "changed"].append(path)
        else:
            states["unchanged" if entry.blob_id == _git_hash(content) else "changed"].append(path)
    absent = tuple(sorted(set(remote) - set(upload.files) - {_HUB_OWN_FILE}))
    return Difference(
        exists=True,
        new=tuple(states["new"]),
        changed=tuple(states["changed"]),
        unchanged=tuple(states["unchanged"]),
        absent=absent,
    )


def push(upload: Upload, api: "HfApi", say: Callable[[str], None] = print) -> str | None:
    """Bring a repository to what is to lie in it, by one commit, creating it where it is missing.

    Files that an interrupted push brought up already are not sent again.

    Args:
        upload: What is to lie there.
        api: Client of the Hub.
        say: Takes lines for the user.

    Returns:
        Address of the commit or pull request; None if there was nothing to do.

    Raises:
        OSError: If the Hub does not answer or refuses; what was sent is kept there.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    difference = compare(upload, api)
    with one_sentence(upload.repo_id):
        if not difference.exists:
            api.create_repo(upload.repo_id, repo_type=upload.repo_type, private=upload.private, exist_ok=True)
            difference = compare(upload, api)
        if upload.revision != "main" and not upload.create_pr:
            api.create_branch(upload.repo_id, branch=upload.revision, repo_type=upload.repo_type, exist_ok=True)
            # a new branch begins with what is on main
            difference = compare(upload, api)
        wanted = (*difference.new, *difference.changed)
        deleted = difference.absent if upload.delete_absent else ()
        if not wanted and not deleted:
            say(f"{upload.repo_id}: nothing to push, all {len(upload.files)} files are there as they are here")
            return None
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(path, _for_hub(upload.files[path])) for path in wanted
        ]
        operations += [CommitOperationDelete(path) for path in deleted]
        commit = api.create_commit(
            upload.repo_id,
            operations,
            commit_message=upload.message,
            repo_type=upload.repo_type,
            revision=upload.revision,
            create_pr=upload.create_pr,
        )
    said = f"{upload.repo_id}: {len(wanted)} files pushed, {len(difference.unchanged)} were there"
    say(said + (f", {len(deleted)} deleted" if deleted else ""))
    address = commit.pr_url or commit.commit_url
    say(address)
    return str(address)


def carry_out(upload: Upload, dry_run: bool) -> None:
    """Push, or print what a push would do.

    Args:
        upload: What is to lie in the repository.
        dry_run: Whether nothing is written.

    Raises:
        OSError: As `push` does.
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
        Lines for the user, a file each.
    """
    try:
        difference = compare(upload, api)
    except OSError as error:
        yield f"not compared with the Hub ({error})"
        difference = Difference(exists=True, new=tuple(upload.files))
    else:
        if not difference.exists:
            yield f"{upload.repo_id} would be created{' as a private repository' if upload.private else ''}"
    for state in ("new", "changed", "unchanged"):
        for path in getattr(difference, state):
            yield f"{state:<9}  {_size(upload.files[path]):>11,} bytes  {path}"
    for path in difference.absent:
        yield f"{'deleted' if upload.delete_absent else 'kept':<9}  {'':>17}  {path}"
    yield "dry run: nothing was pushed"


@contextmanager
def one_sentence(repo_id: str) -> Iterator[None]:
    """Say in one sentence what the Hub refused or that it did not answer; tokens never show.

    Args:
        repo_id: Name of the repository.

    Yields:
        Nothing.

    Raises:
        OSError: In place of what the client raises.
    """
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
    )

    try:
        yield
    except HFValidationError:
        raise OSError(f"repo_id='{repo_id}' is not a name on the Hub; write owner/name.") from None
    except LocalTokenNotFoundError:
        raise OSError(_NO_TOKEN) from None
    except OfflineModeIsEnabled:
        raise OSError("HF_HUB_OFFLINE is set, so the Hub is not asked; unset it to push.") from None
    except HfHubHTTPError as error:
        raise OSError(_refusal(repo_id, error)) from None
    except (HTTPError, ConnectionError, TimeoutError) as error:
        raise OSError(
            f"{repo_id}: the connection to the Hub was lost ({type(error).__name__}); what was sent is kept there, "
            "run the same command again to go on."
        ) from None


_NO_TOKEN = "no token for the Hugging Face Hub; run 'hf auth login' or set HF_TOKEN, with a token that may write."


def _refusal(repo_id: str, error: Exception) -> str:
    """Return what a refusal means."""
    from huggingface_hub import get_token

    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        if get_token() is None:
            return _NO_TOKEN
        return "the Hub does not accept the token; run 'hf auth login' again or set another HF_TOKEN."
    if status == 403:
        return f"{repo_id}: the token may not write there; use one with write access, or a name that is yours."
    if status == 404:
        return f"{repo_id} is not on the Hub, or not for this token."
    if status == 412:
        return f"{repo_id}: somebody else pushed in the meantime; run the same command again."
    server_message = getattr(error, "server_message", None) or type(error).__name__
    return f"{repo_id}: the Hub answered {status} ({' '.join(str(server_message).split())}); try again later."


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
