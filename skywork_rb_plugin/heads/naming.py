"""The name of a checkpoint, for models that nothing else tells from others."""

import re
from pathlib import PurePath

from skywork_rb_plugin.heads.checkpoint import Checkpoint

# a component of the path of a file in the hub's cache
_CACHED = re.compile(r"models--.+?--(.+)")


def own_name(checkpoint: Checkpoint) -> str:
    """The last part of its hub name or path; of a snapshot in the hub's cache, of the name that it has there."""
    path = PurePath(str(checkpoint.name))
    cached = [found[1] for part in path.parts if (found := _CACHED.fullmatch(part))]
    return cached[-1] if cached else path.name
