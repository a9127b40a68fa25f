#!/usr/bin/env bash
# A short stress run under valgrind's memcheck: no use of freed memory, and no decision that depends on uninitialized words.
# The comparison of stack words would make such a decision if a template read a place that is no return address.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v valgrind > /dev/null; then
    if [ -n "${CI:-}" ]; then
        { sudo -n apt-get install -y valgrind || apt-get install -y valgrind; } > /dev/null
    else
        echo "memcheck.sh: SKIPPED: valgrind is not installed" >&2
        exit 0
    fi
fi

binary() {
    cargo test --quiet --release -p runtime-probe --features full,test-util --test "$1" --no-run --message-format=json |
        grep -o '"executable":"[^"]*"' | tail -n 1 | cut -d '"' -f 4
}

# The soak test covers leaks: interned stacks, records and threads' slots are never freed, by design.
memcheck() {
    timeout 300 valgrind --tool=memcheck --error-exitcode=1 --leak-check=no --num-callers=30 --fair-sched=yes "$@"
}

# valgrind runs one thread at a time, twenty to fifty times slower.
STRESS_SECONDS=${STRESS_SECONDS:-10} STRESS_WORKERS=2 STRESS_VERIFIED=5000 memcheck "$(binary stress)" --test-threads=1
memcheck "$(binary allocator_reenters)"
