"""Tables of bad inputs, by area, with how an attempt with each ends. tests/test_bad_inputs.py tries them all."""

from bad_inputs import (
    caches,
    checkpoints,
    commands,
    files,
    groups,
    models,
    policies,
    rows,
    runs,
    scored_files,
    servers,
    task_keys,
    yaml_files,
)

AREAS = (
    task_keys.AREA, yaml_files.AREA, rows.AREA, files.AREA, files.FOLDERS, groups.METRICS, groups.FILTERS, groups.AREA,
    runs.JUDGES, runs.FLAGS,
    models.AREA, policies.AREA, servers.AREA, checkpoints.AREA, models.TEMPLATES, models.CONVERSATIONS, models.CALLS,
    caches.AREA, commands.AREA, scored_files.AREA,
)  # fmt: skip
