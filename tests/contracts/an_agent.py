"""A stand-in for the agent as the local provider sees it: processes and files, no link.

It leaves a spawner that outlives it, and the spawner a task, a marked daemon, and a daemon that
wiped its environment and left its session. Each writes its number below root/ when it runs.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

TASK = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
folder, depth = sys.argv[1], int(sys.argv[2])
if depth:
    env = {} if depth == 1 else dict(os.environ)
    subprocess.Popen([sys.executable, "-ISc", os.environ["CODE"] if depth > 1 else "import time, os"
        f"; open({folder!r} + '/pid.wiped', 'w').write(str(os.getpid())); time.sleep(1000)",
        folder, str(depth - 1)], start_new_session=True, env=env)
with open(f"{folder}/pid.task{depth}", "w") as file:
    file.write(str(os.getpid()))
time.sleep(1000)
"""


def note(root: Path, name: str) -> None:
    fresh = root / f".{name}"
    fresh.write_text(str(os.getpid()))
    fresh.rename(root / f"pid.{name}")


def spawner(root: Path) -> None:
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    env = {"SHOAL_NODE": str(root.parent), "CODE": TASK}
    subprocess.Popen([sys.executable, "-ISc", TASK, str(root), "2"], env=env)
    note(root, "spawner")
    while True:
        time.sleep(1000)


def main() -> None:
    settings = tomllib.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
    root = Path(settings["root"])
    (root / "token").write_text(Path(settings["join_token_file"]).read_text())
    (root / "url").write_text(settings["controller_url"])
    (root / "environment").write_text("\n".join(os.environ))
    if "fails" in settings["controller_url"]:
        sys.exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if not (root / "pid.spawner").exists() and os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            # Not by fork alone: it would look like the agent.
            os.execv(sys.executable, [sys.executable, "-IS", __file__, "spawner", str(root)])
        os._exit(0)
    note(root, "agent")
    while True:
        time.sleep(1000)


if sys.argv[1] == "spawner":
    spawner(Path(sys.argv[2]))
main()
