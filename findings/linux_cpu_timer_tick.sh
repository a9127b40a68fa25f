#!/usr/bin/env bash
# Linux 6.18 (seen), timers on CPU clocks: `timer_create(CLOCK_THREAD_CPUTIME_ID)` and `setitimer(ITIMER_PROF)`, how often they fire.
#
# Guess: as often as they are asked to. The clock has a resolution of 1 ns, says `clock_getres`, and other timers fire 10,000 times a second.
# Reality: they are looked at by the scheduler's tick only, 100 to 1000 times a second as the kernel was built. A shorter period gives no more
# signals. A timer says so in its signal, `si_overrun`; an interval timer says nothing. One second of computing, a tick of 4 ms:
#
#     period      asked for    signals    and overruns    signals of ITIMER_PROF
#     10 ms         100          99              0          99
#     1 ms         1000         250            747         249
#     0.1 ms     10,000         250          9,721         250
#
# Why it matters: profilers have their rate as an option, and 999 or 1000 are common values. One that counts each signal as a period says that
# a program which kept a core busy for 30 s took 7.5 s, and the same program on another machine, with another tick, 30 s. One that
# adds the overruns has the right sum out of a quarter of the stacks. A smooth and complete flame graph shows none of it. Above the
# tick's rate perf's own events, or a wall-clock timer, give more samples.
set -euo pipefail
command -v gcc > /dev/null || { echo "linux_cpu_timer_tick.sh: needs gcc" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > tick.c <<'C'
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long signals, overruns;

static void fired(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    signals++;
    if (info->si_code == SI_TIMER) overruns += info->si_overrun;
}

static void compute_for_a_second(void) {
    struct timespec begin, now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    do clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    while ((now.tv_sec - begin.tv_sec) * 1e9 + (now.tv_nsec - begin.tv_nsec) < 1e9);
}

int main(void) {
    struct sigaction action = {.sa_sigaction = fired, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGPROF, &action, 0);
    struct timespec resolution;
    clock_getres(CLOCK_THREAD_CPUTIME_ID, &resolution);
    printf("resolution %ld ns\n", resolution.tv_nsec);
    for (long period = 10000; period >= 100; period /= 10) {
        signals = overruns = 0;
        struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF};
        event._sigev_un._tid = syscall(SYS_gettid);
        struct itimerspec every = {{0, period * 1000}, {0, period * 1000}};
        timer_t timer;
        if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) || timer_settime(timer, 0, &every, 0)) return 1;
        compute_for_a_second();
        timer_delete(timer);
        printf("timer %ld %ld %ld\n", 1000000 / period, signals, overruns);

        signals = overruns = 0;
        struct itimerval interval = {{0, period}, {0, period}}, none = {{0, 0}, {0, 0}};
        setitimer(ITIMER_PROF, &interval, 0);
        compute_for_a_second();
        setitimer(ITIMER_PROF, &none, 0);
        printf("interval %ld %ld %ld\n", 1000000 / period, signals, overruns);
    }
}
C
uname -sr
gcc -O1 tick.c -o tick -lrt
./tick > seen
cat seen
awk '
    $1 == "resolution" { good += $2 == 1 }
    $2 == 100 { good += $3 > 70 && $3 < 110 }
    $2 == 10000 && $1 == "timer" { good += $3 < 1100 && $3 + $4 > 9000 }
    $2 == 10000 && $1 == "interval" { good += $3 < 1100 && $4 == 0 }
    END { exit good != 5 }
' seen || { echo "changed: timers on CPU clocks fire more often than the tick" >&2; exit 1; }
