#!/usr/bin/env bash
# Linux 6.18 (seen), `process_vm_readv` of a range whose end is not mapped.
#
# Guess: what the manual page says: partial transfers apply at the granularity of iovec elements, the calls do not split one. So a read
# by a single element copies all of it, or fails with EFAULT and copies nothing.
# Reality: the kernel copies page by page, also within an element, and returns what it has copied. Pages 0, 1 and 3 are mapped:
#
#     elements of the other process                     bytes returned
#     pages 0 to 3                                      8192
#     from byte 100 of page 0 to the end of page 3      8092
#     page 0; from byte 8 of page 1, for two pages      4096 + 4088
#     page 2                                            EFAULT
#     8 bytes each of pages 0, 2 and 3                  8
#
# Why it matters: a reader of another process's memory that follows the manual splits each range into pages to get what is there before
# a hole, 1024 ranges a call at most, without need. One that takes "more than nothing" for "the first element is whole" decodes
# memory that was never written, such as a stack of a thread that ends at a guard page. Compare the bytes, not the elements.
set -euo pipefail
command -v python3 > /dev/null || { echo "linux_process_vm_readv_split.sh: needs python3" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > read.py <<'PY'
import ctypes
import errno
import mmap
import os

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)

class Range(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("length", ctypes.c_size_t)]

libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.process_vm_readv.restype = ctypes.c_ssize_t
libc.process_vm_readv.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]

start = libc.mmap(None, 4 * PAGE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
assert libc.munmap(start + 2 * PAGE, PAGE) == 0

def read(name, *ranges):
    room = ctypes.create_string_buffer(sum(length for _, length in ranges))
    here = Range(ctypes.addressof(room), len(room))
    there = (Range * len(ranges))(*[Range(start + offset, length) for offset, length in ranges])
    copied = libc.process_vm_readv(os.getpid(), ctypes.byref(here), 1, there, len(ranges), 0)
    print(name, copied if copied >= 0 else errno.errorcode[ctypes.get_errno()])

read("over_the_hole", (0, 4 * PAGE))
read("from_byte_100", (100, 4 * PAGE - 100))
read("two_elements", (0, PAGE), (PAGE + 8, 2 * PAGE))
read("the_hole", (2 * PAGE, PAGE))
read("three_elements", (0, 8), (2 * PAGE, 8), (3 * PAGE, 8))
PY
uname -sr
python3 read.py > seen
cat seen
page=$(getconf PAGESIZE)
diff seen - <<TXT || { echo "changed: an element is copied as a whole, or not at all" >&2; exit 1; }
over_the_hole $((2 * page))
from_byte_100 $((2 * page - 100))
two_elements $((2 * page - 8))
the_hole EFAULT
three_elements 8
TXT
