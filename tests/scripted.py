"""A language model for tests whose answers are a function of what it is asked."""

from lm_eval.api.model import LM


class ScriptedLM(LM):
    """Answers every request with `score(context, continuation)`, or `score(context)` as text; keeps the requests."""

    def __init__(self, score):
        super().__init__()
        self.score, self.requests = score, []

    def loglikelihood(self, requests, disable_tqdm=False):
        """Score each request."""
        self.requests += [request.args for request in requests]
        return [(float(self.score(*request.args)), False) for request in requests]

    def loglikelihood_rolling(self, requests):
        """Not used."""
        raise NotImplementedError

    def generate_until(self, requests, disable_tqdm=False):
        """Answer each request with text."""
        self.requests += [request.args for request in requests]
        return [self.score(request.args[0]) for request in requests]


def evaluate(score, tasks, task_manager, **options):
    """Run `simple_evaluate`; returns its results and the model."""
    from lm_eval import simple_evaluate

    model = ScriptedLM(score)
    results = simple_evaluate(model=model, tasks=tasks, task_manager=task_manager, bootstrap_iters=10, **options)
    return results, model


def length(context, continuation):
    """The longer response wins."""
    return len(continuation)


# the longer response is chosen in the first row alone
ROWS = [
    {"id": 7, "prompt": "One?", "chosen": "long answer", "rejected": "short", "kind": "a"},
    {"id": 8, "prompt": "Two?", "chosen": "yes", "rejected": "no, never", "kind": "b"},
    {"id": 9, "prompt": "Three?", "chosen": "same", "rejected": "size", "kind": "c"},
]
