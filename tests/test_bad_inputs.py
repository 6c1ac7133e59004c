"""Hundreds of bad inputs, each with its kind of end: no traceback of ours."""

import datasets
import pytest
from bad_inputs import AREAS
from bad_inputs.case import LINE, Place, end_of

from skywork_rb_plugin.discovery import task_folder

CASES = [pytest.param(area, case, id=f"{area.name}: {name}") for area in AREAS for name, case in area.cases.items()]


@pytest.fixture(scope="module")
def our_tasks():
    """A TaskManager of our tasks alone: groups look their members up in the newest one."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=str(task_folder()), include_defaults=False)


@pytest.fixture
def place(tmp_path, our_tasks, monkeypatch):
    """A folder of its own, and a cache of datasets that keeps nothing for other tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return Place(tmp_path, our_tasks)


# sqlitedict opens its file in a thread, whose error pytest tells beside the one that is raised
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(("area", "case"), CASES)
def test_a_bad_input_ends_as_the_table_says(area, case, place):
    """One line where it is ours to say, which names what was found; numbers, all of them finite, where it is fine."""
    end, said = end_of(lambda: area.attempt(case.given, place))
    assert (end, case.says in said) == (case.end, True), said


def test_there_are_hundreds_and_every_line_names_something():
    """What docs/reliability.md counts."""
    cases = [case for area in AREAS for case in area.cases.values()]
    assert len(cases) >= 300
    assert all(case.says for case in cases if case.end == LINE)
