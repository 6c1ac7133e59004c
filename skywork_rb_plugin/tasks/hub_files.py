"""One file of a dataset repository of the hub: `datasets` refuses a repository with a loading script, but not its files."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import huggingface_hub

# as huggingface_hub's file system reads it; patterns are for `datasets`
_ADDRESS = re.compile(
    r"hf://datasets/(?P<repo>[^/@]+/[^/@]+)(?:@(?P<revision>refs/(?:convert|pr)/\w+|[^/]+))?/(?P<path>[^*?\[\]{}]+)"
)


@dataclass(frozen=True)
class HubFile:
    """A file of a dataset repository.

    Attributes:
        repo: OWNER/NAME.
        path: of the file in the repository.
        revision: a commit, a tag or a branch; None for the newest state.
    """

    repo: str
    path: str
    revision: str | None = None

    def fetch(self) -> tuple[str, str]:
        """The file's place in the cache of `huggingface_hub`, which is asked only for what it lacks, and its commit."""
        file = huggingface_hub.hf_hub_download(self.repo, self.path, repo_type="dataset", revision=self.revision)
        # the cache has a folder for each commit
        return file, Path(file).parents[self.path.count("/")].name

    def is_cached(self) -> bool:
        """Whether an earlier run fetched it; asks no network."""
        found = huggingface_hub.try_to_load_from_cache(
            self.repo, self.path, repo_type="dataset", revision=self.revision
        )
        return isinstance(found, str)


def hub_file(address: object) -> HubFile | None:
    """The file that `hf://datasets/OWNER/NAME@REVISION/PATH` means (`@REVISION` may be absent); None for all else."""
    match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if not match:
        return None
    # `%2F` is the slash of a branch's name
    revision = match["revision"] and unquote(match["revision"])
    return HubFile(match["repo"], match["path"], revision)
