"""shoal run: one command on a node, with its output and exit code, as if it ran here."""

from __future__ import annotations

import click

from shoal_cli.command import FOLLOW_PATIENCE_S, Session, api_command
from shoal_cli.faults import UsageFault
from shoal_cli.options import DURATION, ENV, ID, Count


@api_command(
    None,
    "run",
    doing="run it",
    patience_s=FOLLOW_PATIENCE_S,
    has_answer=False,
    context_settings={"allow_interspersed_args": False},
)
@click.argument("words", metavar="COMMAND [ARGS]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--pool", "pool_id", type=ID, help="Run on this pool, which exists.")
@click.option("--nodes", type=Count(1), help="Nodes of the pool that is made. [1]")
@click.option("--slots", type=Count(1), help="Slots of its nodes. [1]")
@click.option("--rm", is_flag=True, help="A pool for this command alone, deleted afterwards.")
@click.option("--keep", is_flag=True, help="Leave job, task and files for a look afterwards.")
@click.option(
    "-e", "--env", type=ENV, multiple=True,
    help="NAME=VALUE, or NAME for its value here; may be repeated.",
)  # fmt: skip
@click.option(
    "--file", "files", multiple=True, metavar="LOCAL[:REMOTE]",
    help="Send a file into the working directory; may be repeated.",
)  # fmt: skip
@click.option("--time-limit", type=DURATION, help="Kill it after this time.")
@click.option("--elevated", is_flag=True, help="Run it as administrator of the node.")
async def run(
    session: Session,
    words: tuple[str, ...],
    pool_id: str | None,
    nodes: int | None,
    slots: int | None,
    rm: bool,
    keep: bool,
    env: tuple[dict[str, str], ...],
    files: tuple[str, ...],
    time_limit: str | None,
    elevated: bool,
) -> int:
    """Run COMMAND on a node, show what it prints as it comes, and exit with its code
    (128 + n if signal n ended it). Without --pool a small pool is made and kept for the next time.
    """
    from shoal_cli.running import Run, run_command

    if not words:
        raise UsageFault("no command is given", mend="shoal run -- COMMAND [ARGS]...")
    if pool_id and (nodes or slots or rm):
        raise UsageFault("--nodes, --slots and --rm are for a pool that is made, not for --pool")
    wanted = Run(
        words=words,
        pool_id=pool_id,
        nodes=nodes or 1,
        slots=slots or 1,
        removes_pool=rm,
        keeps_job=keep,
        environment=env,
        files=files,
        time_limit=time_limit,
        is_elevated=elevated,
    )
    return await run_command(session, wanted)
