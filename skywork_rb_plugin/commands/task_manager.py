"""The host's TaskManager with our tasks, for commands that look tasks up by name."""

from skywork_rb_plugin import discovery


def task_manager(include_path: str | None = None):
    """The host's TaskManager, which knows its own tasks, ours, and those of a user's folder. Takes some seconds."""
    discovery.register()
    from skywork_rb_plugin.host import TaskManager

    return TaskManager(include_path=include_path)
