"""Assembles the ``moderation`` command.

Exit codes: 0 done, 1 refused with a reason, 2 wrong usage, 3 a defect found.
"""

from __future__ import annotations

import typer

from cli.accept_gap import accept_gap
from cli.archive import archive
from cli.bench import bench
from cli.challenge import challenge
from cli.chaos import chaos
from cli.compare import compare
from cli.dead_letters import dead_letters
from cli.demo import demo
from cli.drift import drift
from cli.generate import generate
from cli.lake import lake
from cli.missing_parts import missing_part
from cli.output import progress
from cli.preview import preview
from cli.promote import promote, rollback
from cli.provision import migrate, partitions, topics
from cli.reconcile import reconcile
from cli.report import report
from cli.republish import republish
from cli.rescore import rescore
from cli.reset_watermark import reset_watermark
from cli.retrain import retrain
from cli.score import explain_text, score
from cli.skip import skip
from cli.source import PASS_ON, replay, source
from cli.stack import down, status, up
from cli.train import train
from moderation.errors import ModerationError

app = typer.Typer(
    help="Real-time comment moderation: one command each for the stack, traffic, models and decisions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo)
app.command("up")(up)
app.command("down")(down)
app.command("status")(status)
app.command("migrate")(migrate)
app.command("partitions")(partitions)
app.command("topics")(topics)
app.command("source", context_settings=PASS_ON)(source)
app.command("replay", context_settings=PASS_ON)(replay)
app.add_typer(bench, name="bench")
app.command("chaos")(chaos)
app.command("generate")(generate)
app.command("train")(train)
app.command("retrain")(retrain)
app.command("compare")(compare)
app.command("report")(report)
app.command("score")(score)
app.command("explain")(explain_text)
app.command("challenge")(challenge)
app.command("promote")(promote)
app.command("rollback")(rollback)
app.command("archive")(archive)
app.command("reconcile")(reconcile)
app.command("rescore")(rescore)
app.command("drift")(drift)
app.command("preview")(preview)
app.add_typer(lake, name="lake")
app.add_typer(dead_letters, name="dead-letters")
app.command("republish")(republish)
app.command("accept-gap")(accept_gap)
app.command("skip")(skip)
app.command("reset-watermark")(reset_watermark)


def main() -> None:
    """Run the command; an error of the project's own becomes one line and exit code 1."""
    try:
        app()
    except (ModerationError, ModuleNotFoundError) as error:
        shown = missing_part(error) if isinstance(error, ModuleNotFoundError) else error
        progress.print(f"[red]error[/red] [bold]{type(shown).__name__}[/bold]", end=" ")
        progress.print(str(shown), markup=False, highlight=False)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
