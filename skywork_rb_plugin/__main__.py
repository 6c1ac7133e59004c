"""`python -m skywork_rb_plugin …` is `lm_eval …` with the plugin registered; `info` reports what is registered."""

import sys

from skywork_rb_plugin import discovery


def main() -> None:
    """Run the host's command line, or our own `info`."""
    if sys.argv[1:] == ["info"]:
        from skywork_rb_plugin.info import report

        print(report())
        return
    discovery.register()
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


if __name__ == "__main__":
    main()
