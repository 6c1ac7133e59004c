"""The name of a checkpoint, for models that nothing else tells from others."""

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skywork_rb_plugin.heads.checkpoint import Checkpoint

# a component of the path of a file in the hub's cache
_CACHED = re.compile(r"models--(.+?)--(.+)")


def hub_name(path: str) -> str:
    """`owner/name`, of a hub name, of a folder that ends in one, or of a snapshot in the hub's cache."""
    parts = PurePath(path).parts
    cached = [found.groups() for part in parts if (found := _CACHED.fullmatch(part))]
    return "/".join(cached[-1] if cached else parts[-2:])


def own_name(checkpoint: "Checkpoint") -> str:
    """What comes after the owner."""
    return hub_name(str(checkpoint.name)).rpartition("/")[2]
