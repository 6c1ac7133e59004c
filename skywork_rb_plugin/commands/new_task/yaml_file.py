"""A task's YAML, as text."""

from collections.abc import Mapping

import yaml


class Function(str):
    """The dotted name of a function or class, which the YAML tags `!function`."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        """A list that occurs twice is written twice: people read this."""
        return True


_Dumper.add_representer(Function, lambda dumper, name: dumper.represent_scalar("!function", name))


def yaml_of(config: Mapping) -> str:
    """The YAML, in the order of the keys, with the innermost lists and mappings on one line each."""
    return yaml.dump(config, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=10_000)
