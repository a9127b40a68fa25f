#!/usr/bin/env bash
# rustc 1.95.0 on x86-64 Linux, whose linker is `rust-lld` by default: an address of the process, turned into one of the program's file.
#
# Guess: `address - start + offset`, of the line of /proc/PID/maps that the address is in, is what `addr2line -e PROGRAM`, `nm` and `objdump`
# take. So it is in many scripts, and it was so for all Rust programs as long as GNU's linker made them.
# Reality: that is the offset in the file. lld lets each segment begin in the middle of the page where the last one ends, and maps that page
# twice, so the addresses of the code are a page higher than its offsets, and those of its data more. The formula names a function that lies 4096
# bytes before, with a file and a line, and no error. The function `charge`, which prints its own address, named by addr2line of binutils 2.40:
#
#     linker                          address - start + offset    address - start of the program's first line
#     rust-lld (the default)          another function            charge
#     GNU's, `-linker-features=-lld`  charge                      charge
#
# Why it matters: crash logs with bare addresses, small profilers, eBPF tools and address lists are symbolised by that formula, which worked until
# the default changed with Rust 1.90, and works still for programs in C beside it. The names are of real functions of the program. Take the
# address of the program header (`p_vaddr`) whose `p_offset` holds the offset, or subtract the first mapping of the file.
set -euo pipefail
[ "$(uname -m)" = x86_64 ] || { echo "rustc_lld_offsets.sh: needs x86-64" >&2; exit 2; }
for needed in rustc addr2line readelf; do
    command -v "$needed" > /dev/null || { echo "rustc_lld_offsets.sh: needs $needed" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
rustc --version
addr2line --version | sed -n 1p

cat > shop.rs <<'RS'
#[inline(never)]
fn charge(order: u64) -> u64 { std::hint::black_box(order) + 1 }

fn main() {
    let address = charge as *const () as usize;
    charge(1);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let program = std::env::current_exe().unwrap();
    let mut first = None;
    for line in maps.lines().filter(|line| line.ends_with(program.to_str().unwrap())) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |text| usize::from_str_radix(text, 16).unwrap();
        let (start, end) = fields[0].split_once('-').unwrap();
        let (start, end, offset) = (number(start), number(end), number(fields[2]));
        let first = *first.get_or_insert(start);
        if (start..end).contains(&address) {
            println!("{:#x} {:#x}", address - start + offset, address - first);
        }
    }
}
RS
for linker in default gnu; do
    flags=()
    [ $linker = default ] || flags=(-C linker-features=-lld)
    rustc --edition 2024 -g shop.rs -o "shop-$linker" "${flags[@]}"
    read -r by_offset by_first < <("./shop-$linker")
    name() { addr2line -Cfe "shop-$linker" "$1" | sed -n 1p; }
    [ "$(name "$by_offset")" = shop::charge ] && by_offset=charge || { echo "$linker: the offset is $(name "$by_offset")"; by_offset=another; }
    [ "$(name "$by_first")" = shop::charge ] && by_first=charge || by_first=another
    readelf -lW "shop-$linker" | awk -v linker=$linker '$1 == "LOAD" && / R E / { print linker, "code: offset", $2, "address", $3 }'
    echo "$linker by_offset $by_offset by_first $by_first" >> seen
done
cat seen
diff seen - <<'TXT' || { echo "changed: the formula and the linker" >&2; exit 1; }
default by_offset another by_first charge
gnu by_offset charge by_first charge
TXT
