#!/usr/bin/env bash
# perf 6.1 (Debian 12's): names in a profile of a process whose program file is replaced, as by a deployment.
#
# Guess: perf notes at each sample which file it lies in, and the build id tells whether that file is still the one. After a replacement the names
# come from the process (/proc/PID/exe, which is the old file as long as it runs), or there are none.
# Reality: the build id is read from the file's name when the recording ends. A file that was put there meanwhile is taken for the one that ran,
# and all names are of the new program, without a word. A process computes in `charge`; the next release has a new function before it:
#
#     the file is replaced                        name of the samples
#     never                                       charge
#     during the recording                        audit, which the process does not have
#     before the recording                        [unknown]
#     after it                                    charge, from perf's copy in ~/.debug
#     after it, where that copy is not            [unknown]
#
# Why it matters: one profiles during a deployment, to compare, or since that is when it is slow; `cargo build` beside a running program is one,
# too. The profile of the old release has real names of the new one, for all its samples, also those from before the replacement. Where
# little was changed most names are even right. Look at `perf buildid-list` beside `file /proc/PID/exe`, or have releases at
# names of their own.
set -euo pipefail
for tool in perf gcc; do
    command -v $tool > /dev/null || { echo "perf_replaced_program.sh: needs $tool" >&2; exit 2; }
done
work=$(mktemp -d)
process=
trap '[ -z "$process" ] || kill "$process"; rm -rf "$work"' EXIT
cd "$work"
perf --version

cat > old.c <<'C'
static volatile unsigned long sum;
__attribute__((noinline)) static void charge(void) { for (int i = 0; i < 1000000; i++) sum += i; }
int main(void) { for (;;) charge(); }
C
cat > new.c <<'C'
static volatile unsigned long sum;
__attribute__((noinline)) static void audit(void) { for (int i = 0; i < 1000000; i++) sum -= i; }
__attribute__((noinline)) static void charge(void) { for (int i = 0; i < 1000000; i++) sum += i; }
int main(void) { for (;;) { audit(); charge(); } }
C
for release in old new; do
    gcc -O1 -fno-toplevel-reorder -Wl,--build-id -o $release $release.c
done
nm old new | grep -E ' (charge|audit)$|^..*:$'

start() {
    rm -f app
    cp old app
    ./app &
    process=$!
    sleep 0.5
}
replace() {
    cp new app.new
    mv app.new app
}
record() {
    HOME=$work perf record --quiet -e cpu-clock:u -F 99 -p "$process" -o "$1" -- sleep 2 > log 2>&1 || { cat log; exit 2; }
}
# The name that most samples have.
name() {
    HOME=$work perf script -i "$1" -F ip,sym 2> /dev/null | awk 'NF { print $2 }' | sort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }'
}
stop() {
    kill "$process"
    wait "$process" 2> /dev/null || true
    process=
}
{
    start
    record data
    echo "never: $(name data)"
    replace
    echo "after: $(name data)"
    rm -r .debug
    echo "after, without the copy: $(name data)"
    record data
    echo "before: $(name data)"
    stop
    start
    { sleep 1; replace; } &
    other=$!
    record data
    wait "$other"
    echo "during: $(name data)"
    stop
} > seen
cat seen
diff seen - <<'TXT' || { echo "changed: the names of a program that was replaced" >&2; exit 1; }
never: charge
after: charge
after, without the copy: [unknown]
before: [unknown]
during: audit
TXT
