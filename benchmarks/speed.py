"""Three ways to score the same preference pairs, timed one after the other in one process; prints a table.

    python benchmarks/speed.py                                    # the demo model on its packaged pairs
    python benchmarks/speed.py --model FOLDER --data FILE.jsonl --pairs 100
    python benchmarks/speed.py --shape llama-8b --tokenizer FOLDER --data FILE.jsonl --dtype bfloat16 --device cuda

`reference` is how rewardbench's pipeline goes about it (allenai/reward-bench, rewardbench/rewardbench.py): batches in
the order of the data, padded on the left, all chosen responses in passes of their own. `sorted` is hf-reward with
scoring=padded, `tree` with scoring=tree. Every time includes rendering and tokenizing. A language model is given a random
head: that changes the scores, not the speed. The data is JSONL with `prompt`, `chosen` and `rejected`; `--pairs` takes a
random sample; parquet will do as well. Needs nothing beyond the package itself.
"""

import argparse
import datetime
import logging
import os
import platform
import random
import sys
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import datasets
import torch
import transformers
from measuring import PeakMemory, matrix_product_ceiling
from shapes import SHAPES, random_classifier

from skywork_rb_plugin import HFReward
from skywork_rb_plugin.discovery import task_folder
from skywork_rb_plugin.models.documents import Document
from skywork_rb_plugin.scoring.attention import attention_for
from skywork_rb_plugin.scoring.progress import Counts

DEMO = files("skywork_rb_plugin") / "demo" / "model"


@dataclass
class Result:
    """One line of the table; tokens with padding, memory in bytes above what was in use before."""

    way: str
    tokens: int
    padding: int
    seconds: float
    memory: int
    scores: list[float]


def pairs_of(file: str | None, count: int | None, seed: int) -> list[dict]:
    """Rows with prompt, chosen and rejected: the packaged ones, or those of a file; a sample in the file's order."""
    path = Path(file) if file else task_folder() / "preference_demo" / "pairs.jsonl"
    if not path.is_file():
        sys.exit(f"found no file {path} for --data, expected JSONL or parquet")
    kind = "parquet" if path.suffix == ".parquet" else "json"
    rows = list(datasets.load_dataset(kind, data_files=str(path), split="train"))
    if count is None or count >= len(rows):
        return rows
    return [rows[i] for i in sorted(random.Random(seed).sample(range(len(rows)), count))]


def model_of(arguments: argparse.Namespace, device: torch.device) -> tuple[transformers.PreTrainedModel, object]:
    """The classifier on the device, and its tokenizer; lengths beyond the model's become that."""
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("found no CUDA device, expected --device cpu")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # the harness warns of every model that comes loaded
    torch.manual_seed(arguments.seed)
    if arguments.shape:
        layers = {"num_hidden_layers": arguments.layers} if arguments.layers else {}
        model = random_classifier(SHAPES[arguments.shape].config(**layers), getattr(torch, arguments.dtype), device)
        name = arguments.tokenizer
    else:
        name = str(DEMO) if arguments.model == "demo" else arguments.model
        config = transformers.AutoConfig.from_pretrained(name)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            name, num_labels=1, dtype=getattr(torch, arguments.dtype), device_map={"": device},
            **attention_for(config, None),
        )  # fmt: skip
    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.tokenizer or name)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    config = model.config.get_text_config()
    config.pad_token_id = tokenizer.pad_token_id
    arguments.max_length = min(arguments.max_length, config.max_position_embeddings)
    return model.eval(), tokenizer


@torch.inference_mode()
def reference(model, tokenizer, rows: list[dict], size: int, device: torch.device, max_length: int) -> Result:
    """Batches in the order of the data, padded on the left; scores alternate chosen and rejected."""
    tokens = padding = 0
    scores: dict[str, list[float]] = {"chosen": [], "rejected": []}
    with PeakMemory(device) as memory:
        start = time.perf_counter()
        for i in range(0, len(rows), size):
            for column, found in scores.items():
                texts = [
                    tokenizer.apply_chat_template(
                        [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[column]}],
                        tokenize=False,
                    )
                    for row in rows[i : i + size]
                ]
                batch = tokenizer(
                    texts, padding=True, padding_side="left", truncation=True, max_length=max_length,
                    add_special_tokens=False, return_tensors="pt",
                )  # fmt: skip
                tokens += batch["input_ids"].numel()
                padding += int((batch["attention_mask"] == 0).sum())
                batch = {key: batch[key].to(device) for key in ("input_ids", "attention_mask")}
                found += model(**batch).logits.float().reshape(-1).tolist()
        seconds = time.perf_counter() - start
    interleaved = [score for pair in zip(*scores.values(), strict=True) for score in pair]
    return Result(f"reference, batches of {size}", tokens, padding, seconds, memory.bytes, interleaved)


def ours(model, tokenizer, rows: list[dict], device: torch.device, **options) -> Result:
    """hf-reward."""
    lm = HFReward(pretrained=model, tokenizer=tokenizer, device=str(device), **options)
    pairs = [
        Document(
            f"row {i}",
            [
                ({"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[column]})
                for column in ("chosen", "rejected")
            ],
        )
        for i, row in enumerate(rows)
    ]
    lm.score_documents(pairs[:1], Counts())  # nobody pays for the first call
    counts = Counts()
    with PeakMemory(device) as memory:
        start = time.perf_counter()
        scores = [score for pair in lm.score_documents(pairs, counts) for score in pair]
        seconds = time.perf_counter() - start
    settings, padding = lm.scorer.settings(), counts.tokens_padding
    way = f"sorted, batches of {options['batch_size']}"
    if settings["scoring"] == "tree":
        way = f"tree, {settings['tokens_per_pack']} tokens, {settings['attention']}" + ", compiled" * options["compile"]
    return Result(way, counts.tokens_forwarded + padding, padding, seconds, memory.bytes, scores)


def table(results: list[Result], conversations: int, flops_per_token: float, ceiling: float | None) -> str:
    """Markdown; differences are from the scores of the line `sorted`."""
    base = next(result for result in results if result.way.startswith("sorted")).scores
    columns = ["way", "tokens", "of them padding", "seconds", "conversations/s", "tokens/s", "peak memory, MiB", "largest difference of a score"]  # fmt: skip
    if ceiling:
        columns.append(f"share of {ceiling / 1e12:.0f} TFLOP/s")
    lines = ["| " + " | ".join(columns) + " |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    for result in results:
        difference = max(abs(a - b) for a, b in zip(base, result.scores, strict=True))
        cells = [
            result.way, f"{result.tokens:,}", f"{result.padding:,}", f"{result.seconds:.2f}",
            f"{conversations / result.seconds:.2f}", f"{result.tokens / result.seconds:.0f}",
            f"{result.memory / 2**20:.0f}", f"{difference:.1e}",
        ]  # fmt: skip
        if ceiling:
            useful = (result.tokens - result.padding) * flops_per_token / result.seconds
            cells.append(f"{useful / ceiling:.1%}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def parser_of(doc: str, dtype: str) -> argparse.ArgumentParser:
    """The options that all benchmarks share."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo", help="folder or hub name (default: demo)")
    parser.add_argument("--tokenizer", help="folder or hub name, if not the model's")
    parser.add_argument("--data", help="JSONL or parquet file (default: the packaged pairs)")
    parser.add_argument("--pairs", type=int, help="a random sample of so many (default: all)")
    parser.add_argument("--dtype", default=dtype)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--max-length", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(shape=None, layers=None)
    return parser


def main() -> None:
    """Parse the command line, run, print."""
    parser = parser_of(__doc__, "float32")
    parser.add_argument(
        "--shape", choices=SHAPES, help="random weights of this shape, made on the device; needs --tokenizer"
    )
    parser.add_argument("--layers", type=int, help="fewer layers than the shape has, to try the command out")
    parser.add_argument("--batch-sizes", type=int, nargs="*", default=[8, 64], help="of the reference's way")
    parser.add_argument("--sorted-batch-size", type=int, default=8)
    parser.add_argument("--tokens-per-pack", nargs="+", default=["auto"], help="one line of the table for each")
    parser.add_argument("--attn-implementation", help="of `tree`: flex_attention, sdpa or eager")
    parser.add_argument("--compile", action="store_true", help="of `tree`")
    arguments = parser.parse_args()
    if arguments.shape and not arguments.tokenizer:
        parser.error("--shape needs --tokenizer FOLDER")
    device = torch.device(arguments.device)
    rows = pairs_of(arguments.data, arguments.pairs, arguments.seed)
    model, tokenizer = model_of(arguments, device)

    shared = {
        "max_length": arguments.max_length,
        "batch_size": arguments.sorted_batch_size,
        "compile": arguments.compile,
    }
    reference(model, tokenizer, rows[:1], 1, device, arguments.max_length)  # nobody pays for the first call
    results = [reference(model, tokenizer, rows, size, device, arguments.max_length) for size in arguments.batch_sizes]
    results.append(ours(model, tokenizer, rows, device, scoring="padded", **shared))
    for budget in arguments.tokens_per_pack:
        budget = budget if budget == "auto" else int(budget)
        options = {"attn_implementation": arguments.attn_implementation} if arguments.attn_implementation else {}
        results.append(
            ours(model, tokenizer, rows, device, scoring="tree", tokens_per_pack=budget, **shared, **options)
        )

    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} cores"
    print(
        f"\n{arguments.shape or arguments.model}, {arguments.dtype}, {2 * len(rows)} conversations; {where} ({platform.machine()}), "
        f"{torch.get_num_threads()} threads; torch {torch.__version__}, transformers {transformers.__version__}; "
        f"{datetime.date.today()}\n"
    )
    ceiling = matrix_product_ceiling(device, model.dtype) if device.type == "cuda" else None
    # two operations per weight and token; attention, which depends on who sees whom, is not counted
    weights = sum(p.numel() for p in model.parameters()) - model.get_input_embeddings().weight.numel()
    print(table(results, 2 * len(rows), 2 * weights, ceiling))


if __name__ == "__main__":
    main()
