#!/usr/bin/env bash
# tokio 1.54.1, `tokio::fs::File`: `write_all` and then `sync_all` on a file system that takes no more.
#
# Guess: if `write_all` and `sync_all` are Ok, the bytes are on the disk. `sync_all` waits for the write, and it has an error to return.
# Reality: `write_all` is Ok when the bytes are copied to a buffer; a thread writes them later. `sync_all` waits for that write, keeps its
# error for somewhere else, syncs what is there, and is Ok. Only `flush`, `shutdown` or another write returns the error, once. A file may have
# 1000 bytes at most (RLIMIT_FSIZE), 1500 are written:
#
#     after write_all, which is Ok    result                    bytes in the file
#     sync_all                        Ok                        1000
#     sync_data                       Ok                        1000
#     metadata                        Ok                        1000
#     into_std, then std's sync_all   Ok                        1000
#     sync_all, then flush            Ok, FileTooLarge          1000
#     flush                           FileTooLarge              1000
#
# `tokio::fs::write` and `tokio::io::copy` return the error.
#
# Why it matters: dumps, profiles, journals and checkpoints are written when something is wrong, a full disk often. Code that was moved from
# std to tokio keeps `write_all` and `sync_all`, which were right there, says "saved" and renames the file over the last good one. A
# profile that was cut does not open; a journal loses its end. Have `flush().await?` before each `sync_all`, `into_std` and drop.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_fs_sync_hides_error.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p saved/src
cat > saved/Cargo.toml <<'TOML'
[package]
name = "saved"
version = "0.0.0"
edition = "2024"
[dependencies]
libc = "=0.2.191"
tokio = { version = "=1.54.1", features = ["fs", "io-util", "macros", "rt"] }
[workspace]
TOML
cat > saved/src/main.rs <<'RS'
use std::io;

use tokio::fs::File;
use tokio::io::AsyncWriteExt;

async fn written() -> io::Result<File> {
    let mut file = File::create("saved.bin").await?;
    file.write_all(&[1; 1500]).await?;
    Ok(file)
}

fn show(what: &str, result: io::Result<()>) {
    let length = std::fs::metadata("saved.bin").unwrap().len();
    println!("{what}: {:?}, {length} bytes", result.map_err(|error| error.kind()));
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    // Writes beyond the limit return an error, as on a full disk, instead of ending the process.
    let limit = libc::rlimit { rlim_cur: 1000, rlim_max: 1000 };
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
    show("sync_all", written().await?.sync_all().await);
    show("sync_data", written().await?.sync_data().await);
    show("metadata", written().await?.metadata().await.map(|_| ()));
    show("into_std", written().await?.into_std().await.sync_all());
    let mut file = written().await?;
    show("sync_all", file.sync_all().await);
    show("then flush", file.flush().await);
    show("flush again", file.flush().await);
    show("flush", written().await?.flush().await);
    show("copy", tokio::io::copy(&mut &[1; 1500][..], &mut File::create("saved.bin").await?).await.map(|_| ()));
    show("write", tokio::fs::write("saved.bin", [1; 1500]).await);
    Ok(())
}
RS
cargo build --quiet --manifest-path saved/Cargo.toml --target-dir target
target/debug/saved > seen
cat seen
diff seen - <<'TXT' || { echo "changed: other calls return the error" >&2; exit 1; }
sync_all: Ok(()), 1000 bytes
sync_data: Ok(()), 1000 bytes
metadata: Ok(()), 1000 bytes
into_std: Ok(()), 1000 bytes
sync_all: Ok(()), 1000 bytes
then flush: Err(FileTooLarge), 1000 bytes
flush again: Ok(()), 1000 bytes
flush: Err(FileTooLarge), 1000 bytes
copy: Err(FileTooLarge), 1000 bytes
write: Err(FileTooLarge), 1000 bytes
TXT
