#!/usr/bin/env bash
# rustc 1.95.0, `std::backtrace::Backtrace` of a program whose debug information was made smaller by dwz 0.15 (Debian 12's).
#
# Guess: dwz changes nothing for readers: with `-m` it moves what several programs have in common to a file that all of them name
# (`.gnu_debugaltlink`), and std has code to read such a file. If it were not found, the frames would have no debug information.
# Reality: for the program itself std does not look for that file. Lines stay in the program, names of inlined functions of crates that the
# programs have in common move, so such a frame has the name of the function around it, from the symbol table, beside the file and line of the
# inlined one. `charge` is called by `load` of the crate `orders`, line 2, that is inlined into `serve`; two programs with that crate, and the
# common file beside them:
#
#                                 std's backtrace                                       addr2line of binutils 2.40, gdb 13.1
#     as built                    charge :3, load :2,  serve :5                         load, serve
#     dwz PROGRAM                 charge :3, load :2,  serve :5                         load, serve
#     dwz -m COMMON PROGRAMS      charge :3, serve :2, serve :5                         load, serve
#
# Why it matters: dwz is a step of packaging in several distributions, and in optimised async code most frames are inlined. The crates that
# programs have in common are tokio, hyper and std. Panics and errors show a function that called itself, with the lines of two, and no sign that
# anything is missing. gdb and addr2line show that the debug information is complete, so it is not looked at again. `dwz` without `-m` is safe.
set -euo pipefail
for needed in rustc dwz addr2line gdb; do
    command -v "$needed" > /dev/null || { echo "std_backtrace_dwz.sh: needs $needed (Debian: dwz, binutils, gdb)" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
rustc --version
dwz --version 2>&1 | sed -n 1p

cat > orders.rs <<'RS'
#[inline(always)]
pub fn load(order: u64, charge: fn(u64) -> u64) -> u64 { std::hint::black_box(charge(order)) + 1 }
RS
cat > shop.rs <<'RS'
use std::hint::black_box;
#[inline(never)]
fn charge(order: u64) -> u64 { print!("{}", std::backtrace::Backtrace::force_capture()); order + 1 }
#[inline(never)]
fn serve(order: u64) -> u64 { orders::load(order, charge) + 1 }
fn main() { println!("{}", black_box(serve(black_box(1)))) }
RS
rustc --edition 2024 -O -g --crate-type rlib orders.rs
for name in shop stock; do
    rustc --edition 2024 -O -g --extern orders=liborders.rlib --crate-name $name shop.rs -o $name
done
mkdir alone together
cp shop alone
dwz alone/shop
cp shop stock together
(cd together && dwz -m common.debug shop stock)
[ -s together/common.debug ] || { echo "std_backtrace_dwz.sh: dwz has found nothing in common" >&2; exit 2; }
# The code is the same in all three.
calls=$(gdb -batch -nx -ex 'disassemble shop::serve' shop 2> /dev/null |
    awk '/call.*charge/ && !found { found = 1; next } found == 1 { print $1; found = 2 }') || true
[ -n "$calls" ] || { echo "std_backtrace_dwz.sh: gdb finds no call of charge in serve" >&2; exit 2; }
for program in ./shop alone/shop together/shop; do
    "$program" | awk -v program=$program '
        /^ *[0-9]+: (shop|orders)::/ { name = $2; sub(/^.*::/, "", name) }
        name != "" && name != "main" && /(shop|orders)\.rs:/ { split($0, place, ":"); frames = frames " " name ":" place[2]; name = "" }
        END { print program, "std", frames }'
    echo "$program addr2line $(addr2line -Cife $program "$(printf '%#x' $((calls - 1)))" | grep -E '^(shop|orders)::' | tr '\n' ' ')"
    echo "$program gdb $(gdb -batch -nx -ex 'break shop::charge' -ex run -ex 'backtrace 3' $program 2> /dev/null | grep -oE '^#[0-9].*' | grep -oE '(shop|orders)::[a-z]+' | tr '\n' ' ')"
done | sed -E 's/ +/ /g; s/ $//' > seen
cat seen
diff seen - <<'TXT' || { echo "changed: the names of inlined functions after dwz" >&2; exit 1; }
./shop std charge:3 load:2 serve:5
./shop addr2line orders::load shop::serve
./shop gdb shop::charge orders::load shop::serve
alone/shop std charge:3 load:2 serve:5
alone/shop addr2line orders::load shop::serve
alone/shop gdb shop::charge orders::load shop::serve
together/shop std charge:3 serve:2 serve:5
together/shop addr2line orders::load shop::serve
together/shop gdb shop::charge orders::load shop::serve
TXT
