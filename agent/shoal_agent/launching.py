"""Starting one process: its directories, its output files, its environment, then vfork and exec.

Used by the spawner alone, in its one thread. It speaks to CPython's own fork-exec (the function
beneath `subprocess`), which uses vfork and so costs the same however big this process is; where
that private function has another shape, `subprocess.Popen` does the same work more slowly. A
process of another user takes a plain fork: after vfork a child still shares this memory, which
must not be open to the task's user for a moment.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Any, Final

from shoal_agent.processtree import NODE_MARK, RUN_MARK

_fork_exec: Any
try:
    from _posixsubprocess import fork_exec as _fork_exec
except ImportError:  # another interpreter than CPython
    _fork_exec = None

UMASK: Final = 0o022
OUTPUT_MODE: Final = 0o644
_OUTPUT_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
DEFAULT_PATH: Final = b"PATH=/usr/local/bin:/usr/bin:/bin"

OWNERS_MAX: Final = (1 << 32) - 1
"""User and group numbers are below: the last one means "none" to the kernel."""

Directory = tuple[str, int, int, int]
Environment = dict[str, bytes]
"""Names, each with the whole NAME=value that exec wants: encoded once, used for every task."""


class LaunchFailed(Exception):
    """Nothing was started.

    errno  the operating system's number
    stage  environment, directories, output, cwd, program (could not be executed), process (no
           process could be made)
    """

    def __init__(self, number: int, stage: str) -> None:
        super().__init__(f"cannot launch, {stage}: {os.strerror(number)}")
        self.errno = number
        self.stage = stage


class Launch:
    """What to start, as it came over the socket and was found well formed.

    argv         the program first: with a slash relative to cwd, else searched on the PATH of env
    base, env    name of a registered environment, and what is added to it
    stdout, stderr   made anew, never written through a link; None is /dev/null; may be the same
    directories  (path, mode, uid, gid) to make first, in order; -1 leaves the owner
    uid          None: the spawner's own user
    limit_s      wall clock from the start of the process, less used_s; None: no limit
    hold         the slots stay held after the end until they are released
    """

    __slots__ = (
        "argv", "base", "cwd", "directories", "env", "gid", "groups", "hold", "limit_s", "stderr",
        "stdout", "uid", "used_s",
    )  # fmt: skip

    def __init__(self, value: object) -> None:
        """Take in decoded JSON; ValueError when it is not a launch."""
        if not isinstance(value, dict):
            raise ValueError("a launch is an object")
        get: Callable[..., Any] = value.get
        self.argv = _texts(get("argv"))
        if not self.argv or not self.argv[0]:
            raise ValueError("a launch names its program")
        self.base, self.cwd = get("base", ""), get("cwd")
        self.stdout, self.stderr = get("stdout"), get("stderr")
        if type(self.base) is not str or type(self.cwd) is not str:
            raise ValueError("base and cwd are texts")
        if not isinstance(self.stdout, str | None) or not isinstance(self.stderr, str | None):
            raise ValueError("stdout and stderr are texts or nothing")
        self.env = environment(get("env"))
        self.directories = _directories(get("directories"))
        self.uid, self.gid = _owner_or_none(get("uid")), _owner_or_none(get("gid"))
        self.groups = _groups(get("groups"))
        if (self.uid is None) != (self.gid is None) or (self.groups and self.uid is None):
            raise ValueError("a user goes with a group, groups with both")
        self.limit_s = seconds_or_none(get("limit_s"))
        self.used_s = seconds_or_none(get("used_s")) or 0.0
        self.hold = get("hold") is True


class Prepared:
    """A launch with all done but the start itself: directories, files, and what exec wants."""

    __slots__ = ("err", "exec_args", "launch", "out")

    def __init__(self, launch: Launch, out: int, err: int) -> None:
        self.launch = launch
        self.out = out
        self.err = err
        self.exec_args: tuple[Any, ...] = ()


class Launcher:
    """Makes directories, files and processes; knows which way this interpreter starts one."""

    def __init__(self) -> None:
        """Find out by trying which form of fork_exec there is: the number of its arguments differs
        between versions, and without a true vfork a failure would be reported too late.
        """
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._report_fd, self._child_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        missing = Launch({"argv": ["/nonexistent/shoal"], "cwd": "/"})
        for self._tail in ((None, True), (None,)) if _fork_exec is not None else ():
            try:
                os.waitpid(self._by_fork_exec(self.prepare(missing, []))[0], 0)
            except LaunchFailed as failed:
                if (failed.errno, failed.stage) == (errno.ENOENT, "program"):
                    self._spawn = self._by_fork_exec
                    return
            except TypeError:
                continue
        import subprocess  # now, for good: an upgrade may replace the files later  # noqa: F401

        self._spawn = self._by_popen

    def prepare(self, launch: Launch, env: list[bytes], path: bytes = DEFAULT_PATH) -> Prepared:
        """Make the directories and the output files, and get the rest ready.

        env     complete, as exec wants it; path its PATH=...
        raises  LaunchFailed("directories"), ("output") or ("program"); nothing stays open then
        A directory that exists already is left as it is; any other thing of that name is an error.
        """
        for directory in launch.directories:
            _make(directory)
        uid, gid = (-1, -1) if launch.uid is None else (launch.uid, launch.gid or 0)
        prepared = Prepared(launch, self._null, self._null)
        try:
            if launch.stdout is not None:
                prepared.out = _output(launch.stdout, uid, gid)
            if launch.stderr is not None:
                same = launch.stderr == launch.stdout
                prepared.err = prepared.out if same else _output(launch.stderr, uid, gid)
            argv = [arg.encode("utf-8", "surrogateescape") for arg in launch.argv]
            prepared.exec_args = (
                argv,
                _programs(argv[0], path),
                False,  # nothing to close: every descriptor of this process closes on exec
                (),
                launch.cwd.encode("utf-8", "surrogateescape"),
                env,
                *(self._null, -1, -1, prepared.out, -1, prepared.err),
            )
        except LaunchFailed:
            self.discard(prepared)
            raise
        except ValueError as error:  # a lone surrogate
            self.discard(prepared)
            raise LaunchFailed(errno.EINVAL, "program") from error
        return prepared

    def discard(self, prepared: Prepared) -> None:
        """Close the output files of a launch that is started, or never will be."""
        if prepared.out != self._null:
            os.close(prepared.out)
        if prepared.err not in (self._null, prepared.out):
            os.close(prepared.err)

    def spawn(self, prepared: Prepared) -> tuple[int, int]:
        """Start the process in a session of its own; return its pid and a report; `discard` after.

        raises  LaunchFailed("cwd"), ("program") or ("process")
        A report of -1 says that it was started. Any other is a descriptor that will tell: its end
        comes when the program was executed; what can be read before is for `failure`.
        The umask is 022, stdin /dev/null, nothing else open; signals have their default actions.
        """
        try:
            return self._spawn(prepared)
        except (ValueError, OverflowError) as error:  # NUL in a text
            raise LaunchFailed(errno.EINVAL, "program") from error

    def _by_fork_exec(self, prepared: Prepared) -> tuple[int, int]:
        if prepared.launch.uid is not None:
            # The child is a copy that takes its time: waiting for it would keep the others waiting.
            report_fd, child_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                return self._call(prepared, child_fd), report_fd
            except BaseException:
                os.close(report_fd)
                raise
            finally:
                os.close(child_fd)
        pid = self._call(prepared, self._child_fd)
        try:
            report = os.read(self._report_fd, 4096)
        except BlockingIOError:  # after vfork it has executed, or failed and said so, by now
            return pid, -1
        os.waitpid(pid, 0)
        raise failure(report)

    def _call(self, prepared: Prepared, child_fd: int) -> int:
        launch = prepared.launch
        try:
            return _fork_exec(
                *prepared.exec_args, self._report_fd, child_fd,
                True,  # SIGPIPE and SIGXFSZ, which Python ignores, get their default actions again
                True,  # a new session, and so a new process group
                -1, launch.gid, None if launch.uid is None else launch.groups, launch.uid, UMASK,
                *self._tail,
            )  # fmt: skip
        except OSError as error:
            raise LaunchFailed(_number(error), "process") from error

    def _by_popen(self, prepared: Prepared) -> tuple[int, int]:
        import subprocess

        launch = prepared.launch
        argv, _, _, _, cwd, env, *_ = prepared.exec_args
        user: dict[str, Any] = {}
        if launch.uid is not None:
            user = {"user": launch.uid, "group": launch.gid, "extra_groups": launch.groups}
        try:
            process = subprocess.Popen(
                argv, env=dict(text.split(b"=", 1) for text in env), cwd=cwd, stdin=self._null,
                stdout=prepared.out, stderr=prepared.err, start_new_session=True, umask=UMASK,
                **user,
            )  # fmt: skip
        except OSError as error:
            stage = "cwd" if error.filename == cwd else "program"
            raise LaunchFailed(_number(error), stage) from error
        process.returncode = 0  # it is reaped elsewhere; Popen need not care for it
        return process.pid, -1


def failure(report: bytes) -> LaunchFailed:
    """Read what a child says that could not execute: `OSError:<errno in hex>:`, with noexec behind
    it when something before exec went wrong (CPython, Modules/_posixsubprocess.c).
    """
    _, number, where = (report + b"::").split(b":", 2)
    stage = "cwd" if where.startswith(b"noexec") else "program"
    return LaunchFailed(int(number or b"0", 16) or errno.EIO, stage)


def environment(value: object) -> Environment:
    """Take in decoded JSON, names to values; ValueError when no environment can be made of it.

    The marks of run and node are the spawner's to set, and left out.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("an environment is names and texts")
    return {n: entry(n, text) for n, text in value.items() if n not in (RUN_MARK, NODE_MARK)}


def entry(name: str, value: object) -> bytes:
    """Return NAME=value; ValueError when that is not possible."""
    if type(value) is not str or not name or "=" in name or "\0" in name or "\0" in value:
        raise ValueError("an environment is names and texts")
    return os.fsencode(f"{name}={value}")


def seconds_or_none(value: object) -> float | None:
    """Take in a duration; ValueError when it is no finite number from 0 up."""
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= value < 1e12:  # pyright: ignore[reportOperatorIssue]
        raise ValueError("seconds are a number from 0 up")
    return float(value)  # pyright: ignore[reportArgumentType]


# --- small parts ----------------------------------------------------------------------------------


def _programs(name: bytes, path: bytes) -> list[bytes]:
    if b"/" in name:
        return [name]
    return [b"/".join((folder or b".", name)) for folder in path.partition(b"=")[2].split(b":")]


def _make(directory: Directory) -> None:
    path, mode, uid, gid = directory
    try:
        os.mkdir(path, mode)
        if mode > 0o1777:
            os.chmod(path, mode)
        if uid >= 0 or gid >= 0:
            os.chown(path, uid, gid, follow_symlinks=False)
    except FileExistsError:
        if not _is_directory(path):
            raise LaunchFailed(errno.ENOTDIR, "directories") from None
    except (OSError, ValueError) as error:
        raise LaunchFailed(_number(error), "directories") from error


def _output(path: str, uid: int, gid: int) -> int:
    """Make a new file: one left by an earlier run, or planted by a task, is never written to."""
    try:
        try:
            fd = os.open(path, _OUTPUT_FLAGS, OUTPUT_MODE)
        except FileExistsError:
            os.unlink(path)
            fd = os.open(path, _OUTPUT_FLAGS, OUTPUT_MODE)
        if uid >= 0:
            os.fchown(fd, uid, gid)
    except (OSError, ValueError) as error:
        raise LaunchFailed(_number(error), "output") from error
    return fd


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _number(error: BaseException) -> int:
    return getattr(error, "errno", None) or errno.EINVAL


# Types are compared, not asked with isinstance: true is not a number here.


def _texts(value: object) -> list[str]:
    if type(value) is not list:
        raise ValueError("a list of texts is missing")
    for text in value:
        if type(text) is not str:
            raise ValueError("a text is missing")
    return value


def _owner_or_none(value: object) -> int | None:
    if value is not None and (type(value) is not int or not 0 <= value < OWNERS_MAX):
        raise ValueError("a user or group is a number")
    return value


def _groups(value: Any) -> list[int]:
    for group in value or ():
        if type(group) is not int or not 0 <= group < OWNERS_MAX:
            raise ValueError("a group is a number")
    return value or []


def _directories(rows: Any) -> list[Directory]:
    made: list[Directory] = []
    for path, mode, uid, gid in rows or ():
        if type(path) is not str or type(mode) is not int or not 0 <= mode <= 0o7777:
            raise ValueError("a directory has a path and a mode of 12 bits")
        if type(uid) is not int or type(gid) is not int:
            raise ValueError("an owner is a number, or -1")
        if not (-1 <= uid < OWNERS_MAX and -1 <= gid < OWNERS_MAX):
            raise ValueError("an owner is a number, or -1")
        made.append((path, mode, uid, gid))
    return made
