#!/usr/bin/env bash
# rustc 1.95.0, debug and release, `-g`: what an async function has at an await, after it has dropped or moved a variable.
#
# Guess: a variable that was dropped before the await is not part of that state: neither in the future's memory nor in its debug
# information.
# Reality: it is gone only if nothing has ever borrowed it. After one `tx.clone()` or `tx.send()` it stays in every state up to
# the end of its scope, under its name, with the bytes that it had, and the future keeps the room for it. Each of these functions has
# one argument `tx` of 256 bytes and awaits once:
#
#     function     drops `tx` before the await   places of `tx` at the await   bytes of the future
#     keeps        no                            257 and 257                   514
#     drops        yes                           1                             258
#     lends_drops  yes, after one borrow         257 and 257                   514
#
# By size and debug information `lends_drops` cannot be told from `keeps`. An argument that was never borrowed is listed, too,
# but only at 1, where the caller put it.
#
# Why it matters: a debugger, a task dump or a heap walker that reads the variables of a suspended future finds a sender, a guard or a
# handle there that another task has, or that was freed. "This task holds the last sender" is then wrong for the commonest
# of patterns: clone for a worker, drop the original, wait.
set -euo pipefail
for tool in rustc readelf; do
    command -v "$tool" > /dev/null || { echo "rustc_lent_locals_listed.sh: needs $tool" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > served.rs <<'RS'
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

pub struct Tx(pub [u8; 256]);
impl Tx {
    #[inline(never)]
    fn lend(&self) { std::hint::black_box(self.0[7]); }
}
pub struct Once(bool);
impl Future for Once {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match std::mem::replace(&mut self.0, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}
async fn keeps(tx: Tx) {
    tx.lend();
    Once(false).await;
    drop(tx);
}
async fn drops(tx: Tx) {
    drop(tx);
    Once(false).await;
}
async fn lends_drops(tx: Tx) {
    tx.lend();
    drop(tx);
    Once(false).await;
}
fn show(name: &str, future: impl Future<Output = ()>) {
    println!("{name} {}", size_of_val(&future));
    let mut future = std::pin::pin!(future);
    let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}
fn main() {
    show("keeps", keeps(Tx([1; 256])));
    show("drops", drops(Tx([2; 256])));
    show("lends_drops", lends_drops(Tx([3; 256])));
}
RS
# "FUNCTION UNRESUMED:OFFSET SUSPEND0:OFFSETS" of the members named tx.
listed() {
    readelf --debug-dump=info "$1" | awk '
        /DW_TAG_/ { match($0, /DW_TAG_[a-z_]+/); tag = substr($0, RSTART, RLENGTH) }
        /DW_AT_name/ {
            name = $0; sub(/.*: /, "", name); sub(/[ \t]+$/, "", name)
            if (tag == "DW_TAG_namespace" && name ~ /^(keeps|drops|lends_drops)$/) { of = name; print "\n" of }
            if (tag == "DW_TAG_structure_type") state = name
        }
        /DW_AT_data_member_location/ && of && name == "tx" && (state == "Unresumed" || state == "Suspend0") { print state ":" $NF }
    ' | awk 'NF { if ($1 ~ /^(keeps|drops|lends_drops)$/) { if (line) print line; line = $1 } else line = line " " $1 } END { print line }'
}
rustc --version
for level in 0 3; do
    rustc --edition 2024 -C opt-level=$level -g -o "served-$level" served.rs
    sizes=$("./served-$level")
    places=$(listed "served-$level" | sort)
    echo "opt-level $level, bytes of the futures:"
    echo "$sizes"
    echo "opt-level $level, places of tx before the first poll (Unresumed) and at the await (Suspend0):"
    echo "$places"
    [ "$sizes" = $'keeps 514\ndrops 258\nlends_drops 514' ] || { echo "changed: sizes" >&2; exit 1; }
    expected=$'drops Unresumed:1 Suspend0:1
keeps Unresumed:1 Suspend0:257 Suspend0:257
lends_drops Unresumed:1 Suspend0:257 Suspend0:257'
    [ "$places" = "$expected" ] || { echo "changed: places" >&2; exit 1; }
done
