"""`python -m skywork_rb_plugin …` is `lm_eval …` with the plugin registered, and has commands of our own."""

import difflib
import errno
import os
import sys

from skywork_rb_plugin import commands, discovery
from skywork_rb_plugin.errors import show_user_errors_plainly

# for the help, which comes without importing the host, and for misspelt words; a command missing here works all the same, unless its name is like one of these
HOST_COMMANDS = {
    "run": "evaluate a model on tasks",
    "ls": "list tasks, groups, subtasks or tags",
    "validate": "check that tasks' names exist",
}


def main() -> None:
    """Run a command of our own, or the host's command line."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # an ASCII terminal gets what it can't show as numbers
    word, *rest = sys.argv[1:] or ["--help"]
    if word in commands.COMMANDS:
        show_user_errors_plainly()
        try:
            commands.run(word, rest)
            sys.stdout.flush()
        except KeyboardInterrupt:
            sys.exit(130)
        except BrokenPipeError:  # `… | head` reads no further; what is left must not be written at exit either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except OSError as error:
            if error.errno != errno.ENOSPC or error.filename:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(f"skywork-rb-plugin: can't write the output ({error.strerror}), expected room for it")
        return
    if word in ("-h", "--help"):
        print(overview())
        return
    known = [*commands.COMMANDS, *HOST_COMMANDS]
    if not word.startswith("-") and word not in known and (near := difflib.get_close_matches(word, known, 1)):
        print(f"skywork-rb-plugin: found no command {word!r}, did you mean {near[0]}?", file=sys.stderr)
        sys.exit(2)
    discovery.register()
    from skywork_rb_plugin.host import cli_evaluate

    cli_evaluate()


def overview() -> str:
    """The commands, ours and the host's, a line each."""
    ours = {name: description for name, (_, description) in commands.COMMANDS.items()}
    width = max(map(len, [*ours, *HOST_COMMANDS]))

    def listed(table: dict[str, str]) -> list[str]:
        return [f"  {name:{width}}  {description}" for name, description in table.items()]

    return "\n".join(
        [
            "usage: python -m skywork_rb_plugin COMMAND …",
            "",
            "Commands of skywork-rb-plugin:",
            *listed(ours),
            "",
            "Commands of lm-eval, with this plugin's models and tasks:",
            *listed(HOST_COMMANDS),
            "",
            "Each has a --help of its own, such as `python -m skywork_rb_plugin run --help`.",
        ]
    )


if __name__ == "__main__":
    main()
