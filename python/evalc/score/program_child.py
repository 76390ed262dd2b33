"""The interpreter in which one program runs: limits, then the guard, then the program.

Started by `programs.run_program` as a script, importing nothing of evalc:
`program_child.py FD CPU_SECONDS MEMORY_MB FILE_MB PROCESSES FINISHER...`, the program on standard
input. Writes to FD a line feed when it hands over to the program, and the error that ended it. At
the program's end the process becomes FINISHER, which its parent sees from outside: nothing in here
is a secret, and nothing that the program writes or exits with is a verdict.

Whoever can become FINISHER passes. So the guard allows that to one place alone: the statement at
the end of this file, in this file's own code, executed by the main thread with no frame below
it. A program cannot come
there early, as it would have to leave its own frames, which it does by raising, and then the other
branch is taken; what moves the line of a frame (a trace function) is refused, as is what looks for
objects without a name (gc) or reaches memory (ctypes, subinterpreters, whose hooks are others).
"""

import _thread
import os
import sys
from contextlib import suppress

_MARK = "    os.execv(sys.argv[6], sys.argv[6:])"
with open(__file__, encoding="utf-8") as _own:  # noqa: PTH123  no pathlib: start-up time counts
    _END = _own.read().split("\n").index(_MARK) + 1


_REFUSED = frozenset(
    [
        *("os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn"),
        *("subprocess.Popen", "os.kill", "os.killpg", "signal.pthread_kill"),
        *("socket.bind", "socket.connect", "socket.getaddrinfo", "socket.sendmsg"),
        *("socket.sendto", "sys.settrace", "sys.monitoring.register_callback"),
        *("sys._current_frames", "gc.get_objects", "gc.get_referrers", "gc.get_referents"),
        *("code.__new__", "cpython.PyInterpreterState_New", "ctypes.dlsym", "ctypes.cdata"),
        *("ctypes.dlsym/handle", "ctypes.cdata/buffer", "ctypes.string_at", "ctypes.wstring_at"),
        *("ctypes.call_function", "ctypes.PyObj_FromPtr"),
    ]
)
_MODULES = frozenset(
    [
        *("_testcapi", "_testinternalcapi", "_ctypes_test", "_testclinic", "_testlimitedcapi"),
        *("_xxsubinterpreters", "_interpreters"),
    ]
)
_OWN_CODE = sys._getframe().f_code
_LINKS = frozenset(["os.symlink", "os.link", "os.rename"])


def _guard(  # type: ignore[no-untyped-def]  # noqa: PLR0912
    event,
    arguments,
    *,  # what it uses is its own, as a program can replace globals
    refused=_REFUSED,
    modules=_MODULES,
    links=_LINKS,
    end=_END,
    frame_of=sys._getframe,
    native=_thread.get_native_id,
    process=os.getpid,
    own=_OWN_CODE,
    is_a=isinstance,
    text=str,
    raw=bytes,
):
    for one in arguments:
        if one is own:  # run once more, this file would come to its end
            raise PermissionError("a scored program may not use the code that runs it")
    if event in refused:
        raise PermissionError("a scored program may not use " + event)
    if event == "ctypes.dlopen":
        if arguments[0] is not None:
            raise PermissionError("a scored program may not use ctypes.dlopen")
    elif event == "import":
        if arguments[0] in modules:
            raise PermissionError("a scored program may not use this module")
    elif event == "open" or event in links:
        # by any spelling, as by a link to a folder: what ends in `mem` may be a process's memory
        path = arguments[0]
        if is_a(path, raw):
            path = raw.decode(path, "utf-8", "replace")
        if is_a(path, text):
            path = text.__str__(path)  # a text of its own kind may say anything of itself
        if is_a(path, text) and ("/proc/" in path or path == "mem" or path[-4:] == "/mem"):
            raise PermissionError("a scored program may not use /proc")
    elif event == "os.exec":
        caller = frame_of(1)
        here = caller.f_code is own and caller.f_back is None and caller.f_lineno == end
        if not here or native() != process():
            raise PermissionError("a scored program may not use os.exec")


def _limit(cpu_seconds: int, memory_mb: int, file_mb: int, processes: int) -> None:
    import resource  # noqa: PLC0415  absent on Windows, where no limit is set

    mega = 1024 * 1024
    wanted = (
        ("RLIMIT_CORE", 0),
        ("RLIMIT_CPU", cpu_seconds),
        ("RLIMIT_FSIZE", file_mb * mega),
        ("RLIMIT_AS", memory_mb * mega),
        ("RLIMIT_NOFILE", 64),
        ("RLIMIT_NPROC", processes),
    )
    for name, value in wanted:
        number = getattr(resource, name, None)
        if number is None:
            continue
        ceiling = resource.getrlimit(number)[1]
        bound = value if ceiling == resource.RLIM_INFINITY else min(value, ceiling)
        try:
            resource.setrlimit(number, (bound, bound))
        except (OSError, ValueError):
            continue  # macOS refuses some of them; the wall clock still holds


_source, _path, _fd = sys.stdin.buffer.read(), "program.py", int(sys.argv[1])
with open(_path, "wb") as _file:  # noqa: PTH123
    _file.write(_source)
with suppress(ImportError):
    _limit(*map(int, sys.argv[2:6]))
os.set_inheritable(_fd, False)
_write, _leave = os.write, os._exit
sys.addaudithook(_guard)
del _guard, _REFUSED, _MODULES, _LINKS, _OWN_CODE
_write(_fd, b"\n")
try:
    exec(compile(_source, _path, "exec"), {"__name__": "__main__", "__file__": _path})
except BaseException as error:
    try:
        _write(_fd, f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:2000])
    finally:
        _leave(1)
else:
    os.execv(sys.argv[6], sys.argv[6:])
