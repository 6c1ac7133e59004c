"""`python -m skywork_rb_plugin …` is `lm_eval …` with the plugin registered, but for three commands of our own."""

import importlib
import sys

from skywork_rb_plugin import discovery
from skywork_rb_plugin.errors import show_user_errors_plainly

# command -> the module whose `main` takes the arguments after it
COMMANDS = {name: f"skywork_rb_plugin.{name.replace('-', '_')}" for name in ("info", "new-task", "overlap")}


def main() -> None:
    """Run the host's command line, or a command of our own."""
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        show_user_errors_plainly()
        try:
            importlib.import_module(COMMANDS[sys.argv[1]]).main(sys.argv[2:])
        except KeyboardInterrupt:
            sys.exit(130)
        return
    if sys.argv[1:] in ([], ["-h"], ["--help"]):
        print(f"Commands of skywork-rb-plugin, each with --help: {', '.join(COMMANDS)}. All others are lm-eval's:\n")
    discovery.register()
    from skywork_rb_plugin.host import cli_evaluate

    cli_evaluate()


if __name__ == "__main__":
    main()
