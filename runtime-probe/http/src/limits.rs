//! Every bound of the server, with its arithmetic.
//!
//! The most that a hostile client can take: 64 connections, each with 512 KiB of stack (address space, of which a
//! connection touches some 20 KiB), 24 KiB of head, 1 MiB of body and 512 KiB for the parsed addresses. That is 130
//! MiB of address space and at worst 96 MiB of memory, for 20 s and for as long as the reply is read, and 32 MiB in
//! the system. Idle connections take about 2 MiB together.
//! The values are constants and not settings, as users do not tune a debugging port. Tests shorten the times.

use std::time::Duration;

/// A browser's request is about 1 KiB; cookies of other programs on localhost add a few KiB.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Half of a head. The longest useful target is `/symbol?0x…+0x…` with 19 bytes for each address: 400 of them fit.
pub const MAX_TARGET_BYTES: usize = 8 * 1024;

/// A browser sends about 20. A header takes 32 bytes of the parser's stack: 2 KiB.
pub const MAX_HEADERS: usize = 64;

/// The longest useful body is a POST to `/symbol`: 1 MiB is 55,000 addresses.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The bytes of chunk sizes, their extensions and trailers of one body together: chunks of at least 128 bytes fit (1
/// MiB / 128 B = 8,192 chunks of 6 bytes overhead each = 48 KiB).
pub const MAX_FRAMING_BYTES: usize = 64 * 1024;

/// The time for the whole head, from its first byte (from the begin of the connection for its first request). A
/// person who types a head into a terminal is too slow for it.
pub const HEAD_TIME: Duration = Duration::from_secs(10);

/// The time for the whole body: 1 MiB in 10 s is 105 KB/s, a bad link through a tunnel.
pub const BODY_TIME: Duration = Duration::from_secs(10);

/// The time between two requests. After that, a person who clicks through the index connects again, which is cheap on
/// loopback.
pub const IDLE_TIME: Duration = Duration::from_secs(15);

/// The bytes of a reply that the kernel buffers before the client has read them. Linux needs twice the memory for it,
/// 32 MiB for all connections. Without this limit the kernel would buffer up to 4 MiB for each connection. At a round
/// trip of 100 ms it allows 2.6 MB/s.
pub const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// How long a client may read nothing. Bytes in kernel buffers count as read, so a stalled client may be noticed only
/// after about 21 s. A client that makes a reply wait for longer than this in all is served as long as there are
/// permits.
pub const WRITE_STALL: Duration = Duration::from_secs(10);

/// The slowest pace for longer than [`WRITE_STALL`]: at this pace a 256 KiB profile takes a minute. A client just
/// above it can stay for the whole length of its reply.
pub const MIN_BYTES_PER_SECOND: u32 = 4 * 1024;

/// A browser opens 6 connections, a fleet of scrapers a few. A debugging port should add at most 64 threads to a
/// process.
pub const MAX_CONNECTIONS: usize = 64;

/// After so many requests the client has to connect again: the state of a connection does not live for long.
pub const MAX_REQUESTS: u32 = 100;

/// A handler may symbolize: deep, but not recursive. Linux backs only touched pages with memory.
pub const STACK_BYTES: usize = 512 * 1024;

/// How long the accept thread waits until an evicted connection has left: its thread only has to wake up.
pub const EVICTION_TIME: Duration = Duration::from_secs(1);

/// After a reply that closes the connection, bytes that the client still sends are read and dropped for this time.
/// Closing with unread bytes resets the connection, and the client may lose the reply.
pub const LINGER_TIME: Duration = Duration::from_secs(1);

/// The most bytes that are dropped in that time.
pub const LINGER_BYTES: usize = 1024 * 1024;

/// How long a shutdown waits for replies under way before it cuts them off.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// The bounds that tests shorten.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub head_time: Duration,
    pub body_time: Duration,
    pub idle_time: Duration,
    pub write_stall: Duration,
    pub linger_time: Duration,
    pub shutdown_grace: Duration,
    pub connections: usize,
}

impl Limits {
    pub const STANDARD: Limits = Limits {
        head_time: HEAD_TIME,
        body_time: BODY_TIME,
        idle_time: IDLE_TIME,
        write_stall: WRITE_STALL,
        linger_time: LINGER_TIME,
        shutdown_grace: SHUTDOWN_GRACE,
        connections: MAX_CONNECTIONS,
    };
}
