"""Which processes of this machine belong to a test: those that name its folder."""

from pathlib import Path


def processes_naming(folder: Path) -> list[str]:
    """Return the command lines of processes that have `folder` in arguments, environment or cwd."""
    mark = str(folder).encode()
    found: list[str] = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            arguments = (process / "cmdline").read_bytes()
            told = arguments + (process / "environ").read_bytes()
            place = str((process / "cwd").readlink()).encode()
        except OSError:  # it ended meanwhile, or is another user's
            continue
        if mark in told or mark in place:
            found.append(f"{process.name}: {arguments.replace(bytes(1), b' ').decode()}")
    return found
