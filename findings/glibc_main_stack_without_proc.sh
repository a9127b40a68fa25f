#!/usr/bin/env bash
# glibc 2.36 (Debian 12's libc6), `pthread_getattr_np`: the bounds of a thread's stack where /proc is not mounted.
#
# Guess: the C library has made the stacks of all threads but the first one, and knows the first one's from the kernel's auxiliary vector and
# `RLIMIT_STACK`. So the call needs no file.
# Reality: for the main thread it reads /proc/self/maps and looks for the line in which the stack is. Without /proc it fails with ENOENT, for the
# main thread only:
#
#                         main thread                          another thread
#     with /proc          0, has bounds                        0, has bounds
#     without /proc       2, No such file or directory         0, has bounds
#
# Why it matters: a chroot, an initramfs or a sandbox without /proc has a program in which everything works but what walks or checks the main
# thread's stack: unwinders that ask for its end, collectors of garbage, guards against deep recursion. `#[tokio::main]` runs the root
# of the program there, so a probe of stacks has no bounds for it, and must not say that the thread runs on a foreign stack. The bounds
# come from elsewhere: the address behind `AT_EXECFN` (`getauxval`) is above the stack, and `RLIMIT_STACK` says how far down it may go.
set -euo pipefail
for tool in cc unshare; do
    command -v $tool > /dev/null || { echo "glibc_main_stack_without_proc.sh: needs $tool" >&2; exit 2; }
done
unshare --mount true 2> /dev/null || { echo "glibc_main_stack_without_proc.sh: needs the right to make a mount namespace" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > bounds.c <<'C'
#define _GNU_SOURCE
#include <gnu/libc-version.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void *bounds(void *who) {
    pthread_attr_t attributes;
    void *low = NULL;
    size_t size = 0;
    int error = pthread_getattr_np(pthread_self(), &attributes);
    if (error == 0) {
        pthread_attr_getstack(&attributes, &low, &size);
        pthread_attr_destroy(&attributes);
    }
    printf("%s: %d, %s, %s\n", (char *)who, error, strerror(error), size != 0 ? "has bounds" : "has none");
    return NULL;
}

int main(int argc, char **argv) {
    if (argc > 1) {
        puts(gnu_get_libc_version());
    }
    (void)argv;
    bounds("main");
    pthread_t other;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 20);
    pthread_create(&other, &attributes, bounds, "other");
    pthread_join(other, NULL);
}
C
cc -O1 -o bounds bounds.c -pthread
./bounds version
./bounds > with
# An empty folder in place of /proc, for this program only.
mkdir empty
unshare --mount sh -c "mount --bind '$work/empty' /proc && exec '$work/bounds'" > without
cat without
diff - with <<'TXT' || { echo "changed: with /proc" >&2; exit 1; }
main: 0, Success, has bounds
other: 0, Success, has bounds
TXT
diff - without <<'TXT' || { echo "changed: without /proc" >&2; exit 1; }
main: 2, No such file or directory, has none
other: 0, Success, has bounds
TXT
