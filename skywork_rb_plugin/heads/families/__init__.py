"""The families of reward models that come with this package, registered as any other package's are."""

import importlib

from skywork_rb_plugin.heads.family import Family
from skywork_rb_plugin.heads.hookspecs import hookimpl

# "module:Class" of each, the most special first
FAMILIES = (
    "classifier:Classifier",
    "encoders:Encoder",
    "pairwise:PairRM",
    "pairwise:BetterPairRM",
    "pairwise:PairPreference",
    "pairwise:SteamSHP",
)  # fmt: skip


@hookimpl
def reward_families() -> list[type[Family]]:
    """Ours."""
    found = []
    for place in FAMILIES:
        module, _, name = place.partition(":")
        found.append(getattr(importlib.import_module(f"{__name__}.{module}"), name))
    return found
