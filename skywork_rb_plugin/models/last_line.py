"""The last line of a run with a model of ours: the scores and what they took."""

from dataclasses import replace

from skywork_rb_plugin.host import whole_run
from skywork_rb_plugin.scoring.progress import Counts
from skywork_rb_plugin.summary import never_in_the_way, sum_up


class LastLine:
    """Says it once per run, of a model that may have several.

    Attributes:
        seconds: that the present run has spent in scoring.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._before = Counts()

    def say(self, counts: Counts, cached: bool) -> None:
        """Log it if a run has just been measured.

        Args:
            counts: of all runs of the model.
            cached: whether the run has a score cache.
        """
        with never_in_the_way():
            run = whole_run()
            if run is None or "results" not in run:
                return
            took, seconds = counts.since(self._before), self.seconds
            self._before, self.seconds = replace(counts), 0.0
            cost = "all rewards came from the cache" if cached else ""
            if took.conversations_scored:
                cost = f"scored {took.in_words(seconds)}"
            sum_up(run["results"]["results"], run["results"]["group_subtasks"], run, cost)
