"""Requests to reward models and their answers, for tests."""

from lm_eval.api.instance import Instance

from skywork_rb_plugin import Conversation, HFReward

TEXTS = ["a short one", "a much longer response that goes on for a while, and on", "x", "the quick brown fox " * 5]


def requests(pairs, task="t"):
    """Requests of one document with several responses each."""
    return [
        Instance("loglikelihood", {}, (context, response), i, (task, document, 1))
        for document, (context, responses) in enumerate(pairs)
        for i, response in enumerate(responses)
    ]


def user(text):
    """A conversation with one user message."""
    return Conversation([{"role": "user", "content": text}])


def scores(model, pairs):
    """The rewards of all responses."""
    return [score for score, _ in model.loglikelihood(requests(pairs), disable_tqdm=True)]


def load(folder, **options):
    """The model as the command line makes it."""
    return HFReward(pretrained=str(folder), device="cpu", **{"batch_size": 4, **options})


PAIRS = [(user("Question?"), TEXTS), (user("Another, longer question, is it not?"), TEXTS[:2])]
