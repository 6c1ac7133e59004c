"""What half precision does to scores and verdicts, by prefix tree and in padded batches; prints a table.

python benchmarks/precision.py                                # the demo model on its packaged pairs
python benchmarks/precision.py --model FOLDER --data FILE.jsonl --dtype bfloat16
"""

import torch
from measuring import verdicts
from speed import model_of, ours, pairs_of, parser_of


def main() -> None:
    """Parse the command line, run, print."""
    parser = parser_of(__doc__, "bfloat16")
    parser.add_argument("--batch-size", type=int, default=8)
    arguments = parser.parse_args()
    device, half = torch.device(arguments.device), arguments.dtype
    rows = pairs_of(arguments.data, arguments.pairs, arguments.seed)

    runs = {}
    for dtype, scoring in (("float32", "tree"), ("float32", "padded"), (half, "tree"), (half, "padded")):
        arguments.dtype = dtype
        model, tokenizer = model_of(arguments, device)
        options = {
            "scoring": scoring,
            "batch_size": arguments.batch_size,
            "compile": False,
            "max_length": arguments.max_length,
        }
        runs[f"{dtype}, {scoring}"] = ours(model, tokenizer, rows, device, **options).scores

    lines = ["| | against | largest difference of a score | mean | verdicts that differ |", "|---|---|---:|---:|---:|"]
    names = list(runs)
    for one, other in ((1, 0), (2, 0), (3, 0), (2, 3)):
        differences = [abs(a - b) for a, b in zip(runs[names[one]], runs[names[other]], strict=True)]
        differing = sum(a != b for a, b in zip(verdicts(runs[names[one]]), verdicts(runs[names[other]]), strict=True))
        lines.append(
            f"| {names[one]} | {names[other]} | {max(differences):.1e} | {sum(differences) / len(differences):.1e} | "
            f"{differing} of {len(rows)} |"
        )
    print("\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
