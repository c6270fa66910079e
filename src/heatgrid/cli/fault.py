"""How a command ends when it does not end well: messages, exit codes, signals, closed pipes."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from heatgrid.cli.text import clean, paint, put, say
from heatgrid.words.errors import HeatgridError, InputError, LimitError, UsageError, nearest

OK, BUG, USAGE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
_POINTS = ("HG1210", "HG1211", "HG1212")
GRACE_S = 0.6
"""After a signal: unwinding (temporary files go) gets this long, then the process ends whatever its threads do."""


class Terminated(BaseException):
    """SIGTERM as an exception, so that what was opened is closed on the way out."""


def guarded(work: Callable[[], int], words: Sequence[str]) -> int:
    """The exit code of ``work``, every failure rendered once, on stderr; ``words`` are the command line's."""
    with _signals():
        try:
            code = work()
            sys.stdout.flush()
            return code
        except BaseException as error:
            return _ended(error, words)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM unwind the command, once; a second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if not _stopping:
                signal.signal(number, handler)


_stopping: list[int] = []


def _stop(number: int, frame: object) -> NoReturn:
    code = 128 + number
    if _stopping:
        os._exit(code)
    _stopping.append(code)
    last = threading.Timer(GRACE_S, _leave, (code,))
    last.daemon = True
    last.start()
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _leave(code: int) -> None:
    _farewell(code)
    os._exit(code)


def _farewell(code: int) -> None:
    """Said once, by whoever comes first: the unwinding or the clock."""
    if code not in _said:
        _said.add(code)
        os.write(2, b"heatgrid: interrupted\n" if code == INTERRUPTED else b"heatgrid: terminated\n")


_said: set[int] = set()


def _ended(error: BaseException, words: Sequence[str]) -> int:
    chain = list(_causes(error))
    if any(isinstance(e, KeyboardInterrupt) for e in chain) or type(error).__name__ == "Abort":
        _farewell(INTERRUPTED)
        return INTERRUPTED
    if any(isinstance(e, Terminated) for e in chain):
        _farewell(TERMINATED)
        return TERMINATED
    if any(isinstance(e, OSError) and e.errno == errno.EPIPE for e in chain):
        _silence_stdout()
        return OK
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else BUG
    if type(error).__name__ == "NoArgsIsHelpError":
        say(str(error.format_message()))  # type: ignore[attr-defined]
        return USAGE
    debug = _wants("debug", words)
    if debug:
        import traceback

        traceback.print_exception(error)
    known = _known(error) or _bug(error, debug)
    show(known)
    if _wants("json", words):
        import json

        put(json.dumps({"heatgrid": 1, "error": known.as_dict()}))
    return known.exit_code


def _wants(flag: str, words: Sequence[str]) -> bool:
    """A flag of the command line or the environment, also where the options themselves could not be read."""
    return f"--{flag}" in words or os.environ.get(f"HEATGRID_{flag.upper()}", "0").lower() not in (
        "",
        "0",
        "false",
        "no",
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _known(error: BaseException) -> HeatgridError | None:
    """The error in our words, or None where it is a bug of ours."""
    if isinstance(error, HeatgridError):
        return error
    if _short_of_memory(error):
        return LimitError(
            "out of memory", code="HG4001", value=str(error) or None,
            hint="a larger --cell, fewer --by columns, without --distinct; `heatgrid plan` shows the estimate",
        )  # fmt: skip
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return LimitError("no space to write to", code="HG4002", where=error.filename, value=error.strerror)
    if isinstance(error, OSError) and error.filename is not None:
        return InputError(
            "a file or folder cannot be used", code="HG2011", where=str(error.filename), value=error.strerror
        )
    if hasattr(error, "format_message"):  # Typer's own, for the command line itself
        return _usage(error)
    return None


def _short_of_memory(error: BaseException) -> bool:
    """Also where a library cannot be loaded, or a thread not started, for want of room."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    signs = {ImportError: "failed to map segment", RuntimeError: "can't start new thread"}
    return isinstance(error, MemoryError) or any(isinstance(error, k) and t in str(error) for k, t in signs.items())


def _usage(error: BaseException) -> UsageError:
    """Typer's complaint with the nearest names."""
    ctx = getattr(error, "ctx", None)
    message = " ".join(str(error.format_message()).split())  # type: ignore[attr-defined]
    path = ctx.command_path if ctx is not None else "heatgrid"
    hint, code = f"{path} --help", "HG1001"
    wrong = getattr(error, "option_name", None)
    if ctx is not None and wrong and type(error).__name__ == "NoSuchOption":
        options = sorted({name for param in ctx.command.params for name in param.opts if name.startswith("--")})
        hint, code, message = nearest(str(wrong), options), "HG1002", "no such option"
        return UsageError(message, code=code, where=path, value=str(wrong), hint=hint)
    commands = getattr(ctx.command, "commands", None) if ctx is not None else None
    if commands and message.startswith("No such command"):
        name = message.partition("'")[2].partition("'")[0]
        return UsageError(
            "no such command", code="HG1003", where=path, value=name, hint=nearest(name, sorted(commands))
        )
    return UsageError(message[:1].lower() + message[1:].rstrip("."), code=code, where=path, hint=hint)


def show(error: HeatgridError) -> None:
    """What, where, the value, what was expected and what to try, on stderr."""
    head = paint("error:", "1;31", sys.stderr)
    say(f"{head} {clean(error.what)} [{error.code}]")
    about = error.as_dict()
    for label, key in (("where", "where"), ("value", "value"), ("expected", "expected"), ("try", "hint")):
        if about[key] is not None:
            # of a predicate the second line points at the place; a name of the input never has a line of its own
            lines = str(about[key]).split("\n") if key == "where" and error.code in _POINTS else [about[key]]
            say(f"  {label + ':':<9} " + "\n".join(clean(line) for line in lines))


def _bug(error: BaseException, debug: bool) -> HeatgridError:
    hint = None if debug else "the same with --debug, and report what it prints"
    return HeatgridError(f"a bug in heatgrid: {type(error).__name__}: {error}", code="HG0001", hint=hint)


def _silence_stdout() -> None:
    """The reader has gone: what is still buffered goes nowhere, also when the interpreter shuts down."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
