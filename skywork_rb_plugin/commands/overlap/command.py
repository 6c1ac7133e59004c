"""`python -m skywork_rb_plugin overlap`: which evaluation prompts does a preference training set contain?

Skywork's own 80K pairs (v0.1) had 4,957 whose prompts overlap with RewardBench's; v0.2 is without them (dataset card
of Skywork/Skywork-Reward-Preference-80K-v0.2). The rule here is that of Tülu 3 (arXiv:2411.15124, section 3.2):
n-grams of 8 words, prompts only, and an evaluation prompt counts when one training prompt has half of it; where Tülu 3
counts the words inside shared n-grams, we count the n-grams, which is a little stricter. Skywork-Reward-V2
(arXiv:2507.01352, appendix D.1) drops a training row for a single shared 13-gram, and reports that some 23% of what this
finds is harmless: that is `--ngram 13 --threshold 0.0001`.
lm-eval's own lm_eval/decontamination wants n-gram files prepared from a whole pretraining corpus, and tells no training row.
"""

import argparse

from skywork_rb_plugin.commands import argument_parser
from skywork_rb_plugin.commands.overlap.ngrams import find_overlap
from skywork_rb_plugin.commands.overlap.prompts import evaluation_prompts, find_tasks, open_training, training_turns
from skywork_rb_plugin.commands.overlap.report import check_output, report, write_contaminated
from skywork_rb_plugin.commands.task_manager import task_manager
from skywork_rb_plugin.errors import UserError

NGRAM = 8
THRESHOLD = 0.5


def main(arguments: list[str]) -> None:
    """Run the command: read both sides, print the report, write `--output`.

    Raises:
        UserError: a number out of range, a file, column, split or task that can't be found or read, an output file that
            holds something else.
    """
    options = _parser().parse_args(arguments)
    if options.ngram < 1:
        raise UserError(f"found --ngram {options.ngram}, expected 1 or more words")
    if not 0 < options.threshold <= 1:
        raise UserError(f"found --threshold {options.threshold:g}, expected a fraction above 0 and at most 1")
    if options.output:
        check_output(options.output)
    training = {}
    for path in options.train:
        training |= open_training(path, options.split, options.prompt)
    turns = training_turns(training, options.prompt)
    prompts = evaluation_prompts(find_tasks(options.tasks, task_manager(options.include_path)))
    overlaps = find_overlap([prompt.turns for prompt in prompts], turns, options.ngram, options.threshold)
    count = sum(map(len, training.values()))
    print(report(prompts, overlaps, count, options.ngram, options.threshold, options.output))
    # last: the report is not lost where the file can't be written after all
    if options.output:
        write_contaminated(options.output, prompts, overlaps)


def _parser() -> argparse.ArgumentParser:
    parser = argument_parser("overlap")
    parser.add_argument(
        "--train", nargs="+", required=True, help="files (.jsonl, .json, .parquet, .csv), folders or hub names"
    )
    parser.add_argument("--split", help="split of the training set (default: all)")
    parser.add_argument("--prompt", metavar="COLUMN", help="its column with the prompt (default: as tasks read rows)")
    parser.add_argument("--tasks", required=True, help="tasks, groups, tags or globs, separated by commas")
    parser.add_argument("--include_path", metavar="FOLDER", help="a folder with YAMLs of your own")
    parser.add_argument(
        "--ngram", type=int, default=NGRAM, metavar="N", help="words in an n-gram (default: %(default)s)"
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=THRESHOLD,
        help="share of an evaluation prompt's n-grams in one training prompt from which it counts (default: %(default)s)",
    )
    parser.add_argument("--output", metavar="FILE", help="write a JSON line per contaminated evaluation prompt")
    return parser
