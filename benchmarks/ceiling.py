"""How near hf-reward's trees come to what matrix products of this CPU can do, and where the rest goes; prints two tables.

    python benchmarks/ceiling.py --model FOLDER --data FILE.jsonl --pairs 30

The ceiling is the rate of large matrix products, measured before and after each run; what a run needs is counted from the
model (`measuring.operations`). Everything is done in one thread and timed by the processor time that it took, so that what
else the machine does hardly matters.
"""

import time
from collections import Counter

import torch
from measuring import operations
from speed import model_of, pairs_of, parser_of
from torch.profiler import ProfilerActivity, profile

from skywork_rb_plugin import HFReward
from skywork_rb_plugin.rendering.rendered import Rendered

# operators of torch by what they are for; what is left is elementwise
KINDS = {
    "matrix products": ("mm", "addmm", "bmm", "linear", "matmul"),
    "attention": ("scaled_dot_product", "softmax"),
    "copies": ("copy_", "index", "cat", "clone", "empty", "fill_", "zero_", "embedding", "resize", "arange"),
}


def ceiling(dtype: torch.dtype, size: int = 2048) -> float:
    """Operations per second of large matrix products, the best of five."""
    a, b = (torch.randn(size, size, dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(5):
        start = time.process_time()
        a @ b
        best = max(best, 2 * size**3 / (time.process_time() - start))
    return best


def needed(lm: HFReward, conversations: list) -> int:
    """The operations that a run needs, by its packs."""
    rendered = Rendered(lm.renderer, list(dict.fromkeys(lm.renderer.render_all(conversations))))
    reads: dict[int, list[int]] = {}
    packs = [pack for packs in lm.scorer._packs(rendered, reads) for pack in packs]
    pairs = sum(int(pack.depths.sum()) + len(pack) for pack in packs)
    return operations(lm.model.config, sum(map(len, packs)), pairs, sum(map(len, reads.values())))


def kind_of(operator: str) -> str:
    """What an operator of torch is for."""
    name = operator.removeprefix("aten::").strip("_")
    return next((kind for kind, names in KINDS.items() if name.startswith(names)), "elementwise")


def main() -> None:
    """Parse the command line, run, print."""
    parser = parser_of(__doc__, "float32")
    parser.add_argument("--tokens-per-pack", type=int, default=2048)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device("cpu")
    model, tokenizer = model_of(arguments, device)
    conversations = [
        ({"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[column]})
        for row in pairs_of(arguments.data, arguments.pairs, arguments.seed)
        for column in ("chosen", "rejected")
    ]
    options = {
        "device": "cpu",
        "scoring": "tree",
        "tokens_per_pack": arguments.tokens_per_pack,
        "max_length": arguments.max_length,
    }
    print("| way | seconds | of the matrix-product ceiling |\n|---|---:|---:|")
    for way in ({}, {"compile": True}):
        lm = HFReward(pretrained=model, tokenizer=tokenizer, **options, **way)
        lm.score(conversations[:4], progress=False)  # nobody pays for the first call
        before, start = ceiling(model.dtype), time.process_time()
        lm.score(conversations, progress=False)
        seconds = time.process_time() - start
        rate = needed(lm, conversations) / seconds
        print(
            f"| {'compile=True' if way else 'as it comes'} | {seconds:.1f} | {rate / max(before, ceiling(model.dtype)):.1%} |"
        )
        if not way:
            with profile(activities=[ProfilerActivity.CPU]) as profiled:
                lm.score(conversations, progress=False)
    spent: Counter[str] = Counter()
    for event in profiled.key_averages():
        spent[kind_of(event.key)] += event.self_cpu_time_total
    print("\n| of the time of all operators, as it comes | |\n|---|---:|")
    for kind, microseconds in spent.most_common():
        print(f"| {kind} | {microseconds / spent.total():.1%} |")


if __name__ == "__main__":
    main()
