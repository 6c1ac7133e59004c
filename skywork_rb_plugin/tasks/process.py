"""ProcessTask: solutions in steps, of which the first wrong one is to be found by each step's score."""

import functools
import logging
from collections.abc import Mapping

from skywork_rb_plugin.conversations import as_messages
from skywork_rb_plugin.host import evaluated_model
from skywork_rb_plugin.metrics.process import NONE_WRONG, Solution
from skywork_rb_plugin.tasks.keys import OWN_KEYS
from skywork_rb_plugin.tasks.preference import PreferenceTask
from skywork_rb_plugin.tasks.rows import Choice, named_responses, resolve
from skywork_rb_plugin.tasks.samples import of_steps
from skywork_rb_plugin.tasks.shapes import is_index

logger = logging.getLogger(f"lm_eval.{__name__}")

# what a model may make of its steps' scores so that those of longer and longer beginnings tell the first one that is low
_STEP_BY_STEP = ("last", "min")


class SolutionReading:
    """The parts of one row, as `Reading` has those of a preference row.

    Attributes:
        doc: the row's columns.

    Raises:
        ValueError: from a part that can't be read; a function of the user's may raise anything.
    """

    def __init__(self, doc: Mapping, fields: Mapping) -> None:
        self.doc, self._fields = doc, fields

    @functools.cached_property
    def steps(self) -> list[str]:
        """The solution's steps, at least one."""
        steps = [step for _, step in named_responses(self.doc, self._fields.get("doc_to_choice", "steps"))]
        if not steps or not all(isinstance(step, str) for step in steps):
            raise ValueError(f"found steps {str(steps)[:80]}, expected a list of texts, one for each step")
        return steps

    @functools.cached_property
    def choices(self) -> list[Choice]:
        """Each beginning of the solution as a response; twice where it is the only one, since one can't be ranked."""
        messages = tuple(as_messages(resolve(self.doc, self._fields.get("doc_to_text", "problem")), "user"))
        beginnings = [Choice(messages, "\n\n".join(self.steps[: i + 1])) for i in range(len(self.steps))]
        return beginnings * 2 if len(beginnings) == 1 else beginnings

    @functools.cached_property
    def label(self) -> int:
        """Index of the first wrong step, -1 for none."""
        label, last = resolve(self.doc, self._fields.get("doc_to_target", "label")), len(self.steps) - 1
        if not (is_index(label) and NONE_WRONG <= label <= last):
            raise ValueError(
                f"found label {label!r}, expected the first wrong step's index from 0 to {last}, or -1 for none"
            )
        return int(label)


class ProcessTask(PreferenceTask):
    """Finding the first wrong step: `class: !function skywork_rb_plugin.ProcessTask`, `output_type: step_scores`.

    A row has `problem`, `steps` (a list) and `label` (index of the first wrong step, -1 for none), or what `doc_to_text`,
    `doc_to_choice` and `doc_to_target` name in their place. Each beginning of the solution, its steps joined by blank
    lines, is one `loglikelihood` request: a process reward model that is loaded with `steps=last` answers with its last
    step's score, and a prefix tree computes what beginnings share once. The prediction is the first step whose score is
    below `threshold` (default 0.5), else -1. `where`, `official_rows` and `score` are those of PreferenceTask.

    Raises:
        UserError: the YAML, a row or the model can't be used; the line names the task and the row.
    """

    yaml_type = "step_scores"
    own_keys = (*[key for key in OWN_KEYS if key not in ("doc_to_scores", "group_by")], "threshold")
    row_type, reading = Solution, SolutionReading

    def doc_to_target(self, doc: Mapping, doc_to_target=None) -> int:
        """Index of the first wrong step, -1 for none."""
        return self._part(doc, "label")

    def _preferred(self, doc: Mapping) -> None:
        """No beginning is better than another."""

    def build_all_requests(self, **kwargs) -> None:
        """Build the requests.

        Raises:
            UserError: the model that is running has no scores of steps to give.
        """
        if (model := evaluated_model()) is not None:
            self._check_model(model)
        super().build_all_requests(**kwargs)

    def _check_model(self, model: object) -> None:
        if not getattr(model, "of_one_response", False):
            raise self._error(
                "found a model whose log-likelihoods or comparisons are no scores of steps; expected a process reward model "
                f"(--model hf-reward), or {self.task_name} left out of --tasks"
            )
        if model.steps is None:
            logger.warning(
                "%s: the model is no process reward model; its rewards for unfinished solutions are compared with the "
                "threshold %g, which says little.",
                self.task_name, self._threshold,
            )  # fmt: skip
        elif model.steps not in _STEP_BY_STEP:
            raise self._error(
                f"found a model that makes one reward of its steps by steps={model.steps}, expected the score of each step "
                "by itself: steps=last in --model_args"
            )

    @property
    def _threshold(self) -> float:
        return self._own.get("threshold", 0.5)

    def _answered(self, doc: Mapping, results: list[tuple[float, bool]]) -> Solution:
        """The document with the model's scores of its steps."""
        scores = self._scores(doc, results)
        return Solution(self._part(doc, "label"), scores[: len(self._part(doc, "steps"))], self._threshold)

    _sample = staticmethod(of_steps)
