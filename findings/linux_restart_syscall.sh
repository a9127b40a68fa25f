#!/usr/bin/env bash
# Linux 6.18 (seen), `/proc/PID/task/TID/syscall` of a thread that waits with a time limit, after the process was stopped once.
#
# Guess: a thread that waited before the stop waits after it in the same call; a stop that no handler sees changes nothing.
# Reality: a wait with a time limit is continued by another call, `restart_syscall` (219 on x86-64), and the thread stays in that one
# until the wait is over. The arguments are still those of the first call. A stop by SIGSTOP and SIGCONT, or by PTRACE_INTERRUPT as of a
# debugger or a dump:
#
#     the thread waits in                               after the stop it is in
#     futex, with a limit, relative or absolute         restart_syscall
#     poll, with a limit                                restart_syscall
#     clock_nanosleep, relative                         restart_syscall
#     clock_nanosleep, absolute                         clock_nanosleep
#     futex without a limit, read of a pipe             futex, read
#
# Why it matters: tools tell "waits for a lock", "sleeps" and "waits for a socket" apart by that number. Of idle pool threads, which wait
# on a futex for their keep-alive, and of condition variables with a limit, the first look is right and each later one finds
# a call that is in no table, because of the first look. The arguments, or /proc/PID/task/TID/wchan, still tell.
set -euo pipefail
command -v gcc > /dev/null || { echo "linux_restart_syscall.sh: needs gcc" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > look.c <<'C'
#define _GNU_SOURCE
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int word, ends[2];
static struct timespec limit = {60, 0};

static void futex_limit(void) { syscall(SYS_futex, &word, FUTEX_WAIT, 0, &limit, 0, 0); }
static void futex_absolute(void) {
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += 60;
    syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &end, 0, FUTEX_BITSET_MATCH_ANY);
}
static void futex_none(void) { syscall(SYS_futex, &word, FUTEX_WAIT, 0, 0, 0, 0); }
static void poll_limit(void) { syscall(SYS_poll, 0, 0, 60000); }
static void sleep_relative(void) { clock_nanosleep(CLOCK_MONOTONIC, 0, &limit, 0); }
static void sleep_absolute(void) {
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += 60;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, 0);
}
static void read_pipe(void) { char byte; (void)!read(ends[0], &byte, 1); }

static void call(pid_t pid, long *number, char *first) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/syscall", pid);
    FILE *file = fopen(path, "r");
    if (fscanf(file, "%ld %31s", number, first) != 2) *number = -1;
    fclose(file);
}

static void look(const char *name, void (*waits)(void), int by_signal) {
    pid_t pid = fork();
    if (pid == 0) { waits(); _exit(0); }
    usleep(200000);
    long before, after;
    char first[2][32];
    call(pid, &before, first[0]);
    if (by_signal) {
        kill(pid, SIGSTOP);
        usleep(50000);
        kill(pid, SIGCONT);
    } else {
        ptrace(PTRACE_SEIZE, pid, 0, 0);
        ptrace(PTRACE_INTERRUPT, pid, 0, 0);
        waitpid(pid, 0, 0);
        ptrace(PTRACE_DETACH, pid, 0, 0);
    }
    usleep(200000);
    call(pid, &after, first[1]);
    printf("%s %s: %s, first argument %s\n", by_signal ? "signal" : "ptrace", name,
           after == SYS_restart_syscall ? "restart_syscall" : after == before ? "same" : "other",
           strcmp(first[0], first[1]) ? "other" : "same");
    kill(pid, SIGKILL);
    waitpid(pid, 0, 0);
}

int main(void) {
    if (pipe(ends)) return 1;
    setbuf(stdout, 0);
    for (int by_signal = 1; by_signal >= 0; by_signal--) {
        look("futex_limit", futex_limit, by_signal);
        look("futex_absolute", futex_absolute, by_signal);
        look("poll_limit", poll_limit, by_signal);
        look("sleep_relative", sleep_relative, by_signal);
        look("sleep_absolute", sleep_absolute, by_signal);
        look("futex_none", futex_none, by_signal);
        look("read_pipe", read_pipe, by_signal);
    }
}
C
uname -sr
gcc -O1 look.c -o look
./look > seen
cat seen
for how in signal ptrace; do
    for name in futex_limit futex_absolute poll_limit sleep_relative; do echo "$how $name: restart_syscall, first argument same"; done
    for name in sleep_absolute futex_none read_pipe; do echo "$how $name: same, first argument same"; done
done > expected
diff seen expected || { echo "changed: a call goes on under its own number" >&2; exit 1; }
