"""Makes a plain `lm_eval` see skywork-rb-plugin.

Python runs `start()` when an interpreter starts, because of skywork_rb_plugin.pth (skywork_rb_plugin.start from
Python 3.15 on: PEP 829), which does nothing where this module is gone. It only puts a finder on
sys.meta_path; nothing else happens unless the process imports lm_eval. SKYWORK_RB_PLUGIN_AUTOLOAD=0 turns it off.
Imports nothing but sys: with its bytecode cached it takes some 0.2 ms of an interpreter's start.
"""

import sys

# module of the host -> function of skywork_rb_plugin.discovery to run right after it
HOOKS = {"lm_eval.models": "register_models", "lm_eval.tasks._index": "add_task_folder"}


def start():
    """Wait for the host's modules. Never raises."""
    try:
        if not any(is_ours(finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, Finder())
    except Exception as error:
        complain(error)


def run(name):
    """Run one function of the plugin's discovery. Never raises: a broken plugin must not break the host."""
    try:
        from skywork_rb_plugin import discovery

        getattr(discovery, name)()
    except Exception as error:
        complain(error)


def complain(error):
    """One line on stderr; silent where there is none (pythonw)."""
    if sys.stderr is not None:
        print(f"skywork-rb-plugin did not load: {type(error).__name__}: {error}", file=sys.stderr)


class Finder:
    """Finds nothing itself; has the plugin run after the module that another finder found."""

    belongs_to = "skywork-rb-plugin"

    def find_spec(self, name, path=None, target=None):
        """Let the other finders find `name`; if it is one we wait for, run our hook after it has run."""
        if name not in HOOKS or switched_off():
            return None
        try:
            spec = first_spec(name, path, target)
            if spec is None or spec.loader is None:
                return None
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                run(HOOKS[name])

            spec.loader.exec_module = exec_module
            return spec
        except Exception as error:
            complain(error)
            return None


def is_ours(finder):
    """Whether `finder` is a Finder, also one from before a reload of this module."""
    return getattr(finder, "belongs_to", None) == Finder.belongs_to


def first_spec(name, path, target):
    """The spec that Python would use without us."""
    for finder in sys.meta_path:
        if not is_ours(finder):
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
    return None


def switched_off():
    """Whether the user turned automatic loading off."""
    import os

    return os.environ.get("SKYWORK_RB_PLUGIN_AUTOLOAD", "1").strip().lower() in ("0", "false", "no", "off")
