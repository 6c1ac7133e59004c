"""What a run would fail on after all scoring, tried with stand-in answers: filters of answers, aggregations of values."""

from collections.abc import Callable, Mapping, Sequence
from statistics import StatisticsError

from skywork_rb_plugin.host import Instance, aggregation_registry
from skywork_rb_plugin.tasks.dataset_task import one_line
from skywork_rb_plugin.tasks.keys import name_of, with_names

# what an aggregation raises at values of another kind
_OF_KIND = (TypeError, ValueError, KeyError, AttributeError)


def filtered(answers: Sequence, requests: Sequence[Instance], pipelines: Sequence) -> list[list]:
    """The answers to a row's requests as each of the host's pipelines (`filter_list`) leaves them.

    Raises:
        ValueError: a pipeline fails on them.
    """
    for request, answer in zip(requests, answers, strict=True):
        request.resps = [answer]
    for pipeline in pipelines:
        try:
            pipeline.apply(requests)
        except Exception as error:
            found = f"found {pipeline.name!r} in filter_list, which takes no answers such as {answers}"
            raise ValueError(f"{found} ({one_line(error)}), expected one that does") from error
    return [[request.filtered_resps[pipeline.name] for request in requests] for pipeline in pipelines]


def aggregate(values: Sequence[Mapping[str, object]], aggregations: Mapping[str, str | Callable]) -> None:
    """Aggregate rows' values of the metrics that `aggregations` has, only to see whether that can be done.

    Raises:
        ValueError: an aggregation takes none of its metric's values. What it says of stand-in numbers (a division by
            zero, a failed assertion) is no reason.
    """
    for name, aggregation in aggregations.items():
        column = [value[name] for value in values if name in value]
        function = aggregation if callable(aggregation) else aggregation_registry[aggregation]
        try:
            if column:
                function(column)
        except Exception as error:
            # a StatisticsError is a ValueError, but of the numbers
            if not isinstance(error, _OF_KIND) or isinstance(error, StatisticsError):
                continue
            found = (
                f"found aggregation {with_names(aggregation, name_of)} of metric {name}, which takes none of its values"
            )
            raise ValueError(f"{found} ({one_line(error)}), expected one for such as {column[0]!r}") from error
