"""Tokenizes preference pairs for `gpu_trial.py`: renders and encodes as hf-reward does, and writes a file.

    python benchmarks/make_token_ids.py --out ids/llama-3.1.npz   # the demo's tokenizer, the packaged pairs
    python benchmarks/make_token_ids.py --tokenizer FOLDER --data FILE.parquet --out ids/gemma-2.npz

The data is JSONL or parquet with `prompt`, `chosen` and `rejected`. Needs nothing beyond the package itself.
"""

import argparse
import sys
from pathlib import Path

import transformers
from speed import DEMO, pairs_of
from token_ids import TokenIds

from skywork_rb_plugin.rendering.renderer import Renderer


def tokenize(tokenizer: str, rows: list[dict]) -> TokenIds:
    """The conversations of all rows at full length."""
    renderer = Renderer(transformers.AutoTokenizer.from_pretrained(tokenizer), None, {}, sys.maxsize, tokenizer)
    texts = renderer.render_all(
        [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[column]}]
        for row in rows
        for column in ("chosen", "rejected")
    )
    distinct = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return TokenIds(renderer.encode(list(distinct)), [distinct[text] for text in texts])


def main() -> None:
    """Parse the command line, tokenize, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", default=str(DEMO), help="folder or hub name (default: the demo model's)")
    parser.add_argument("--data", help="JSONL or parquet file (default: the packaged pairs)")
    parser.add_argument("--out", type=Path, required=True, help="FOLDER/FAMILY.npz; FAMILY as gpu_trial.py asks for it")
    arguments = parser.parse_args()
    if arguments.out.suffix != ".npz":
        parser.error(f"found --out {arguments.out}, expected a name that ends in .npz")
    ids = tokenize(arguments.tokenizer, pairs_of(arguments.data, None, 0))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    ids.save(arguments.out)
    tokens = sum(map(len, ids.sequences))
    print(f"{arguments.out}: {len(ids.order)} conversations, {len(ids.sequences)} of them distinct, {tokens:,} tokens")


if __name__ == "__main__":
    main()
