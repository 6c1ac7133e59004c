"""The families of reward models that come with this package, registered as any other package's are."""

import importlib

from skywork_rb_plugin.heads.family import Family
from skywork_rb_plugin.heads.hookspecs import hookimpl

# "module:Class" of each, the most special first
FAMILIES = (
    "gates:ArmoRM",
    "gates:QRM",
    "gates:LabelDistributions",
    "gates:Uncertain",
    "lm_head:Nemotron",
    "lm_head:YesNo",
    "process:QwenProcess",
    "process:SkyworkProcess",
    "process:TokenClassifier",
    "process_rows:MathShepherd",
    "process_rows:RLHFlowProcess",
    "process_rows:RLHFlowOutcome",
    "value_heads:Mlp",
    "value_heads:Grm",
    "v_head:VHead",
    "openrlhf:OpenRLHF",
    "starling:Starling",
    "starling:Athene",
    "regression_heads:UltraRM",
    "regression_heads:Eurus",
    "beaver:Beaver",
    "internlm2:InternLM2",
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
