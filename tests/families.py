"""For tests of heads: a tiny checkpoint through the harness, by tree and by padded batches, and its hidden states apart."""

import logging

import torch
import transformers
from conftest import preference_task

ROWS = [
    {"prompt": "What is two and two?", "chosen": "It is four.", "rejected": "It is five, or maybe six; who knows."},
    {"prompt": "What is two and two?", "chosen": "It is four.", "rejected": "It is."},
    {"prompt": "Name a colour.", "chosen": "Red\n\nis one, blue\n\nanother.", "rejected": "A quick brown fox " * 4},
]


def conversations(rows=ROWS):
    """Messages of each response, chosen before rejected."""
    return [
        [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[which]}]
        for row in rows
        for which in ("chosen", "rejected")
    ]


def run(folder, manager, tmp_path, rows=ROWS, **options):
    """The rewards that the harness logs, in the order of `conversations`, and what its results file says of the model."""
    import lm_eval

    found = lm_eval.simple_evaluate(
        model=options.pop("model", "hf-reward"),
        model_args={"pretrained": str(folder), "dtype": "float32", **options},
        tasks=[preference_task(rows, tmp_path)],
        task_manager=manager,
        device="cpu",
        batch_size=3,
        log_samples=True,
        bootstrap_iters=0,
    )
    samples = sorted(found["samples"]["mine"], key=lambda sample: sample["doc_id"])
    rewards = [float(answer[0][0]) for sample in samples for answer in sample["resps"]]
    return rewards, found["config"]["reward"]


def by_tree_and_padded(folder, manager, tmp_path, rows=ROWS, **options):
    """Rewards of a causal family by prefix tree and in padded batches, which it must not fall back to by itself."""
    logging.getLogger("lm_eval").setLevel(logging.INFO)
    by_tree, info = run(folder, manager, tmp_path, rows, scoring="tree", **options)
    padded, other = run(folder, manager, tmp_path, rows, scoring="padded", **options)
    assert (info["scoring"], other["scoring"]) == ("tree", "padded")
    return by_tree, padded, info


def states(folder, sequences, key_mapping=None):
    """The last hidden states of token ids, each alone through transformers' own decoder: [(tokens, hidden size)]."""
    model = transformers.AutoModel.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", key_mapping=key_mapping
    ).eval()
    with torch.no_grad():
        return [model(torch.tensor([list(ids)]), use_cache=False).last_hidden_state[0] for ids in sequences]


def token_ids(folder, messages=None, template=None, one_bos=True):
    """Token ids of conversations by the checkpoint's own tokenizer and template, with one BOS or the tokenizer's too."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    texts = [
        tokenizer.apply_chat_template(one, tokenize=False, chat_template=template)
        for one in messages or conversations()
    ]
    encoded = [tokenizer(text)["input_ids"] for text in texts]
    bos = tokenizer.bos_token_id if one_bos else None
    return [ids[1:] if bos is not None and ids[:2] == [bos, bos] else ids for ids in encoded]
