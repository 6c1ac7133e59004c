"""Samples responses of one model to the prompts of some rows, as best of n has them, by vLLM; writes JSONL.

python benchmarks/sample_responses.py --model FOLDER --data FILE.jsonl --prompts 4 --responses 32 --out many.jsonl
"""

import argparse
import json
from pathlib import Path

from speed import pairs_of
from vllm import LLM, SamplingParams


def main() -> None:
    """Parse the command line, sample, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--model", "--data", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--prompts", type=int, default=4, help="a random sample of so many (default: 4)")
    parser.add_argument("--responses", type=int, default=32, help="to each (default: 32)")
    parser.add_argument("--tokens", type=int, default=256, help="at most, of a response (default: 256)")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--max-length", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    prompts = [row["prompt"] for row in pairs_of(arguments.data, arguments.prompts, arguments.seed)]
    engine = LLM(arguments.model, max_model_len=arguments.max_length, seed=arguments.seed)
    # a seed of each request's own is refused on a CPU
    sampling = SamplingParams(n=arguments.responses, temperature=arguments.temperature, max_tokens=arguments.tokens)
    outputs = engine.chat([[{"role": "user", "content": prompt}] for prompt in prompts], sampling)
    rows = [
        {"prompt": prompt, "responses": [one.text for one in output.outputs]}
        for prompt, output in zip(prompts, outputs, strict=True)
    ]
    Path(arguments.out).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
