"""A task's command line becomes arguments (pure): words and quotes as a POSIX shell has them.

Nothing is expanded: no shell runs a command line (reference, semantics 6.3).
"""

from __future__ import annotations

import re
import shlex
from typing import Final

# Anything but plain ASCII words, which need no lexer: most command lines.
_NEEDS_LEXER: Final = re.compile(r"""[^\t\n\r !#-&(-\[\]-~]""")


class CommandRefused(ValueError):
    """The text is no command line; the message says why."""


def split(command_line: str) -> list[str]:
    """Return the arguments, the program first, or raise CommandRefused."""
    if not _NEEDS_LEXER.search(command_line):
        arguments = command_line.split()
    elif "\0" in command_line:
        raise CommandRefused("the command line contains NUL")
    else:
        try:
            arguments = shlex.split(command_line)
        except ValueError as error:
            raise CommandRefused(_what_is_open(command_line)) from error
    if not arguments or not arguments[0]:
        raise CommandRefused("the command line names no program")
    return arguments


def _what_is_open(command_line: str) -> str:
    """Return what keeps a command line from ending: a quote, or a backslash."""
    quote, at = "", 0
    characters = enumerate(command_line, 1)
    for position, character in characters:
        if character == "\\" and quote != "'":
            if next(characters, None) is None and not quote:
                return "the command line ends in a backslash that has nothing behind it"
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote, at = character, position
    return f"the quote {quote} at position {at} of the command line is never closed"
