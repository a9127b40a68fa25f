#!/usr/bin/env bash
# Linux 6.18 (seen): a service that was started as root and has changed its user may not read some of its own files in /proc, nor may that user.
#
# Guess: /proc/self is the process itself, and a process may read what is about it. Another process of the same user may read it, too, and trace it,
# as long as Yama does not forbid it.
# Reality: a change of the user takes the right to be dumped away, until the next exec, and the files of the process then belong to root. What it may
# do with them depends on the file; some look whether the reader is in the same process, others only at the owner. After setuid by root, or
# prctl(PR_SET_DUMPABLE, 0) by anybody:
#
#     file                                            the process itself    a process of its user
#     maps, smaps, smaps_rollup, exe, cwd, fd         may                   may not
#     io, environ, auxv, mem, pagemap,                may not               may not
#     syscall, stack, personality
#     stat, status, schedstat, cmdline, limits        may                   may
#     writing comm, coredump_filter                   may not               may not
#     process_vm_readv, ptrace                        may (process_vm)      may not
#
# Why it matters: a server that binds port 80 and then becomes `www-data` is of this kind. A metric of bytes read and written from /proc/self/io
# works on the desk and is missing there; so is "in which system call is my thread". `gdb -p`, `perf record -p` and core files by that very user
# fail with "permission denied" where all advice says to run them as that user: they need root. A service manager that changes the user first, and
# then executes the program, leaves all of it readable.
set -euo pipefail
command -v python3 > /dev/null || { echo "linux_own_files_after_root.sh: needs python3" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The user that root becomes reads the script from here.
chmod 755 "$work"
cd "$work"
uname -sr

cat > look.py <<'PY'
import ctypes, os, sys

libc = ctypes.CDLL(None, use_errno=True)
FILES = "maps smaps smaps_rollup exe cwd fd io environ auxv mem pagemap syscall stack personality stat status schedstat cmdline limits".split()
NOBODY = 65534

def drop():
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    else:
        libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE

def readable(pid, file):
    path = f"/proc/{pid}/{file}"
    try:
        if file in ("exe", "cwd"):
            os.readlink(path)
        elif file == "fd":
            os.listdir(path)
        else:
            with open(path, "rb") as opened:
                # The first bytes of memory are not mapped; opening is what is allowed or not.
                file == "mem" or opened.read(1)
        return True
    except PermissionError:
        return False

def writable(pid, file):
    try:
        open(f"/proc/{pid}/{file}", "w").close()
        return True
    except PermissionError:
        return False

class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

WORD = ctypes.create_string_buffer(b"word")

def memory(pid):
    local = ctypes.create_string_buffer(4)
    parts = Part(ctypes.addressof(local), 4), Part(ctypes.addressof(WORD), 4)
    return libc.process_vm_readv(pid, ctypes.byref(parts[0]), 1, ctypes.byref(parts[1]), 1, 0) == 4

def look(who, pid):
    may = {file: readable(pid, file) for file in FILES}
    may |= {f"write {file}": writable(pid, file) for file in ("comm", "coredump_filter")}
    may["process_vm_readv"] = memory(pid)
    for word, value in (("may", True), ("may not", False)):
        print(f"{who} {word}: {' '.join(file for file, allowed in may.items() if allowed == value)}", flush=True)

ready, tells = os.pipe()
ends, end = os.pipe()
service = os.fork()
if service == 0:
    os.close(end)
    drop()
    look("itself", os.getpid())
    os.write(tells, b".")
    os.read(ends, 1)
    os._exit(0)
os.read(ready, 1)
other = os.fork()
if other == 0:
    # Another process of that user, which may be dumped.
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        libc.prctl(4, 1, 0, 0, 0)
    look("its user", service)
    os._exit(0)
os.waitpid(other, 0)
os.close(end)
os.waitpid(service, 0)
sys.stdout.flush()
executed = os.fork()
if executed == 0:
    drop()
    os.execv("/bin/cat", ["cat", "/proc/self/io"])
_, status = os.waitpid(executed, 0)
print(f"after an exec io can be read: {status == 0}")
PY
python3 look.py | grep -vE '^[a-z_]+: [0-9]+$' | tee seen
diff seen - <<'TXT' || { echo "changed: other files may be read" >&2; exit 1; }
itself may: maps smaps smaps_rollup exe cwd fd stat status schedstat cmdline limits process_vm_readv
itself may not: io environ auxv mem pagemap syscall stack personality write comm write coredump_filter
its user may: stat status schedstat cmdline limits
its user may not: maps smaps smaps_rollup exe cwd fd io environ auxv mem pagemap syscall stack personality write comm write coredump_filter process_vm_readv
after an exec io can be read: True
TXT
