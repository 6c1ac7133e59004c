"""Options of hf-dpo; on the packaged model, which is no language model, so that all ends before weights are loaded."""

from bad_inputs.case import Area, host, line
from bad_inputs.models import attempt

_NONE = "expected a number above 0"


def _dpo(says: str, **options):
    """A line about these options."""
    return line({"model": "hf-dpo", **options}, says)


_CASES = {
    "a reward model": _dpo("LlamaForSequenceClassification), expected a causal language model"),
    "beta 0": _dpo(f"found beta=0, {_NONE}", beta=0),
    "beta -1": _dpo(f"found beta=-1, {_NONE}", beta=-1),
    "beta of a word": _dpo(f"found beta='high', {_NONE}", beta="high"),
    "beta endless": _dpo(f"found beta=inf, {_NONE}", beta=float("inf")),
    "beta NaN": _dpo(f"found beta=nan, {_NONE}", beta=float("nan")),
    "beta True": _dpo(f"found beta=True, {_NONE}", beta=True),
    "beta null": _dpo(f"found beta=None, {_NONE}", beta=None),
    "ref_free_type misspelt": _dpo("found ref_free_type=mean, expected sum, avg, norm", ref_free_type="mean"),
    "ref_free_type a number": _dpo("found ref_free_type=5, expected sum, avg, norm", ref_free_type=5),
    "ref_free_type a list": _dpo("found ref_free_type=['sum'], expected", ref_free_type=["sum"]),
    "ref_free_type with a reference": _dpo(
        "found ref_free_type=sum beside ref_model=x/y, expected one of them", ref_free_type="sum", ref_model="x/y"
    ),
    "ref_revision without a reference": _dpo("found ref_revision without ref_model", ref_revision="v1"),
    "keep_both without a reference": _dpo("found keep_both without ref_model", keep_both=True),
    "keep_both null": _dpo("found keep_both=None, expected True, False or auto", keep_both=None, ref_model="x/y"),
    "keep_both a word": _dpo("found keep_both='yes', expected True, False or auto", keep_both="yes", ref_model="x/y"),
    "keep_both a number": _dpo("found keep_both=1, expected True, False or auto", keep_both=1, ref_model="x/y"),
    "ref_model a number": _dpo("found ref_model=5, expected a hub name, a folder, or a loaded model", ref_model=5),
    "ref_model a list": _dpo("found ref_model=['x'], expected a hub name", ref_model=["x"]),
    "ref_model the policy": _dpo("found ref_model=demo, which is the policy itself", ref_model="demo"),
    "ref_model a folder that is not there": _dpo("found no folder /no/such/model", ref_model="/no/such/model"),
    "ref_model a hub name": _dpo("found no model 'no/such-model'", ref_model="no/such-model"),
    "ref_model misspelt": _dpo("found ref_modell in --model_args, did you mean ref_model?", ref_modell="x/y"),
    "head": _dpo("found head in --model_args, an option of hf-reward", head="classifier"),
    "pretrained is null": _dpo("found no pretrained=", pretrained=None),
    "pretrained is absent": host(
        {"model": "hf-dpo", "pretrained": ...}, "TypeError: load() missing 1 required positional argument"
    ),
}

AREA = Area("options of hf-dpo", _CASES, attempt)
