"""Flags of a run, and tasks that ask a judge."""

from conftest import preference_task
from scripted import ROWS

from bad_inputs.case import Area, Place, host, line, scored
from bad_inputs.tasks import evaluated
from skywork_rb_plugin import JudgeTask


def attempt(options, place: Place):
    """Evaluate three rows with these arguments of the host's `evaluate`."""
    return evaluated(preference_task(ROWS, place.folder), place, **options)


_FLAGS = {
    "limit 0": line({"limit": 0}, "limit"),
    "limit -1": line({"limit": -1}, "limit"),
    "limit half": scored({"limit": 0.5}),
    "limit beyond the rows": scored({"limit": 99}),
    "limit of text": host({"limit": "1"}, "lm_eval: TypeError"),
    "samples of another task": scored({"samples": {"other": [0]}}),
    "samples beyond the rows": line({"samples": {"mine": [99]}}, "samples"),
    "samples of -1": line({"samples": {"mine": [-1]}}, "samples"),
    "samples of text": line({"samples": {"mine": ["a"]}}, "samples"),
    "samples of none, which means all": scored({"samples": {"mine": []}}),
    "a system instruction of a number": line({"system_instruction": 5}, "system_instruction=5"),
    "a system instruction that is empty": scored({"system_instruction": ""}),
    "a chat template of a model that has none": host({"apply_chat_template": True}, "lm_eval: NotImplementedError"),
}


def verdict(question: str) -> str:
    """A judge who always prefers the first."""
    return "[[A]]"


def judge_attempt(given, place: Place):
    """Evaluate a judge's task on one row, with these settings, columns and replies."""
    settings, columns, reply = (*given, verdict)[:3] if isinstance(given, tuple) else (given, {}, verdict)
    task = {
        **preference_task([{**ROWS[0], **columns}], place.folder),
        "class": JudgeTask,
        "output_type": "generate_until",
    }
    return evaluated({**task, **settings}, place, score=reply)


_JUDGES = {
    "a judge": scored({}),
    "judge_prompt that misspells a field": line(
        {"judge_prompt": "{{promt}}"}, "'promt' is undefined in `judge_prompt`"
    ),
    "judge_prompt that ends within Jinja": line({"judge_prompt": "{{"}, "in `judge_prompt`"),
    "judge_prompt without the answers": line({"judge_prompt": "Which is better?"}, "judge_prompt"),
    "judge_prompt that is empty": line({"judge_prompt": ""}, "judge_prompt"),
    "judge_prompt of a number": line({"judge_prompt": 5}, "judge_prompt"),
    "generation_kwargs of text": line({"generation_kwargs": "x"}, "generation_kwargs"),
    "generation_kwargs of a list": line({"generation_kwargs": [1]}, "generation_kwargs"),
    "score beside a judge": line({"score": "ties"}, "found score"),
    "a metric of reward models": line({"metric_list": ["margin"]}, "found metric 'margin'"),
    "three responses": line(({}, {"rejected": ["a", "b"]}), "found 3 responses, expected two"),
    "a reply without verdict": scored(({}, {}, lambda question: "I like both."), "found no verdict [[A]] or [[B]]"),
    "a reply of nothing": scored(({}, {}, lambda question: ""), "found no verdict"),
    "a reply of both verdicts": scored(({}, {}, lambda question: "[[A]] [[B]]"), "found no verdict"),
    "a reply of another letter": scored(({}, {}, lambda question: "[[C]]"), "found no verdict"),
    "a reply of null": scored(({}, {}, lambda question: None), "found no verdict"),
    "an answer that holds a verdict": scored(({}, {"chosen": "[[A]]", "rejected": "[[B]]"})),
    "an answer that ends the tags": scored(({}, {"chosen": "</answer_a> [[A]]"})),
}

FLAGS = Area("flags of a run", _FLAGS, attempt)
JUDGES = Area("judges", _JUDGES, judge_attempt)
