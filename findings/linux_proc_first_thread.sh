#!/usr/bin/env bash
# Linux 6.18 (seen), the files of /proc/PID, and psutil 7.2.2 (PyPI): which figures are of the process.
#
# Guess: /proc/PID is the process, /proc/PID/task/TID a thread. `stat` and `io` of the first are sums over all threads, so
# `schedstat`, and the context switches in `status`, are such sums, too; psutil documents its as "performed by this process".
# Reality: within one folder, `stat` and `io` are sums, `schedstat` and the switches are of the first thread alone. A process whose
# four threads sleep 500 times each and compute, while its first thread waits for them:
#
#                                                     /proc/PID    its threads
#     stat: CPU time, in ticks                        122          119
#     io: calls of read                               2131         2139
#     schedstat: CPU time, in ms                      29           1229
#     schedstat: time in the run queue, in ms         30           4401
#     status: voluntary_ctxt_switches                 14           3496
#     psutil.Process().num_ctx_switches().voluntary   14
#
# `getrusage(RUSAGE_SELF)` has the switches of all threads.
#
# Why it matters: the time in the run queue is how one sees that a container's CPU limit, not the program, delays its tasks. With
# `#[tokio::main]` the first thread does nothing but wait, so this figure, and the rate of switches, are near zero for the most overloaded
# server. They have to be summed over /proc/PID/task, where threads that have ended are no longer in the sum.
set -euo pipefail
command -v python3 > /dev/null || { echo "linux_proc_first_thread.sh: needs python3" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check psutil==7.2.2
uname -sr

cat > look.py <<'PY'
import os, resource, sys, threading, time
import psutil

done, leave = threading.Barrier(5), threading.Event()

def work():
    for _ in range(500):
        time.sleep(0.001)
    with open("/dev/zero", "rb", buffering=0) as zero:
        for _ in range(500):
            zero.read(1)
    while time.thread_time() < 0.3:
        sum(range(1000))
    done.wait()
    leave.wait()

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
done.wait()

def text(folder, name):
    try:
        with open(f"{folder}/{name}") as file:
            return file.read()
    except FileNotFoundError:
        return None

def line(text, name):
    return int(next(line for line in text.splitlines() if line.startswith(name)).split()[1])

# What is seen of a folder.
def look(folder):
    fields = text(folder, "stat").rsplit(")")[1].split()
    schedstat = text(folder, "schedstat")  # not in each kernel
    cpu, queue = map(int, schedstat.split()[:2]) if schedstat else (None, None)
    return {
        "stat_ticks": int(fields[11]) + int(fields[12]),
        "io_reads": line(text(folder, "io"), "syscr"),
        "schedstat_cpu_ms": cpu and cpu // 1_000_000,
        "schedstat_queue_ms": queue and queue // 1_000_000,
        "switches": line(text(folder, "status"), "voluntary_ctxt_switches"),
    }

me = f"/proc/{os.getpid()}"
first = look(f"{me}/task/{os.getpid()}")
process = look(me)
each = [look(f"{me}/task/{id}") for id in os.listdir(f"{me}/task")]
psutils = psutil.Process().num_ctx_switches().voluntary
rusage = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
leave.set()
for name, value in process.items():
    total = None if value is None else sum(thread[name] for thread in each)
    print(f"{name} process {value} first_thread {first[name]} all_threads {total}")
    if value is None:
        continue
    of_all = abs(value - total) <= max(50, total * 0.1)
    of_first = abs(value - first[name]) <= 20
    expected = {"stat_ticks": (True, False), "io_reads": (True, False), "schedstat_cpu_ms": (False, True), "switches": (False, True)}
    if name in expected and (of_all, of_first) != expected[name]:
        sys.exit(f"changed: {name} is of all threads: {of_all}, of the first: {of_first}")
print(f"psutil {psutils} rusage {rusage}")
if psutils > process["switches"] + 20 or rusage < 1800:
    sys.exit("changed: psutil has the switches of all threads")
PY
venv/bin/python look.py
