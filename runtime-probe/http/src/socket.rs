//! A listener and its connections, over TCP or a unix socket. The rest of the server does not distinguish them.
//!
//! A unix socket is a file. If no process listens on it any more, as after a killed process, it is replaced. If a
//! process accepts on it, it is not. Its mode, 0600, limits who may connect; a client that connected before the mode
//! was set is dropped. If two processes find the same leftover at the same moment, the later one gets the path.

use std::fs;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::sys;

/// How long a listener tries to connect to itself.
const WAKE_TIME: Duration = Duration::from_millis(10);

/// A listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The address of a listener.
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
    /// Listens on the first free address.
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

    /// Makes a blocked [`Listener::accept`] return. The call may have to be repeated.
    pub fn wake(&self) {
        match self {
            // Fails if there is no file descriptor left. The thread is then in a pause and not in `accept`.
            Listener::Tcp(listener) => {
                let _ = listener
                    .local_addr()
                    .and_then(|address| TcpStream::connect_timeout(&address, WAKE_TIME));
            }
            // Another process may have its path by now.
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
        // Only if it is this socket, and not one that another process has put there since.
        let own = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if own {
            // Another process may have removed it a moment before.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket that no process listens on.
fn remove_leftover(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        let reason = "the path is taken by something that is not a socket";
        return Err(io::Error::new(ErrorKind::AlreadyExists, reason));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        // A process accepts there, or its queue is full, or this process may not know.
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

    /// Sends written bytes at once. Only TCP would wait for more.
    pub fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_nodelay(true),
            Stream::Unix(_) => Ok(()),
        }
    }

    /// Bounds the bytes that the kernel takes before the client has read them; the kernel uses about twice that, with
    /// its own bookkeeping.
    pub fn set_send_buffer(&self, bytes: usize) -> io::Result<()> {
        sys::set_send_buffer(self.as_fd(), bytes)
    }

    /// Whether the client has finished sending, or the connection is broken. Does not wait.
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

/// Each is one call of the system. That of std for several parts would end the process by a signal if the client has left
/// and the program does not ignore that signal.
impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        sys::send(self.as_fd(), parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
