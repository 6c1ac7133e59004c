"""Makes the host find our metrics, which it would otherwise look for on the hub."""

from skywork_rb_plugin.metrics.table import TABLE


def register_metrics() -> None:
    """Register the table's aggregations and metrics with the host; names it has are left alone."""
    import lm_eval.api.metrics  # noqa: F401  the host imports its own metrics only while its registry is empty

    from skywork_rb_plugin.host import aggregation_registry, metric_registry, register_aggregation, register_metric

    for metric in TABLE:
        aggregation = metric.aggregation
        if aggregation.function is not None and aggregation.name not in aggregation_registry:
            register_aggregation(aggregation.name)(aggregation.function)
        if metric.name not in metric_registry:
            register_metric(metric=metric.name, higher_is_better=metric.higher_is_better, aggregation=aggregation.name)(
                _passthrough
            )


def _passthrough(items):
    """The host asks for a function; a document's value comes from `process_results`."""
    return items
