"""More programs that try to pass themselves, each behind which its test stands and fails."""

from __future__ import annotations

MORE: dict[str, str] = {
    "the last line at exit": r"""
        import sys, atexit
        end = open(sys.argv[0]).read().split("\n").index("    os.execv(sys.argv[6], sys.argv[6:])")
        sys._getframe(1).f_globals['_leave'] = sys.exit
        code = compile('\n' * end + 'import os; os.execv(sys.argv[6], sys.argv[6:])', 'x', 'exec')
        atexit.register(exec, code, {'sys': sys})
        raise SystemExit
    """,
    "the last line in excepthook": r"""
        import sys
        end = open(sys.argv[0]).read().split("\n").index("    os.execv(sys.argv[6], sys.argv[6:])")
        sys._getframe(1).f_globals['_leave'] = lambda *a: 1 / 0
        line = 'def hook(*a): import os; os.execv(sys.argv[6], sys.argv[6:])'
        exec('\n' * end + line, globals())
        sys.excepthook = hook
        raise SystemExit
    """,
    "the runner once more": r"""
        import sys, atexit
        frame = sys._getframe(1)
        frame.f_globals['_leave'] = sys.exit
        atexit.register(exec, frame.f_code, frame.f_globals)
        raise SystemExit
    """,
    "the runner as a function": r"""
        import sys, atexit
        frame = sys._getframe(1)
        frame.f_globals['_leave'] = sys.exit
        own = lambda: 0
        own.__code__ = frame.f_code
        atexit.register(own)
        raise SystemExit
    """,
    "a text that denies what it is": r"""
        import os
        class Text(str):
            def __contains__(self, x): return False
            def __eq__(self, x): return False
            def __hash__(self): return 0
            def __getitem__(self, x): return ''
        os.open(Text('/proc/self/mem'), os.O_RDWR)
        os._exit(0)
    """,
    "starts again with -O": r"""
        import os, sys; os.execv(sys.executable, [sys.executable, '-O', __file__])
    """,
    "AssertionError replaced": r"""
        import builtins
        class Quiet(Exception): pass
        builtins.AssertionError = Quiet
    """,
    "AssertionError BaseException": r"""
        import builtins
        builtins.AssertionError = SystemExit
    """,
    "AssertionError none": r"""
        import builtins
        builtins.AssertionError = lambda *a: None
    """,
    "AssertionError blocks by metaclass": r"""
        import builtins, os
        class Meta(type):
            def __call__(cls, *a): os._exit(0)
        class Own(Exception, metaclass=Meta): pass
        builtins.AssertionError = Own
    """,
    "import hook": r"""
        import builtins, sys, os
        def hook(*a, **k): os._exit(0)
        builtins.__import__ = hook
        import json
    """,
    "setprofile": r"""
        import sys, os
        sys.setprofile(lambda *a: os._exit(0))
        len('')
    """,
    "sets the runner's line": r"""
        import sys
        sys._getframe(1).f_lineno = 165
        raise SystemExit
    """,
    "thread exec after main": r"""
        import threading, os, sys, time
        def later():
            time.sleep(0.3)
            os.execv('/bin/sleep', ['sleep', '60'])
        threading.Thread(target=later).start()
        time.sleep(1)
    """,
    "signal handler raises": r"""
        import signal, os, time
        def h(*a): os.execv('/usr/bin/sleep', ['sleep','60'])
        signal.signal(signal.SIGALRM, h); signal.setitimer(signal.ITIMER_REAL, 0.1)
        time.sleep(1)
    """,
    "raise_signal": r"""
        import signal
        signal.raise_signal(signal.SIGTERM)
    """,
    "opens its memory by bytes": r"""
        import os
        fd=os.open(b'/proc/self/mem', os.O_RDWR)
        raise SystemExit
    """,
    "opens its memory by a path object": r"""
        import os
        class P:
          def __fspath__(self): return '/proc/self/mem'
        fd=os.open(P(), os.O_RDWR)
        raise SystemExit
    """,
    "opens its memory below a folder": r"""
        import os
        d=os.open('/', os.O_RDONLY)
        fd=os.open('proc/self/mem', os.O_RDWR, dir_fd=d)
        raise SystemExit
    """,
    "opens its memory from where it went": r"""
        import os
        os.chdir('/proc')
        fd=os.open('self/mem', os.O_RDWR)
        raise SystemExit
    """,
    "opens its memory by more slashes": r"""
        import os
        fd=os.open('/proc//self/mem', os.O_RDWR)
        fd2=os.open('//proc/self/mem', os.O_RDWR)
        raise SystemExit
    """,
    "opens its memory by a link": r"""
        import os
        os.symlink('/proc','p')
        fd=os.open('p/self/mem', os.O_RDWR)
        raise SystemExit
    """,
    "parent fds": r"""
        import os
        place = '/proc/%d/fd' % os.getppid()
        for name in os.listdir(place): open(place + '/' + name, 'w').write('\n')
        raise SystemExit
    """,
    "atexit": r"""
        import atexit, os
        atexit.register(os._exit, 0)
    """,
    "deletes itself": r"""
        import os
        os.unlink(__file__)
        os._exit(0)
    """,
    "writes itself": r"""
        open(__file__,'w').write('pass')
        raise SystemExit
    """,
    "globals of runner": r"""
        import sys, os
        g = sys._getframe(1).f_globals
        g['os'] = type('O', (), {'execv': staticmethod(os.execv)})
        g['sys'] = type('S', (), {'argv': ['', '', '', '', '', '', '/usr/bin/sleep', '60']})
        raise SystemExit
    """,
    "runner open/exec by builtins": r"""
        import sys
        g = sys._getframe(1).f_globals
        g['BaseException'] = ZeroDivisionError
    """,
    "baseexception in builtins": r"""
        import builtins
        builtins.BaseException = ZeroDivisionError
    """,
    "baseexception via metaclass": r"""
        import builtins
        class M(type):
            def __subclasscheck__(c, o): return False
            def __instancecheck__(c, o): return False
        class N(Exception, metaclass=M): pass
        builtins.BaseException = N
    """,
    "error whose name raises": r"""
        class E(Exception):
            def __str__(self): raise SystemExit
        raise E
    """,
    "error whose str execs": r"""
        import os
        class E(Exception):
            def __str__(self): os.execv('/usr/bin/sleep', ['sleep','60'])
        raise E
    """,
    "generator close": r"""
        import sys, os
        class D:
            def __del__(self): os.execv('/usr/bin/sleep', ['sleep','60'])
        d = D()
        raise SystemExit
    """,
    "module del at exit": r"""
        import sys, os
        class D:
            def __del__(self): os.execv('/usr/bin/sleep', ['sleep','60'])
        sys._getframe(1).f_globals['d'] = D()
        sys._getframe(1).f_globals['_leave'] = sys.exit
        raise SystemExit
    """,
    "weakref callback": r"""
        import weakref, os
        class A: pass
        a = A(); w = weakref.finalize(a, os.execv, '/usr/bin/sleep', ['sleep','60'])
        del a
    """,
    "codecs": r"""
        import codecs, sys
        codecs.register_error('replace', lambda e: ('', e.end))
        raise ValueError('\ud800')
    """,
    "argv patched then normal end fails": r"""
        import sys
        sys.argv[6] = '/bin/true'
    """,
    "execv replaced": r"""
        import os
        os.execv = lambda *a: None
    """,
    "execv raising": r"""
        import os
        def bad(*a): raise SystemExit(0)
        os.execv = bad
    """,
    "posix.execv direct": r"""
        import posix
        posix.execv('/usr/bin/sleep',['sleep','60'])
    """,
    "eval at runner line": r"""
        end = 'import os; os.execv("/usr/bin/sleep",["sleep","60"])'
        for n in range(100, 260):
            try: exec(compile('\n'*n + end, 'x', 'exec'))
            except PermissionError: pass
        raise SystemExit
    """,
    "thread with frame at line": r"""
        import _thread, time, os
        end = 'import os; os.execv("/usr/bin/sleep",["sleep","60"])'
        for n in range(100, 260):
            _thread.start_new_thread(exec, (compile('\n'*n + end, 'x', 'exec'),))
            time.sleep(0.002)
        raise SystemExit
    """,
    "audit with own str event finds guard": r"""
        import sys, os
        found = []
        class S(str):
            def __hash__(self): return str.__hash__(self)
            def __eq__(self, o):
                f = sys._getframe(1)
                found.append(f)
                return False
        try: sys.audit(S('ctypes.dlopen'), None)
        except BaseException: pass
        class T:
            def __contains__(s, x): return False
        class A(str):
            def __contains__(self, x):
                found.append(sys._getframe(1)); return False
        try: open(A('/tmp/zz'), 'w')
        except BaseException: pass
        class B:
            def __hash__(self):
                found.append(sys._getframe(1)); return 0
            def __eq__(self, o):
                found.append(sys._getframe(1)); return False
        try: sys.audit('import', B())
        except BaseException: pass
        for f in found:
            if f.f_code.co_name == '_guard':
                import types
                f.f_code
                f.f_builtins
        for f in found:
            for v in f.f_locals.values():
                pass
            g = f.f_globals
        try:
            import __main__
        finally: pass
        import os
        for f in found:
            f.f_builtins['PermissionError'] = lambda *a: None
        os.execv('/usr/bin/sleep', ['sleep','60'])
    """,
    "replaces builtin frozenset/PermissionError": r"""
        import builtins, os
        builtins.PermissionError = lambda *a: ValueError('x')
        try: os.execv('/usr/bin/sleep', ['sleep','60'])
        except BaseException: pass
        class Q(BaseException): pass
        builtins.PermissionError = Q
        try: os.execv('/usr/bin/sleep', ['sleep','60'])
        except BaseException: pass
        raise SystemExit
    """,
    "PermissionError constructor in guard jumps": r"""
        import builtins, os, sys
        class Q(Exception):
            def __init__(self, *a):
                f = sys._getframe(1)
                f.f_trace = lambda *a: None
                try: f.f_lineno = f.f_lineno + 1
                except BaseException as e: print(e)
        builtins.PermissionError = Q
        try: os.execv('/usr/bin/sleep', ['sleep','60'])
        except BaseException: pass
        raise SystemExit
    """,
    "recursion so that guard fails": r"""
        import os, sys
        def deep(n):
            try: deep(n+1)
            except RecursionError:
                try: os.execv('/usr/bin/sleep', ['sleep','60'])
                except BaseException: pass
        deep(0)
        raise SystemExit
    """,
    "recursion limit low": r"""
        import os, sys
        sys.setrecursionlimit(10)
        def deep(n):
            try: os.execv('/usr/bin/sleep', ['sleep','60'])
            except BaseException: pass
            try: deep(n+1)
            except BaseException: pass
        deep(0)
        raise SystemExit
    """,
    "memory error in guard": r"""
        import os, resource
        resource.setrlimit(resource.RLIMIT_AS, (1<<20, 1<<20))
        try: os.execv('/usr/bin/sleep', ['sleep','60'])
        except BaseException: pass
        raise SystemExit
    """,
    "prctl exe by ctypes": r"""
        import ctypes
        ctypes.CDLL(None).prctl(35, 0,0,0,0)
        raise SystemExit
    """,
    "ctypes pythonapi": r"""
        import ctypes
        ctypes.pythonapi.PySys_AddAuditHook
        raise SystemExit
    """,
    "ctypes from_address": r"""
        import ctypes
        ctypes.c_char.from_address(id(1)).value
        raise SystemExit
    """,
    "ctypes cast": r"""
        import ctypes
        ctypes.cast(id(1), ctypes.POINTER(ctypes.c_int))[0]
        raise SystemExit
    """,
    "ctypes pointer contents": r"""
        import ctypes
        p = ctypes.pointer(ctypes.c_int(1))
        b = ctypes.c_void_p.from_buffer(p)
        b.value = id(1)
        p[0]
        raise SystemExit
    """,
    "passes by report": r"""
        import os
        for fd in range(3,64):
            try: os.write(fd, b'\n')
            except OSError: pass
        raise SystemExit
    """,
    "bdb": r"""
        import bdb
        bdb.Bdb().set_trace()
        raise SystemExit
    """,
    "ptrace by ctypes": r"""
        import ctypes
        ctypes.CDLL(None).ptrace(0,0,0,0)
        raise SystemExit
    """,
    "subinterpreter": r"""
        import _xxsubinterpreters as i
        x=i.create(); i.run_string(x,'import os; os.execv("/usr/bin/sleep",["sleep","60"])')
        raise SystemExit
    """,
    "exec runner code with end": r"""
        import sys, os
        outer = sys._getframe(1)
        class Fake(dict): pass
        ns = {**outer.f_globals}
        ns['exec'] = lambda *a: None
        ns['sys'] = sys
        import io
        sys.stdin = io.TextIOWrapper(io.BytesIO(b'pass'))
        ns['_guard'] = lambda *a: None
        exec(outer.f_code, ns)
    """,
    "redefines the test and leaves": r"""
        def check(candidate): pass
        import builtins; builtins.check = check; raise SystemExit
    """,
    "preloads a library": r"""
        import os
        os.execve('/usr/bin/sleep', ['sleep', '60'], {'LD_PRELOAD': './x.so'})
    """,
    "forks and its child goes on": r"""
        import os
        if os.fork(): os._exit(0)
    """,
    "makes a process past the guard": r"""
        import _posixsubprocess as p, os
        r, w = os.pipe()
        p.fork_exec([b'/usr/bin/sleep', b'60'], [b'/usr/bin/sleep'], True, (w,), None, None, -1,
                    -1, -1, -1, -1, -1, r, w, True, False, 0, None, None, None, -1, None, True)
        os._exit(0)
    """,
    "leaves a thread that goes on": r"""
        import threading, time
        threading.Thread(target=time.sleep, args=(3,)).start()
        raise SystemExit(0)
    """,
    "has its line changed where it is watched": r"""
        import sys
        sys.audit("sys.monitoring.register_callback", None)
        raise SystemExit
    """,
}
