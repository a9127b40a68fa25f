//! A listener and its connections, over TCP or a unix socket: the rest of the server does not tell them apart.
//!
//! A unix socket is a file. One that no process listens on any more, as a killed process leaves it, is replaced; one that
//! a process answers on is not. Its mode, 0600, says who may connect: a client that connected before the mode was set is
//! sent away. Of two processes that find the same leftover at the same moment, the later one has the path.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::sys;

/// How long a listener tries to connect to itself.
const WAKE_TIME: Duration = Duration::from_millis(10);

/// Where connections come from.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// What a client connects to.
#[derive(Debug)]
pub(super) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// One connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// Listens on the first of the addresses that is free.
    pub fn tcp(addresses: &[SocketAddr]) -> io::Result<Listener> {
        TcpListener::bind(addresses).map(Listener::Tcp)
    }

    /// Listens on a unix socket at `path`, which only this user may connect to.
    pub fn unix(path: &Path) -> io::Result<Listener> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                remove_leftover(path)?;
                UnixListener::bind(path)?
            }
            outcome => outcome?,
        };
        let file = SocketFile::of(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        while listener.accept().is_ok() {}
        listener.set_nonblocking(false)?;
        Ok(Listener::Unix(listener, file))
    }

    pub fn accept(&self) -> io::Result<Stream> {
        match self {
            Listener::Tcp(listener) => listener.accept().map(|(stream, _)| Stream::Tcp(stream)),
            Listener::Unix(listener, _) => {
                listener.accept().map(|(stream, _)| Stream::Unix(stream))
            }
        }
    }

    pub fn address(&self) -> io::Result<Address> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Listener::Unix(_, file) => Ok(Address::Unix(file.path.clone())),
        }
    }

    /// Makes a blocked [`Listener::accept`] return; may have to be repeated.
    pub fn wake(&self) {
        match self {
            // Fails if there is no file descriptor left: then the thread is not blocked in `accept` but in a pause.
            Listener::Tcp(listener) => {
                let _ = listener
                    .local_addr()
                    .and_then(|address| TcpStream::connect_timeout(&address, WAKE_TIME));
            }
            // Its path may be another process's by now.
            Listener::Unix(listener, _) => sys::stop_accepting(listener.as_fd()),
        }
    }
}

/// The file of a unix socket; dropping it removes the file.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<SocketFile> {
        let found = fs::symlink_metadata(path)?;
        Ok(SocketFile {
            path: path.to_owned(),
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Not one that another process has put there since.
        let own = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if own {
            // Another process may have removed it a moment before.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket on which no process listens.
fn remove_leftover(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        let reason = "the path is taken by something that is not a socket";
        return Err(io::Error::new(ErrorKind::AlreadyExists, reason));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        // A process accepts there, or would if the queue were not full, or it is not for us to know.
        _ => {
            let reason = "another process listens on that socket";
            Err(io::Error::new(ErrorKind::AddrInUse, reason))
        }
    }
}

impl Stream {
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(how),
            Stream::Unix(stream) => stream.shutdown(how),
        }
    }

    pub fn set_read_timeout(&self, time: Option<Duration>) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_read_timeout(time),
            Stream::Unix(stream) => stream.set_read_timeout(time),
        }
    }

    pub fn set_write_timeout(&self, time: Option<Duration>) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_write_timeout(time),
            Stream::Unix(stream) => stream.set_write_timeout(time),
        }
    }

    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_nonblocking(nonblocking),
            Stream::Unix(stream) => stream.set_nonblocking(nonblocking),
        }
    }

    /// Sends what is written at once. Only TCP would wait for more.
    pub fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_nodelay(true),
            Stream::Unix(_) => Ok(()),
        }
    }

    /// Bounds what the system takes before the client has read it; about twice that, with its own bookkeeping.
    pub fn set_send_buffer(&self, bytes: usize) -> io::Result<()> {
        sys::set_send_buffer(self.as_fd(), bytes)
    }

    /// Whether the other end has finished sending, or the connection is broken. Does not wait.
    pub fn is_finished(&self) -> bool {
        sys::is_finished(self.as_fd())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => (&mut &*stream).read(buffer),
            Stream::Unix(stream) => (&mut &*stream).read(buffer),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => (&mut &*stream).write(bytes),
            Stream::Unix(stream) => (&mut &*stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
