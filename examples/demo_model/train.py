"""Train the demo reward model from scratch: ``python examples/demo_model/train.py OUT``, from a checkout."""

import argparse
import json
import math
import re
import time
from collections import Counter
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch.nn.functional import cross_entropy, logsigmoid
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast

from pairs import Pair, make_pairs

HELD_OUT = Path(__file__).resolve().parents[2] / "task_configs" / "preference_demo" / "pairs.jsonl"

PAD, BOS, END = "<|pad|>", "<|bos|>", "<|end|>"
ROLES = ["<|system|>", "<|user|>", "<|assistant|>"]
CHAT_TEMPLATE = """{{- bos_token }}
{%- for message in messages %}
{{- '<|' + message['role'] + '|>\\n' + message['content'] | trim + '<|end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|assistant|>\\n' }}
{%- endif %}
"""

SEED = 20
PAIRS = 100_000
BATCH = 32
PEAK_RATE = 2e-3
# A next-token loss beside the preference loss keeps the hidden states useful and speeds up learning a lot.
LANGUAGE_WEIGHT = 1.0
VOCABULARY = 1200
MAX_TOKENS = 1024


def load_held_out(path: Path = HELD_OUT) -> list[Pair]:
    """Read the hand-written pairs that the model is judged on."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Pair(row["subset"], "held-out", row["prompt"], row["chosen"], row["rejected"]) for row in rows]


def find_leaks(training: list[Pair], held_out: list[Pair]) -> list[str]:
    """Return the held-out texts found, as whole words and in any case, anywhere in the training texts."""

    def plain(text: str) -> str:
        return " ".join(text.lower().split())

    seen = "\n".join(plain(text) for pair in training for text in pair[2:])
    texts = [plain(text).rstrip(".!?") for pair in held_out for text in pair[2:]]
    found = [text for text in texts if text in seen]
    return [text for text in found if re.search(rf"(?<!\w){re.escape(text)}(?!\w)", seen)]


def tokenizer_texts(training: list[Pair]) -> list[str]:
    """Return the texts that the tokenizer is trained on: those of the first pairs are enough."""
    return [text for pair in training[:20_000] for text in pair[2:]]


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with single digits, one BOS by default and the chat template."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BOS, END, *ROLES],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    core.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, core.token_to_id(BOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        chat_template=CHAT_TEMPLATE,
        model_max_length=MAX_TOKENS,
        padding_side="right",
        model_input_names=["input_ids", "attention_mask"],
    )


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForSequenceClassification:
    """Return an untrained model of about 0.8 million parameters with one score per conversation."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=MAX_TOKENS,
        initializer_range=0.06,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForSequenceClassification(config)


def encode(tokenizer: PreTrainedTokenizerFast, pairs: list[Pair]) -> list[list[torch.Tensor]]:
    """Return the token ids, each of shape (tokens,), of the chosen and the rejected conversation of every pair."""

    def render(prompt: str, answer: str) -> str:
        messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        return tokenizer.apply_chat_template(messages, tokenize=False)

    texts = [render(pair.prompt, answer) for pair in pairs for answer in (pair.chosen, pair.rejected)]
    # The template already wrote the BOS token.
    ids = [torch.tensor(row) for row in tokenizer(texts, add_special_tokens=False)["input_ids"]]
    return [ids[at : at + 2] for at in range(0, len(ids), 2)]


def losses(
    model: LlamaForSequenceClassification, encoded: list[list[torch.Tensor]], assistant: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the Bradley-Terry loss and the next-token loss of the chosen answers, both scalars in nats."""
    rows = [chosen for chosen, _ in encoded] + [rejected for _, rejected in encoded]
    pad = model.config.pad_token_id
    batch = pad_sequence(rows, batch_first=True, padding_value=pad)
    # Padding is on the right and attention looks left only, so no mask is needed.
    states = model.model(input_ids=batch, use_cache=False).last_hidden_state
    pooled = states[torch.arange(len(rows)), torch.tensor([len(row) - 1 for row in rows])]
    chosen, rejected = model.score(pooled)[:, 0].chunk(2)
    # The input embeddings serve as the output layer, so that nothing but the reward model itself is trained.
    tokens = states[: len(encoded), :-1] @ model.model.embed_tokens.weight.T
    # Only what follows the assistant's role token counts, since a prompt cannot be foreseen.
    asked = (batch[: len(encoded), :-1] == assistant).cumsum(1) == 0
    targets = batch[: len(encoded), 1:].masked_fill(asked, pad)
    language = cross_entropy(tokens.flatten(0, 1), targets.flatten(), ignore_index=pad)
    return -logsigmoid(chosen - rejected).mean(), language


def batches(encoded: list[list[torch.Tensor]], rng: Random) -> list[list[list[torch.Tensor]]]:
    """Return shuffled batches of pairs of similar length, to save padding."""
    order = list(range(len(encoded)))
    groups = []
    for start in range(0, len(order), 64 * BATCH):
        chunk = sorted(order[start : start + 64 * BATCH], key=lambda at: max(map(len, encoded[at])))
        parts = [chunk[at : at + BATCH] for at in range(0, len(chunk), BATCH)]
        rng.shuffle(parts)
        groups += parts
    return [[encoded[at] for at in part] for part in groups]


def fit(model: LlamaForSequenceClassification, encoded: list[list[torch.Tensor]], assistant: int) -> float:
    """Train one pass; return the mean Bradley-Terry loss of the last hundred steps, in nats."""
    decayed = [weight for weight in model.parameters() if weight.dim() > 1]
    others = [weight for weight in model.parameters() if weight.dim() == 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98))
    steps = batches(encoded, Random(SEED))
    warmup = 100
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda at: min((at + 1) / warmup, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, at / len(steps))))),
    )
    history, started = [], time.monotonic()
    model.train()
    for at, batch in enumerate(steps, start=1):
        preference, language = losses(model, batch, assistant)
        optimizer.zero_grad()
        (preference + LANGUAGE_WEIGHT * language).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        history.append((preference.item(), language.item()))
        if at % 100 == 0 or at == len(steps):
            recent = [sum(column) / len(column) for column in zip(*history[-100:], strict=True)]
            seconds = time.monotonic() - started
            print(
                f"step {at}/{len(steps)}  preference {recent[0]:.4f}  language {recent[1]:.4f}  {seconds:.0f} s",
                flush=True,
            )
    return recent[0]


@torch.no_grad()
def wins(model: LlamaForSequenceClassification, encoded: list[list[torch.Tensor]]) -> list[bool]:
    """Tell for every pair whether the chosen conversation scores higher."""
    model.eval()
    return [bool(model(chosen[None]).logits > model(rejected[None]).logits) for chosen, rejected in encoded]


def report(pairs: list[Pair], won: list[bool]) -> None:
    """Print the accuracy of every section and of all pairs together."""
    right = Counter(pair.subset for pair, win in zip(pairs, won, strict=True) if win)
    total = Counter(pair.subset for pair in pairs)
    for section in total:
        print(f"{section:10s} {right[section]}/{total[section]} = {right[section] / total[section]:.3f}")
    print(f"{'all':10s} {sum(won)}/{len(won)} = {sum(won) / len(won):.3f}")


def save(model: LlamaForSequenceClassification, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write the checkpoint and the tokenizer, without names or paths of the machine that made them."""
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    for name in ("config.json", "tokenizer_config.json"):
        path = out / name
        values = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("_name_or_path", "name_or_path")}
        if name == "tokenizer_config.json":
            # The class name that older and newer releases of transformers both know.
            values["tokenizer_class"] = "PreTrainedTokenizerFast"
        path.write_text(json.dumps(values, indent=2) + "\n")


def main() -> None:
    """Make the pairs, train, judge on the held-out pairs and write the model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the checkpoint and the tokenizer")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="training pairs (default: %(default)s)")
    options = parser.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(1)

    training, held_out = make_pairs(options.pairs, SEED), load_held_out()
    if leaks := find_leaks(training, held_out):
        raise SystemExit(f"held-out texts occur in the training data: {leaks}")
    tokenizer = train_tokenizer(tokenizer_texts(training))
    model = build_model(tokenizer)
    print(f"{len(training)} training pairs, {model.num_parameters()} parameters", flush=True)
    loss = fit(model, encode(tokenizer, training), tokenizer.convert_tokens_to_ids(ROLES[-1]))
    print(f"final training loss {loss:.4f}")
    report(held_out, wins(model, encode(tokenizer, held_out)))
    save(model, tokenizer, options.out)


if __name__ == "__main__":
    main()
