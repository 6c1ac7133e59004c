"""The last line of a run with a model of ours: the scores and what they took."""

from skywork_rb_plugin.host import whole_run
from skywork_rb_plugin.scoring.progress import Counts
from skywork_rb_plugin.summary import never_in_the_way, sum_up


class LastLine:
    """Says it once per run, of a model that may have several.

    Attributes:
        seconds: that the present run has spent in scoring.
    """

    def __init__(self) -> None:
        self.seconds, self._counts, self._run = 0.0, Counts(), None

    @property
    def counts(self) -> Counts:
        """What the present run has scored on this rank, to be added to; a run begins at zero, whatever became of the last."""
        begun = (whole_run() or {}).get("start_date")
        if begun not in (None, self._run):
            self.seconds, self._counts, self._run = 0.0, Counts(), begun
        return self._counts

    def say(self, counts: Counts, cached: bool) -> None:
        """Log it if a run has just been measured.

        Args:
            counts: of the run, on all ranks.
            cached: whether the run has a score cache.
        """
        with never_in_the_way():
            run = whole_run()
            if run is None or "results" not in run:
                return
            cost = "all rewards came from the cache" if cached else ""
            if counts.conversations_scored:
                cost = f"scored {counts.in_words(self.seconds)}"
            sum_up(run["results"]["results"], run["results"]["group_subtasks"], run, cost)
