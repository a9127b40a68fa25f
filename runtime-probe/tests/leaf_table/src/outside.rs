//! Waits for things outside of the process: tokio's io, fs, process and signal.

use crate::row::rows;
use std::io::PipeReader;
use std::os::fd::{AsRawFd, OwnedFd};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

/// The text of this file, to find its lines.
const SOURCE: &str = include_str!("outside.rs");

rows! {
    // tokio::io
    duplex_read: "IO wait", ["<tokio::io::util::read::Read as core::future::future::Future>::poll"] {
        let (mut here, _there) = tokio::io::duplex(9);
        _ = here.read(&mut [0; 9]).await;
    }
    duplex_write: "IO wait", ["<tokio::io::util::write_all::WriteAll as core::future::future::Future>::poll"] {
        let (mut here, _there) = tokio::io::duplex(9);
        _ = here.write_all(&[0; 99]).await;
    }
    split_read: "IO wait", ["<tokio::io::util::read::Read as core::future::future::Future>::poll"] {
        let (here, _there) = UnixStream::pair().unwrap();
        let (mut reader, _writer) = tokio::io::split(here);
        _ = reader.read(&mut [0; 9]).await;
    }
    read_to_end: "IO wait", ["<tokio::io::util::read_to_end::ReadToEnd as core::future::future::Future>::poll"] {
        let (mut here, _there) = UnixStream::pair().unwrap();
        _ = here.read_to_end(&mut Vec::new()).await;
    }
    read_u32: "IO wait", ["<tokio::io::util::read_int::ReadU32 as core::future::future::Future>::poll"] {
        let (mut here, _there) = UnixStream::pair().unwrap();
        _ = here.read_u32().await;
    }
    read_line: "IO wait", ["<tokio::io::util::read_line::ReadLine as core::future::future::Future>::poll"] {
        let (here, _there) = UnixStream::pair().unwrap();
        _ = BufReader::new(here).read_line(&mut String::new()).await;
    }
    next_line: "IO wait", ["tokio::io::util::lines::Lines::next_line"] {
        let (here, _there) = UnixStream::pair().unwrap();
        _ = BufReader::new(here).lines().next_line().await;
    }
    copy: "IO wait", ["tokio::io::util::copy::copy"] {
        let (mut here, _there) = UnixStream::pair().unwrap();
        _ = tokio::io::copy(&mut here, &mut tokio::io::sink()).await;
    }
    copy_bidirectional: "IO wait", ["tokio::io::util::copy_bidirectional::copy_bidirectional"] {
        let (mut here, _there) = UnixStream::pair().unwrap();
        let (mut other, _its) = UnixStream::pair().unwrap();
        _ = tokio::io::copy_bidirectional(&mut here, &mut other).await;
    }
    async_fd: "IO wait", ["tokio::io::async_fd::AsyncFd::readable"] {
        let (here, _there) = std::os::unix::net::UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        // Its successor is unsafe to call.
        #[allow(deprecated)]
        let fd = tokio::io::unix::AsyncFd::new(here).unwrap();
        _ = fd.readable().await;
    }
    pipe_read: "IO wait", ["<tokio::io::util::read::Read as core::future::future::Future>::poll"] {
        let (_sender, mut receiver) = tokio::net::unix::pipe::pipe().unwrap();
        _ = receiver.read(&mut [0; 9]).await;
    }
    // ci/leaf_table.sh gives the process a standard input that has no bytes and does not end.
    stdin: "blocking pool", ["<tokio::io::util::read::Read as core::future::future::Future>::poll"] {
        _ = tokio::io::stdin().read(&mut [0; 9]).await;
    }

    // tokio::fs: a thread of the blocking pool does the work
    file_open: "blocking pool", ["tokio::fs::file::File::open"] {
        let path = std::env::temp_dir().join(format!("leaf-table-fifo-{}", std::process::id()));
        std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        _ = File::open(path).await;
    }
    file_read: "blocking pool", ["<tokio::io::util::read::Read as core::future::future::Future>::poll"] {
        let (reader, _writer) = std::io::pipe().unwrap();
        let mut file = File::from_std(OwnedFd::from(reader).into());
        _ = file.read(&mut [0; 9]).await;
    }
    file_flush: "blocking pool", ["<tokio::io::util::flush::Flush as core::future::future::Future>::poll"] {
        let (_reader, writer) = std::io::pipe().unwrap();
        let mut file = File::from_std(OwnedFd::from(writer).into());
        file.write_all(&[0; 1 << 20]).await.unwrap();
        _ = file.flush().await;
    }
    file_sync_all: "blocking pool", ["tokio::fs::file::File::sync_all"] {
        let (_reader, writer) = std::io::pipe().unwrap();
        let mut file = File::from_std(OwnedFd::from(writer).into());
        file.write_all(&[0; 1 << 20]).await.unwrap();
        _ = file.sync_all().await;
    }
    fs_read: "blocking pool", ["tokio::fs::read::read"] {
        let (reader, _writer) = std::io::pipe().unwrap();
        _ = tokio::fs::read(path_of(&reader)).await;
    }
    fs_read_to_string: "blocking pool", ["tokio::fs::read_to_string::read_to_string"] {
        let (reader, _writer) = std::io::pipe().unwrap();
        _ = tokio::fs::read_to_string(path_of(&reader)).await;
    }

    // tokio::process
    child_wait: "process wait", ["tokio::process::Child::wait"] {
        let mut child = sleeper();
        _ = child.wait().await;
    }
    child_output: "process wait", ["tokio::process::Child::wait_with_output"] {
        _ = sleeper().wait_with_output().await;
    }
    command_status: "process wait", ["tokio::process::Command::status"] {
        let mut command = Command::new("sleep");
        _ = command.arg("100").kill_on_drop(true).status().await;
    }
    child_stdout: "IO wait", ["<tokio::io::util::read::Read as core::future::future::Future>::poll"] {
        let mut child = sleeper();
        _ = child.stdout.as_mut().unwrap().read(&mut [0; 9]).await;
    }
    child_stdin: "IO wait", ["<tokio::io::util::write_all::WriteAll as core::future::future::Future>::poll"] {
        let mut child = sleeper();
        _ = child.stdin.as_mut().unwrap().write_all(&[0; 1 << 20]).await;
    }

    // tokio::signal
    signal: "signal", ["tokio::signal::unix::Signal::recv"] {
        let kind = tokio::signal::unix::SignalKind::user_defined2();
        let mut signal = tokio::signal::unix::signal(kind).unwrap();
        signal.recv().await;
    }
    ctrl_c: "signal", ["tokio::signal::ctrl_c::ctrl_c"] {
        _ = tokio::signal::ctrl_c().await;
    }
}

/// A file that has no end as long as the pipe has a writer.
fn path_of(reader: &PipeReader) -> String {
    format!("/proc/self/fd/{}", reader.as_raw_fd())
}

/// A child that neither reads nor writes, and ends after a while if it is not killed.
fn sleeper() -> Child {
    use std::process::Stdio;
    let mut command = Command::new("sleep");
    command.arg("100").kill_on_drop(true);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}
