"""`python -m skywork_rb_plugin report`: one page of HTML about one run or many, and their scores for a model card.

docs/report.md says what the page shows and how each number is computed.
"""

import argparse
import os
import sys

from skywork_rb_plugin.commands import argument_parser
from skywork_rb_plugin.commands.report import markdown
from skywork_rb_plugin.commands.report.output import check_output, write
from skywork_rb_plugin.commands.report.page import MARK, page
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.report.results import read_runs

ROWS = 10
# a page that mail programs and code hosts still take
_LARGEST = 6_000_000


def main(arguments: list[str]) -> None:
    """Run the command: read the runs, write the page, the Markdown, or both.

    Raises:
        UserError: a number out of range, a file that can't be written or would be lost, results or logs that can't be read.
    """
    options = _parser().parse_args(arguments)
    if options.rows < 0:
        raise UserError(f"found --rows {options.rows}, expected 0 or more")
    for option, file in (("--output", options.output), ("--markdown", options.markdown)):
        if file == "":
            raise UserError(f"{option}: found no name, expected that of a file")
    output = options.output or (None if options.markdown else "report.html")
    to_file = options.markdown not in (None, "-")
    if output and to_file and os.path.realpath(output) == os.path.realpath(options.markdown):
        raise UserError(f"found {output} for --output and for --markdown, expected two files")
    if output:
        check_output("--output", output, lambda text: MARK in text)
    if to_file:
        check_output("--markdown", options.markdown, markdown.is_ours)
    runs = read_runs(options.results)
    if output:
        html, length = page(runs, options.title, options.rows)
        write("--output", output, html)
        print(_told(output, len(html.encode()), length), file=sys.stderr)
    if options.markdown == "-":
        print(markdown.markdown(runs), end="")
    elif options.markdown:
        write("--markdown", options.markdown, markdown.markdown(runs))


def _told(output: str, size: int, length: int) -> str:
    large = f"; more than {_LARGEST / 1e6:g} MB: fewer --rows make it smaller" if size > _LARGEST else ""
    return f"wrote {output}, {size / 1e6:.1f} MB; of each text the first {length:,} characters are shown{large}"


def _parser() -> argparse.ArgumentParser:
    parser = argument_parser("report")
    parser.add_argument("results", nargs="+", metavar="RESULTS", help="folders of --output_path, or results files")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="the page (default: report.html, or none with --markdown)"
    )
    parser.add_argument("--title", help="its heading (default: benchmarks and models)")
    parser.add_argument(
        "--rows", type=int, default=ROWS, metavar="N", help="rows of each kind to read (default: %(default)s)"
    )
    parser.add_argument(
        "--markdown",
        nargs="?",
        const="-",
        metavar="FILE",
        help="write the scores for a model card, with the model index of the first run (default: to the terminal)",
    )
    return parser
