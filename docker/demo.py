#!/usr/bin/env python3
"""Run the whole system in docker-compose.yaml and print what it did: ``docker/demo.py``; `make compose-demo` calls it.

It generates comments, trains and registers a model, sends traffic, archives and reconciles it, retrains, promotes the
new version, and checks every record. It needs Python 3.8 and Docker Compose, and an empty system. The exit code is 3 if
a count of defects is not 0, and 1 if a step fails.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Generated days begin at this one. The new version is asked for comments of the day after the last.
FIRST_DAY, LAST_DAY, NEXT_DAY, END = "2026-01-01", "2026-01-07", "2026-01-08", "2026-01-09"
HISTORY = ("--days", "1", "--comments-per-day", "300", "--seed", "1")
FAULTS = ("--late", "0.01", "--duplicate", "0.01", "--edited", "0.01", "--broken", "0.01")
TRAFFIC = ("--generate", "--days", "7", "--comments-per-day", "900", "--seed", "2", *FAULTS, "--fast")
NEXT = ("--generate", "--days", "1", "--comments-per-day", "300", "--seed", "3", "--fast", "--shift-to", NEXT_DAY)
STATE = "/var/lib/moderation/demo"
DEFECT = 3
WAIT_SECONDS = 300
# Partitions and panes that differ from the sums of the ledger.
NOT_ONCE = """
WITH stored AS (
    SELECT topic_id, partition, sum(n) AS n FROM (
        SELECT topic_id, partition, 1 AS n FROM speed.decisions
        UNION ALL SELECT topic_id, partition, 1 FROM speed.dead_letters
        UNION ALL SELECT topic_id, partition, next_offset - first_offset FROM speed.gaps
        UNION ALL SELECT topic_id, partition, next_offset - first_offset FROM speed.holes) each GROUP BY 1, 2
), panes AS (
    SELECT topic_id, partition, sum(comments) AS n FROM speed.panes GROUP BY 1, 2
), counted AS (
    SELECT topic_id, partition, count(*) AS n FROM speed.decisions WHERE fate = 'counted' GROUP BY 1, 2
)
SELECT (SELECT count(*) FROM speed.source_offsets o LEFT JOIN stored s USING (topic_id, partition)
         WHERE o.next - o.first <> coalesce(s.n, 0))
     + (SELECT count(*) FROM counted c LEFT JOIN panes p USING (topic_id, partition) WHERE c.n <> coalesce(p.n, 0))
"""


class Stopped(Exception):
    """A step failed; the message says which and why."""


class Compose:
    """Commands of ``docker compose``.

    Args:
        command: the command with options that choose the project.
    """

    def __init__(self, command):
        self._command = list(command)

    def run(self, *arguments, accepted=(0,)):
        """Run a command and return what it printed; its progress is shown."""
        done = subprocess.run([*self._command, *arguments], stdout=subprocess.PIPE, cwd=ROOT, text=True, check=False)
        if done.returncode not in accepted:
            shown = " ".join(["docker", "compose", *arguments])
            raise Stopped(f"`{shown}` ended with {done.returncode}; its last lines are above")
        return done.stdout

    def once(self, service, *arguments, accepted=(0,)):
        """Run a command in a new container of a service, without its jobs."""
        return self.run("run", "--rm", "--no-deps", "-T", service, *arguments, accepted=accepted)

    def moderation(self, *arguments, accepted=(0,)):
        """Run ``moderation`` with ``--json`` and return the object."""
        return json.loads(self.once("moderation", *arguments, "--json", accepted=accepted))

    def rows(self, statement):
        """Execute a statement in the ledger's database; return rows of texts."""
        command = ("exec", "-T", "postgres", "psql", "--username", "postgres", "--dbname", "moderation", "-tAF\t")
        return [line.split("\t") for line in self.run(*command, "--command", statement).splitlines()]

    def number(self, statement):
        """Execute a statement that returns one number."""
        return int(self.rows(statement)[0][0] or 0)


def wait_until(condition, description):
    """Wait until a condition holds.

    Raises:
        Stopped: it does not in time.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise Stopped(f"{description}: not within {WAIT_SECONDS} s. See `docker compose logs worker`.")
        time.sleep(2)


def archive(compose):
    """Archive both topics and wait until the workers have decided all archived comments."""
    report = compose.moderation("archive")
    topic = next(each for each in report["topics"] if each["topic"].endswith("comments"))
    ends = {int(each["partition"]): int(each["next_offset"]) for each in topic["partitions"]}

    def is_decided():
        rows = compose.rows("SELECT partition, next FROM speed.source_offsets")
        positions = {int(partition): int(position) for partition, position in rows}
        return all(positions.get(partition, 0) >= end for partition, end in ends.items())

    wait_until(is_decided, "decisions on all comments")


def reconcile(compose, first, last):
    """Reconcile days and return their reports."""
    report = compose.moderation("reconcile", "--date", first, "--until", last, accepted=(0, DEFECT))
    return report["days"]


def totals(days):
    """Add up reports of days that had something to reconcile."""
    done = [day for day in days if not day.get("skipped")]
    sums = {"days": len(done), "final": sum(day["state"] == "final" for day in done)}
    for name in ("batch_comments", "speed_comments"):
        sums[name] = sum(day[name] for day in done)
    for kind in ("causes", "defects"):
        names = sorted({name for day in done for name in day[kind]})
        sums[kind] = {name: sum(day[kind].get(name, 0) for day in done) for name in names}
    return sums


def is_sound(summary):
    """Whether days were reconciled without defects, and each record is stored once."""
    return (
        summary["reconciled"]["days"] > 0
        and not any(summary["reconciled"]["defects"].values())
        and not summary["partitions_that_differ"]
    )


def demonstrate(compose, up_options, progress):
    """Run all steps and return the summary.

    Args:
        compose: the commands.
        up_options: of ``docker compose up``.
        progress: receives one line at each step.
    """
    progress("starting; the first time this builds the images")
    compose.run("up", "--detach", *up_options)
    if compose.number("SELECT count(*) FROM speed.source_offsets") or compose.number(
        "SELECT count(*) FROM speed.served"
    ):
        raise Stopped(
            "this system has data. The demonstration needs an empty one: "
            "`docker compose --profile '*' down --volumes` deletes everything"
        )
    progress("training the first model on generated comments")
    compose.once("moderation", "generate", "--out", "demo-history", *HISTORY)
    goal = ("--goal", "review_share<=0.2")
    first = compose.moderation("train", "demo-history", "--out", "demo-model", *goal, "--register")["registered"]
    progress(f"version {first['version']} is registered; sending a week of comments and actions")
    compose.once("source", *TRAFFIC, "--state", f"{STATE}/week")
    progress("archiving, while the workers decide")
    archive(compose)
    progress("reconciling each day with the lake")
    days = reconcile(compose, FIRST_DAY, LAST_DAY)
    progress("retraining on the lake, and comparing the new version with production")
    # Half of the week, so that the gate has enough comments to decide.
    interval = ("--days", "7", "--end", NEXT_DAY, "--newest-share", "0.5")
    trained = compose.moderation("retrain", *interval, "--reason", "labels of the demonstration")
    gate = trained.get("gate") or {"is_passed": False, "reasons": [trained.get("skipped")], "figures": {}}
    version = str(trained.get("version", ""))
    if gate["is_passed"]:
        progress(f"version {version} passed the gate; promoting it and sending another day")
        compose.moderation("promote", "--version", version, "--reason", "the demonstration's new labels")
    compose.once("source", *NEXT, "--shift-anchor", "first", "--state", f"{STATE}/next")
    progress("archiving and reconciling that day")
    archive(compose)
    days += reconcile(compose, NEXT_DAY, END)
    served = compose.rows("SELECT model_version, count(*) FROM speed.decisions GROUP BY 1 ORDER BY 1")
    verdicts = compose.rows("SELECT verdict, count(*) FROM speed.decisions GROUP BY 1 ORDER BY 1")
    return {
        "records": compose.number("SELECT sum(next - first) FROM speed.source_offsets"),
        "decisions": compose.number("SELECT count(*) FROM speed.decisions"),
        "dead_letters": compose.number("SELECT count(*) FROM speed.dead_letters"),
        "verdicts": {verdict: int(count) for verdict, count in verdicts},
        "partitions_that_differ": compose.number(NOT_ONCE),
        "reconciled": totals(days),
        "first_version": str(first["version"]),
        "new_version": version,
        "is_promoted": gate["is_passed"],
        "reasons": list(gate["reasons"]),
        "auc": gate["figures"].get("auc"),
        "production_auc": gate["figures"].get("production_auc"),
        "decided_by_version": {name: int(count) for name, count in served},
    }


def lines_of(summary):
    """Return the summary as lines of text."""
    reconciled = summary["reconciled"]
    explained = ", ".join(f"{rows:,} {cause}" for cause, rows in reconciled["causes"].items() if rows)
    by_version = ", ".join(f"{count:,} by version {name}" for name, count in summary["decided_by_version"].items())
    verdicts = ", ".join(f"{count:,} {verdict}" for verdict, count in summary["verdicts"].items())
    rows = [
        ("records", f"{summary['records']:,}"),
        ("decisions", f"{summary['decisions']:,}: {verdicts}"),
        ("dead letters", f"{summary['dead_letters']:,}"),
        ("decided", by_version),
        ("days reconciled", f"{reconciled['days']}, {reconciled['final']} of them final"),
        ("comments in their panes", f"batch {reconciled['batch_comments']:,}, speed {reconciled['speed_comments']:,}"),
        ("explained by", explained or "nothing to explain"),
        ("defects", f"{sum(reconciled['defects'].values())}"),
        ("partitions that differ from the ledger", f"{summary['partitions_that_differ']}"),
    ]
    if summary["auc"] is not None and summary["production_auc"] is not None:
        figures = f"{summary['auc']:.3f} of the new version, {summary['production_auc']:.3f} of the first"
        rows.append(("AUC on the newest comments", figures))
    promoted = (
        f"version {summary['new_version']}" if summary["is_promoted"] else "; ".join(map(str, summary["reasons"]))
    )
    rows.append(("promoted" if summary["is_promoted"] else "not promoted", promoted))
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {text}" for name, text in rows]


def main():
    """Parse the command line, run, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compose", default="docker compose", help="the command, e.g. with a project name")
    parser.add_argument("--no-build", action="store_true", help="use the images that exist")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print the summary as one JSON object")
    options = parser.parse_args()
    begun = time.monotonic()

    def progress(line):
        print(f"{time.monotonic() - begun:5.0f} s  {line}", file=sys.stderr, flush=True)  # noqa: T201

    up_options = ("--no-build", "--pull", "never") if options.no_build else ()
    try:
        summary = demonstrate(Compose(shlex.split(options.compose)), up_options, progress)
    except Stopped as error:
        sys.exit(f"the demonstration stopped: {error}")
    summary["seconds"] = round(time.monotonic() - begun, 1)
    if options.as_json:
        print(json.dumps(summary))  # noqa: T201
    else:
        print("\n".join(lines_of(summary)))  # noqa: T201
    if not is_sound(summary):
        sys.exit(DEFECT)


if __name__ == "__main__":
    main()
