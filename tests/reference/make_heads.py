"""Score tiny checkpoints with the classes that published reward models use, for tests of our heads to compare with.

    python make_heads.py SOURCES

SOURCES holds what the classes are imported from, none of which is copied here: the folders that ORIGINS names.
Run it in a venv of its own: pip install torch==2.13.0 transformers==4.51.3 accelerate peft pytest

Writes heads.json beside this file:

    versions   {package: version}, {folder: where it is from}
    sequences  {name: [[token ids]]}: `plain` begin with no BOS and have no pad token inside, some begin alike; `chat` are
               Llama-3 conversations, some of two turns; `pad-inside` have the pad token in the middle
    cases      {name: what is below}

A case has `source` (repository, file, class), `decoder` (arguments of tiny_checkpoints.decoder), `head` and `files`
(the tensors beside the backbone, and those in files of their own, by shape), `sequences` (a name from above), `load`
(arguments of the reference's loader beside the folder), and `rewards`, one for each sequence, to 7 digits.
`tiny_checkpoints.rebuild(folder, case)` makes the checkpoint. Everything ran in float32 with eager attention, in one
batch padded on the right with config.pad_token_id; one by one gave the same to 1e-5 (only so for `pad-inside`).
"""

import importlib.util
import json
import pathlib
import random
import sys
import tempfile
import types
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from tiny_checkpoints import arrays, decoder, rebuild  # noqa: E402

ORIGINS = {
    "reward-bench": "github.com/allenai/reward-bench at 05a9005efb607249822c193590c8ecab87c77052",
    "OpenRLHF": "github.com/OpenRLHF/OpenRLHF at 3c3be6234e0cb353e76bb8019947db9dfe99fca7",
    "ArmoRM-Llama3-8B-v0.1": "modeling_custom.py of RLHFlow/ArmoRM-Llama3-8B-v0.1",
}
EAGER = {"attn_implementation": "eager", "torch_dtype": torch.float32}
# Llama-3's ids, which gates look for
HEADER, ASSISTANT, END_HEADER, NEWLINES, END, USER, BOS = 128006, 78191, 128007, 271, 128009, 882, 128000


def sequences() -> dict[str, list[list[int]]]:
    """Token ids by name; see above."""
    pick = random.Random(11)

    def some(low, high, top=320):
        return [pick.randrange(6, top) for _ in range(pick.randint(low, high))]

    def turn(role):
        return [HEADER, role, END_HEADER, NEWLINES, *some(3, 12, 100000), END]

    prompts = [some(2, 12) for _ in range(3)]
    plain = [[*prompts[i % 3], *some(1, 20), *([1] if i % 2 else [])] for i in range(8)]
    chats = [[BOS, *turn(USER)] for _ in range(3)]
    chats[2] += [*turn(ASSISTANT), *turn(USER)]
    chat = [[*chats[i % 3], *turn(ASSISTANT)] for i in range(8)]
    return {"plain": plain, "chat": chat, "pad-inside": [[*p, 2, *some(2, 6)] for p in prompts]}


def cases() -> dict[str, dict]:
    """What to score, without heads' shapes: those are read off the class."""
    inform = "reward-bench rewardbench/models/inform.py INFORMForSequenceClassification"
    grm = "reward-bench rewardbench/models/grm.py GRewardModel"
    openrlhf = "OpenRLHF openrlhf/models/model.py get_llm_for_sequence_regression"
    beaver = "reward-bench rewardbench/models/beaver.py LlamaForScore"
    armo = "ArmoRM-Llama3-8B-v0.1 modeling_custom.py LlamaForRewardModelWithGating"
    normalized = {"do_normalize": True, "normalizer_type": "RunningMeanStd", "mean": [0.3], "var": [2.5]}
    gates = {"gating_temperature": 0.5, "gating_hidden_dim": 16, "gating_n_hidden": 2}
    large = {"model_type": "llama", "vocab_size": 128256, "hidden_size": 16, "head_dim": 4}
    qrm = "reward-bench rewardbench/models/qrm.py LlamaForRewardModelWithGating"

    def case(source, sequences="plain", load=None, without=None, **arguments):
        arguments.setdefault("architectures", [source.split()[-1]])
        found = {"source": source, "decoder": {"model_type": "llama", **arguments}, "sequences": sequences}
        optional = {"load": load, "without": without}
        return {**found, **{key: value for key, value in optional.items() if value}}

    return {
        "inform": case(inform),
        "inform-pad-inside": case(inform, "pad-inside"),
        "grm-linear": case(grm, lm_head=True, vhead_layer_type="linear", architectures=["LlamaForCausalLM"]),
        "grm-mlp": case(
            grm,
            model_type="gemma2",
            vhead_layer_type="mlp",
            vhead_num_neurons=24,
            vhead_num_layers=2,
            architectures=["Gemma2ForCausalLM"],
        ),
        "openrlhf": case(openrlhf, architectures=["RewardModel"], mean=0.4, std=1.7),
        "openrlhf-normalized": case(
            openrlhf,
            load={"normalize_reward": True},
            model_type="qwen2",
            value_head_prefix="value_head",
            architectures=["RewardModel"],
            mean=0.4,
            std=1.7,
        ),
        "beaver-reward": case(beaver, score_type="reward", bias=False),
        "beaver-reward-normalized": case(beaver, score_type="reward", bias=True, **normalized),
        # mean and var are in config.json alone
        "beaver-reward-config": case(beaver, without="normalizer.", score_type="reward", bias=False, **normalized),
        # nobody names a kind of normalizer or of score, and it normalizes as a reward
        "beaver-unnamed": case(beaver, do_normalize=True),
        "beaver-cost": case(beaver, score_type="cost", bias=False, **normalized),
        # as BeaverCostPipeline gives it: negated
        "beaver-cost-pipeline": case(
            "reward-bench rewardbench/models/beaver.py BeaverCostPipeline",
            score_type="cost",
            bias=True,
            architectures=["LlamaForScore"],
        ),
        # the class only runs with as many quantiles as objectives; the reward does not need that
        "qrm-3": case(qrm + "3", "chat", **large, **gates, num_objectives=5, num_quantiles=5),
        "qrm-3.1": case(qrm + "31", "chat", **large, **gates, num_objectives=19, num_quantiles=19),
        "armorm": case(armo, "chat", **large, **gates, num_objectives=6),
        "starling": case(
            "reward-bench rewardbench/models/starling.py LlamaForSequenceClassification",
            prefix="transformer.",
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        ),
        "ultrarm": case("reward-bench rewardbench/models/openbmb.py LlamaRewardModel"),
        "ldl": case("reward-bench rewardbench/models/ldlreward.py LDLRewardModel27B", model_type="gemma2", prefix=""),
    }


def module(file: pathlib.Path) -> types.ModuleType:
    """A module from its file, without its package: that would import every model there is."""
    spec = importlib.util.spec_from_file_location(f"reference_{file.stem}", file)
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def openrlhf(folder: pathlib.Path) -> types.ModuleType:
    """Its model.py, with stand-ins for GPU packages that scoring does not use, and float32 where it has none."""
    import peft  # noqa: F401  both look for deepspeed when they are imported
    import transformers.integrations.deepspeed  # noqa: F401

    for name in ("openrlhf", "openrlhf.models", "openrlhf.utils"):
        # a package that runs no __init__
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(folder / name.replace(".", "/"))]
    absent = ("deepspeed", "flash_attn", "flash_attn.bert_padding", "flash_attn.utils", "flash_attn.utils.distributed")
    with mock.patch.dict(sys.modules, {name: mock.MagicMock() for name in absent}):
        from openrlhf.models import model, utils  # noqa: F401
        from openrlhf.utils import utils as settings
    settings.convert_to_torch_dtype = lambda name: torch.float32
    sys.modules.update({"openrlhf.utils.utils": settings})
    return model


def loaders(sources: pathlib.Path) -> dict:
    """{class or function name: (how to load it from a folder, how to score a batch)}."""
    bench = {
        name: module(sources / f"reward-bench/rewardbench/models/{name}.py")
        for name in ("inform", "grm", "beaver", "qrm", "starling", "openbmb", "ldlreward")
    }
    armo = module(sources / "ArmoRM-Llama3-8B-v0.1" / "modeling_custom.py")
    regression = openrlhf(sources / "OpenRLHF").get_llm_for_sequence_regression
    original = transformers.PreTrainedModel.from_pretrained.__func__

    def plain(cls):
        return lambda folder: original(cls, folder, **EAGER)

    def qrm(cls):
        """Its own from_pretrained only asks for flash attention; one matrix is bfloat16 whatever is asked for."""

        def load(folder):
            model = original(cls, folder, **EAGER).float()
            model.load_state_dict(load_file(f"{folder}/model.safetensors"), strict=False)
            return model

        return load

    def ldl(folder):
        """As its from_pretrained does, which asks for bfloat16, flash attention and layers of 4096."""
        bench["ldlreward"].MultiOutputNN.__init__.__defaults__ = ([24, 24],)
        defaults = bench["ldlreward"].GatingNN.__init__.__defaults__
        bench["ldlreward"].GatingNN.__init__.__defaults__ = (24, *defaults[1:])
        model = original(bench["ldlreward"].LDLRewardModel27B, folder, **EAGER)
        for name in ("regression_layer", "gating_layer"):
            file = pathlib.Path(folder) / f"{name}.pt"
            if file.exists():
                getattr(model, name).load_state_dict(torch.load(file))
        return model

    def cost(model, **inputs):
        class Tokens(dict):
            def to(self, device):
                return self

        return bench["beaver"].BeaverCostPipeline(None, model, lambda texts, **kwargs: Tokens(inputs))([])

    def output(key):
        return lambda model, **inputs: model(**inputs)[key]

    def whole(model, **inputs):
        return model(**inputs)

    return {
        "INFORMForSequenceClassification": (plain(bench["inform"].INFORMForSequenceClassification), output("logits")),
        "GRewardModel": (plain(bench["grm"].GRewardModel), whole),
        "get_llm_for_sequence_regression": (
            lambda folder, **load: regression(folder, "reward", attn_implementation="eager", **load),
            whole,
        ),
        "LlamaForScore": (plain(bench["beaver"].LlamaForScore), output("end_scores")),
        "BeaverCostPipeline": (plain(bench["beaver"].LlamaForScore), cost),
        "LlamaForRewardModelWithGating3": (qrm(bench["qrm"].LlamaForRewardModelWithGating3), output("score")),
        "LlamaForRewardModelWithGating31": (qrm(bench["qrm"].LlamaForRewardModelWithGating31), output("score")),
        "LlamaForRewardModelWithGating": (plain(armo.LlamaForRewardModelWithGating), output("score")),
        "LlamaForSequenceClassification": (
            plain(bench["starling"].LlamaForSequenceClassification),
            output("scores"),
        ),
        "LlamaRewardModel": (plain(bench["openbmb"].LlamaRewardModel), whole),
        "LDLRewardModel27B": (ldl, output("score")),
    }


def expected(case: dict) -> dict:
    """{name in the class's state_dict: the array that the checkpoint has for it}."""
    found = decoder(**case["decoder"])[1]
    if case["decoder"].get("prefix") == "":
        found = {"model." + name: array for name, array in found.items()}
    for file, specs in case.get("files", {}).items():
        found.update({f"{pathlib.Path(file).stem}.{name}": array for name, array in arrays(specs).items()})
    return {**found, **arrays(case.get("head", {}))}


def add_head(case: dict, model: torch.nn.Module) -> None:
    """Write down the shapes of what the class has beside the backbone, and where its checkpoint keeps them."""
    backbone, without = expected(case), case.pop("without", None)
    for name, tensor in model.state_dict().items():
        if name in backbone or (without and name.startswith(without)):
            continue
        spec = {"shape": list(tensor.shape)}
        if not tensor.is_floating_point():
            spec["dtype"] = str(tensor.dtype).removeprefix("torch.")
        elif name.endswith(("var", "logit_scale")):
            spec["around"] = 1
        elif name.startswith("gating.") and tensor.ndim == 2:
            # with 0.2 the gates hardly move with what they read
            spec["scale"] = 0.8
        if case["source"].endswith("LDLRewardModel27B"):
            file, name = name.split(".", 1)
            case.setdefault("files", {}).setdefault(f"{file}.pt", {})[name] = spec
        else:
            case.setdefault("head", {})[name] = spec


@torch.no_grad()
def score(case: dict, sequences: list[list[int]], load, run) -> list[float]:
    """Rewards of a case; fills in the case's head."""
    with tempfile.TemporaryDirectory() as folder:
        add_head(case, load(rebuild(folder, case), **case.get("load", {})))
    with tempfile.TemporaryDirectory() as folder:
        model = load(rebuild(folder, case), **case.get("load", {})).eval()
    assert all(part.config._attn_implementation == "eager" for part in model.modules() if hasattr(part, "config"))
    assert all(tensor.dtype == torch.float32 for tensor in model.parameters())
    state, saved = model.state_dict(), expected(case)
    assert all(torch.equal(state[name], torch.from_numpy(saved[name])) for name in state.keys() & saved.keys())
    assert state.keys() - saved.keys() <= {"normalizer.mean", "normalizer.var", "normalizer.count"}

    def rewards(batch):
        longest = max(map(len, batch))
        ids = torch.full((len(batch), longest), case["decoder"].get("pad_token_id", 2))
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)], mask[row, : len(tokens)] = torch.tensor(tokens), 1
        return run(model, input_ids=ids, attention_mask=mask).flatten()

    single = torch.cat([rewards([tokens]) for tokens in sequences])
    if case["sequences"] != "pad-inside":
        batched = rewards(sequences)
        torch.testing.assert_close(batched, single, rtol=1e-5, atol=1e-5)
        single = batched
    return [float(f"{reward:.7g}") for reward in single.tolist()]


if __name__ == "__main__":
    sources = pathlib.Path(sys.argv[1]).resolve()
    known, ids, found = loaders(sources), sequences(), cases()
    for case in found.values():
        load, run = known[case["source"].split()[-1]]
        case["rewards"] = score(case, ids[case["sequences"]], load, run)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, **ORIGINS}
    lines = [f'"{name}": {json.dumps(case)}' for name, case in found.items()]
    text = f'{{"versions": {json.dumps(versions)},\n"sequences": {json.dumps(ids)},\n"cases": {{\n'
    (HERE / "heads.json").write_text(text + ",\n".join(lines) + "\n}}\n", encoding="utf-8")
