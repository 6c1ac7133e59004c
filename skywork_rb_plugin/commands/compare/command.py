"""`compare RESULTS…`: read runs, compare them row by row, print what was found as text or JSON."""

import argparse
import json
import math
import sys

from skywork_rb_plugin.commands import argument_parser
from skywork_rb_plugin.errors import UserError


def main(arguments: list[str]) -> None:
    """Print the comparison.

    Raises:
        UserError: an option that names nothing, or runs that can't be compared.
    """
    options = _parser().parse_args(arguments)
    for name, value in (("--rows", options.rows), ("--seed", options.seed)):
        if value < 0:
            raise UserError(f"found {name} {value}, expected 0 or more")
    from skywork_rb_plugin.commands.compare.choice import chooser
    from skywork_rb_plugin.commands.compare.found import find
    from skywork_rb_plugin.report.comparison import compare
    from skywork_rb_plugin.report.results import read_runs

    runs = read_runs(options.results)
    chosen = chooser(options.chosen, runs, options.metric) if options.chosen else None
    comparisons = compare(runs, options.metric, options.all_pairs, options.seed, chosen)
    found = find(runs, comparisons, options.rows)
    if options.json:
        from skywork_rb_plugin.commands.compare.data import as_data

        json.dump(_finite(as_data(found)), sys.stdout, indent=2, allow_nan=False)
        print()
    else:
        from skywork_rb_plugin.commands.compare.text import show

        show(found)


def _finite(value: object) -> object:
    """The same with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parser() -> argparse.ArgumentParser:
    parser = argument_parser("compare")
    parser.add_argument(
        "results",
        metavar="RESULTS",
        nargs="+",
        help="folders or results files of two or more runs with --output_path and --log_samples; the first is the baseline",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--metric", metavar="NAME", help="compare by it (default: each benchmark's first)")
    parser.add_argument(
        "--in",
        dest="chosen",
        metavar="PART",
        action="append",
        help='only this section or task, by its title, name or a glob, as "Chat Hard" or "*hep*"; may be repeated',
    )
    parser.add_argument("--rows", type=int, default=0, metavar="N", help="show N rows on which they differ")
    parser.add_argument("--all-pairs", action="store_true", help="compare each run with each")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the draws of weighted scores (default: %(default)s)"
    )
    return parser
