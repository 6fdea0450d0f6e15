"""The command line: what organisers and operators ask, with results on stdout and all else on stderr.

Exit codes: 0 done; 1 the thing asked for is not so; 2 wrong usage; 3 cannot go on.
"""

from __future__ import annotations

import click

from notifier import __version__
from notifier.commands import Group, lists, mail, notices, people, service, store


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config", "config_path", metavar="PATH", help="The settings; else $NOTIFIER_CONFIG, ./config.toml, /etc."
)
@click.version_option(__version__, prog_name="notifier")
@click.pass_context
def main(ctx: click.Context, config_path: str | None) -> None:
    """A calendar and notification daemon for scientific seminars.

    One talk list in; a calendar feed, pages, and exactly-once e-mail reminders out.
    """
    ctx.obj = config_path


for _module in (lists, notices, mail, service, people, store):
    for _command in _module.COMMANDS:
        main.add_command(_command)

if __name__ == "__main__":
    main()
