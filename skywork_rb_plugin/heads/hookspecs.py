"""The hook by which a package brings heads of its own; `docs/heads.md` shows one."""

from collections.abc import Iterable

import pluggy

from skywork_rb_plugin.heads.family import Family

# the group of entry points too
GROUP = "skywork_rb_plugin"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def reward_families() -> Iterable[Family | type[Family]]:
    """The families of reward models that a package reads; each is asked whether it answers to a checkpoint."""
