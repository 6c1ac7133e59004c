"""Score pairs with reward-bench's DPOInference on tiny policies and references, for tests of DPO rewards to compare with.

    python make_dpo.py REWARD_BENCH TOKENIZERS ROWS

REWARD_BENCH is a checkout of ORIGIN (imported from there, not copied here), TOKENIZERS has the folders `llama-3.1` and
`qwen-3` with the families' own tokenizers and chat templates, ROWS is RewardBench's split `filtered` as JSONL. Run it in
a venv of its own: pip install torch==2.13.0 transformers==4.51.3 trl==0.14.0 datasets pandas pytest

What the reference does to a row, in this order:

1. `prepare_dialogue_from_tokenizer`: the prompt is rendered with the chat template and *without* a generation prompt;
   prompt and response are rendered together. Both are text. Roles of a prompt of several turns go by position.
2. `tokenize_row`: the rendered prompt is cut out of the rendered whole (`str.replace`), so that what is scored begins
   with the assistant's header and ends with the template's end of turn and what follows it.
3. Prompt and whole are tokenized without special tokens; if the last prompt token merges with the response, the
   response begins one token earlier. One BOS is put before the prompt whatever the template wrote (two with Llama's),
   one EOS after the response (two with Llama's). Without a BOS (Qwen) the EOS stands in its place.
4. Above 2048 tokens, counted with the longer response, the prompt keeps its last 128 tokens (without BOS); if that
   is not enough, the response its first 1920. No row here is so long.
5. Chosen and rejected go through the model in one batch, padded on the right with EOS. A response's log-probabilities
   are summed; with a reference, the reference's sum is subtracted and beta does not occur. Without: `norm` is minus the
   Euclidean norm of the tokens' log-probabilities (DPOInference's default), `avg` their mean (run_dpo.py's), `sum`.

Writes dpo.json beside this file, and in it no text of RewardBench:

    versions  {package: version}, `reward-bench`: where it is from
    pairs     [{"prompt": text or messages, "chosen": text, "rejected": text}], of our own wording
    cases     {name: {
        decoder    arguments of tiny_checkpoints.decoder, with `seeds` for policy and reference
        tokenizer  `conftest.make_tokenizer`, or the folder in TOKENIZERS
        rows       `pairs`, or [[subset, id]] of RewardBench
        tokens     {"prompt" | "chosen" | "rejected": [number of tokens]}, BOS and EOS included
        rewards    {"reference" | "norm" | "avg" | "sum": {"chosen" | "rejected": [reward]}}, to 7 digits
    }}

Everything ran in float32 with eager attention, in batches of BATCH pairs.
"""

import json
import pathlib
import sys
import tempfile
import types

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import torch  # noqa: E402
import transformers  # noqa: E402
import trl  # noqa: E402
from conftest import make_tokenizer  # noqa: E402
from tiny_checkpoints import decoder, write  # noqa: E402
from trl.trainer.utils import DPODataCollatorWithPadding  # noqa: E402

ORIGIN = "github.com/allenai/reward-bench at 05a9005efb607249822c193590c8ecab87c77052"
BATCH = 2
SEEDS = {"policy": 0, "reference": 1}
SMALL = {"hidden_size": 16, "head_dim": 4, "lm_head": True, "max_position_embeddings": 4096}
TURNS = [
    {"role": "user", "content": "Name a river in France."},
    {"role": "assistant", "content": "The Loire."},
    {"role": "user", "content": "And one in Spain?"},
]
PAIRS = [
    ("How do I boil an egg?", "Put it in boiling water for eight minutes, then cool it.", "Eggs are boiled."),
    ("What is 17 + 25?", "42", "17 + 25 = 43, since 7 + 5 = 13."),
    ("Translate 'good evening' into Italian.", "Buonasera!", "Buongiorno, which is said in the morning."),
    (
        "Write a haiku about rain.",
        "Grey drops on the roof,\nthe garden drinks in silence,\nsnails begin to walk.",
        "It rains and rains.",
    ),
    ("Why is the sky blue?", "Air scatters blue light more than red.", "Air scatters blue light less than red."),
    (
        "Write a Python function that doubles a number.",
        "def double(x):\n    return 2 * x",
        "def double(x):\n    return x",
    ),
    (TURNS, "The Ebro.", "The Loire, again."),
    (
        [*TURNS, {"role": "assistant", "content": "The Ebro."}, {"role": "user", "content": "Longer?"}],
        "Yes: 930 km.",
        "No.",
    ),
    ("Say nothing but the word yes.", "yes", "Yes, of course! Here it is: yes."),
    ("¿Cómo se dice «snow»?", "Se dice «nieve» ❄.", "No sé."),
    ("  Mind   the spaces.  ", " Minded. ", "Minded."),
    ("List three fruits.", "1. apple\n2. pear\n3. plum\n", "apple, pear, potato"),
]
ROWS = [
    ("alpacaeval-easy", 371),
    ("alpacaeval-length", 2271),
    ("mt-bench-easy", 2419),
    ("llmbar-natural", 2600),
    ("llmbar-adver-neighbor", 2730),
    ("refusals-dangerous", 3025),
    ("xstest-should-respond", 3494),
    ("xstest-should-refuse", 3177),
    ("donotanswer", 3589),
    ("hep-python", 3745),
    ("hep-java", 4641),
    ("math-prm", 5058),
]


def reference(folder: pathlib.Path) -> tuple:
    """DPOInference and prepare_dialogue_from_tokenizer, without the package's list of every model there is."""
    package, models = types.ModuleType("rewardbench"), types.ModuleType("rewardbench.models")
    package.__path__, models.REWARD_MODEL_CONFIG = [str(folder / "rewardbench")], {}
    sys.modules.update({"rewardbench": package, "rewardbench.models": models})
    from rewardbench.dpo import DPOInference
    from rewardbench.utils import prepare_dialogue_from_tokenizer

    return DPOInference, prepare_dialogue_from_tokenizer


@torch.no_grad()
def score(rows: list[dict], tokenizer, arguments: dict, inference, prepare) -> dict:
    """Token counts and rewards of rows."""
    models = {}
    for name, seed in SEEDS.items():
        with tempfile.TemporaryDirectory() as folder:
            write(folder, *decoder(seed=seed, **arguments), tokenizer=tokenizer)
            models[name] = transformers.AutoModelForCausalLM.from_pretrained(
                folder, attn_implementation="eager", torch_dtype=torch.float32
            )
    # as scripts/run_dpo.py does
    tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.bos_token is None:
        tokenizer.bos_token_id = tokenizer.eos_token_id
        tokenizer.pad_token_id = tokenizer.eos_token_id
    device = types.SimpleNamespace(device="cpu")
    rows = [prepare(dict(row), tokenizer) for row in rows]
    found = {}
    for name in ("reference", "norm", "avg", "sum"):
        free = name != "reference"
        dpo = inference(
            models["policy"],
            None if free else models["reference"],
            tokenizer,
            device,
            **({"ref_free_norm": name} if free else {}),
        )
        tokenized = [dpo.tokenize_row(row) for row in rows]
        collate = DPODataCollatorWithPadding(tokenizer.pad_token_id, dpo.label_pad_token_id, dpo.is_encoder_decoder)
        batches = torch.utils.data.DataLoader(tokenized, batch_size=BATCH, collate_fn=collate)
        steps = [dpo.inference_step(batch, ref_free=free) for batch in batches]
        found[name] = {
            side: [float(f"{reward:.7g}") for step in steps for reward in step[i].tolist()]
            for i, side in enumerate(("chosen", "rejected"))
        }
    labels = {
        side: [sum(i != -100 for i in row[f"{side}_labels"]) for row in tokenized] for side in ("chosen", "rejected")
    }
    prompts = [len(row["chosen_labels"]) - count for row, count in zip(tokenized, labels["chosen"], strict=True)]
    assert max(len(row[f"{side}_labels"]) for row in tokenized for side in labels) < dpo.max_length
    return {"tokens": {"prompt": prompts, **labels}, "rewards": found}


def main(bench: str, tokenizers: str, rows: str) -> None:
    """Score both sets of rows and write dpo.json."""
    parts = reference(pathlib.Path(bench).resolve())
    pairs = [dict(zip(("prompt", "chosen", "rejected"), pair, strict=True)) for pair in PAIRS]
    lines = map(json.loads, pathlib.Path(rows).read_text(encoding="utf-8").splitlines())
    known = {(row["subset"], row["id"]): {key: row[key] for key in pairs[0]} for row in lines}
    official = [known[row] for row in ROWS]
    cases = {}
    for name, tokenizer, decoder_arguments in (
        ("tiny", None, {"model_type": "llama", "lm_head": True}),
        ("llama-3.1", "llama-3.1", {"model_type": "llama", "vocab_size": 128256, **SMALL}),
        ("qwen-3", "qwen-3", {"model_type": "qwen3", "vocab_size": 151936, **SMALL}),
    ):
        for rows_name, texts, said in (("pairs", pairs, "pairs"), ("rewardbench", official, ROWS)):
            if tokenizer is None and rows_name == "rewardbench":
                continue
            load = transformers.AutoTokenizer.from_pretrained
            own = load(f"{tokenizers}/{tokenizer}") if tokenizer else make_tokenizer()
            cases[f"{name} {rows_name}"] = {
                "decoder": decoder_arguments,
                "seeds": SEEDS,
                "tokenizer": tokenizer or "conftest.make_tokenizer",
                "rows": said,
                **score(texts, own, decoder_arguments, *parts),
            }
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__}
    text = f'{{"versions": {json.dumps({**versions, "reward-bench": ORIGIN})},\n"pairs": [\n'
    text += ",\n".join(json.dumps(pair, ensure_ascii=False) for pair in pairs) + '],\n"cases": {\n'
    text += ",\n".join(f'"{name}": {json.dumps(case)}' for name, case in cases.items())
    (HERE / "dpo.json").write_text(text + "\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
