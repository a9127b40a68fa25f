#!/usr/bin/env bash
# perf 6.1 (Debian 12's) on Linux 6.18 (seen): `perf stat` of a user who may not measure the kernel, as most may not.
#
# Guess: what cannot be measured is `<not supported>` or `<not counted>`, or an error names `perf_event_paranoid`. Context switches are counted by
# the kernel for each process and may be read by any user, in /proc/PID/status.
# Reality: perf asks for the user's part of each event instead, and writes `:u` behind its name. A context switch and a migration always take
# place in the kernel, so their user's part is 0, as a good value. Page faults have a user's part, and the CPU time is of both. A program that
# sleeps 500 times:
#
#                         with :u    without    /proc/PID/status
#     context-switches    0          613        518 voluntary ones
#     cpu-migrations      0
#     page-faults         8904
#
# By `perf stat PROGRAM` as a user it says `0  context-switches:u  #  0.000 /sec`, if `kernel.perf_event_paranoid` is 2, which is the kernel's
# default. With 3, which is Debian's own default, a user may open no event at all, and perf says so.
#
# Why it matters: context switches tell a service that waits for locks or for I/O from one that computes, and migrations tell of a scheduler that
# moves workers. "0.000 /sec" looks like the best result there is, and numbers from a laptop, taken as root, look a thousand times worse than
# those of the server. The same holds for a profiler that samples `context-switches` with `exclude_kernel`: it gets no sample and no error.
set -euo pipefail
for needed in perf python3; do
    command -v "$needed" > /dev/null || { echo "perf_switches_of_user.sh: needs $needed (Debian: linux-perf)" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
perf --version
uname -sr

cat > sleeps.py <<'PY'
import re, time
for _ in range(500):
    time.sleep(0.001)
print(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", open("/proc/self/status").read(), re.M)[1])
PY
perf stat -x , -o report -e context-switches:u,cpu-migrations:u,page-faults:u,context-switches python3 sleeps.py > status 2> error ||
    { cat error >&2; echo "perf_switches_of_user.sh: perf may not count here" >&2; exit 2; }
awk -F , '$3 != "" { print $3, $1 }' report | tee seen
echo "status $(cat status)" | tee -a seen
# As a user without rights: the events' names are then those with `:u`. With less than 2 the user may measure the kernel, with more a user may open
# no event; in both cases there is nothing to see.
paranoid=$(cat /proc/sys/kernel/perf_event_paranoid)
if [ "$(id -u)" = 0 ] && [ "$paranoid" = 2 ] && command -v setpriv > /dev/null; then
    chmod 755 . && chmod 644 sleeps.py
    setpriv --reuid 65534 --regid 65534 --clear-groups perf stat -x , -e context-switches python3 sleeps.py > /dev/null 2> user ||
        { cat user >&2; echo "perf_switches_of_user.sh: perf may not count here for a user without rights" >&2; exit 2; }
    awk -F , '$3 != "" { print "as_user", $3, $1 }' user | tee -a seen
    grep -q '^as_user ' seen || { cat user >&2; echo "changed: perf stat shows a user no event" >&2; exit 1; }
else
    echo "not run as another user: needs root, setpriv and kernel.perf_event_paranoid = 2 (it is $paranoid)"
fi
awk '
    $1 == "context-switches:u" || $1 == "cpu-migrations:u" { good += $2 == 0 }
    $1 == "page-faults:u" { good += $2 > 100 }
    $1 == "context-switches" { good += $2 >= 500 }
    $1 == "status" { good += $2 >= 450 }
    $1 == "as_user" { bad += $2 != "context-switches:u" || $3 != 0 }
    END { exit good != 5 || bad }
' seen || { echo "changed: the context switches that a user is shown" >&2; exit 1; }
