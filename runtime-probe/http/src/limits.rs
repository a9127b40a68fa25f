//! Every bound of the server, with its arithmetic.
//!
//! The sum is what a hostile client can cost the process: 64 connections of 512 KiB of stack (address space, of which a
//! connection touches some 20 KiB), 24 KiB of head, 1 MiB of body and the 512 KiB that its addresses take are 130 MiB of
//! address space and at worst 96 MiB of memory, held for 20 s and for as long as the answer is read, and 32 MiB of the
//! system's; idle connections cost about 2 MiB together.
//! The values are constants, no knobs: no user tunes a debugging port. Tests shorten the times.

use std::time::Duration;

/// A browser's request is about 1 KiB; cookies of whatever else runs on localhost add up to a few more.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Half of a head. The longest honest target is `/symbol?0x…+0x…` with 19 bytes an address: 400 of them fit.
pub const MAX_TARGET_BYTES: usize = 8 * 1024;

/// A browser sends about 20. A header is 32 bytes of the parser's stack: 2 KiB.
pub const MAX_HEADERS: usize = 64;

/// The longest honest body is a POST to `/symbol`: 1 MiB are 55,000 addresses.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// What chunk sizes, their extensions and trailers of one body may take together: chunks of at least 128 bytes pass
/// (1 MiB / 128 B = 8,192 chunks of 6 bytes overhead each = 48 KiB).
pub const MAX_FRAMING_BYTES: usize = 64 * 1024;

/// The whole head within this time of its first byte (of the connection, for its first request). A person who types it
/// into a terminal is slower and loses.
pub const HEAD_TIME: Duration = Duration::from_secs(10);

/// The whole body: 1 MiB in 10 s is 105 KB/s, a bad link through a tunnel.
pub const BODY_TIME: Duration = Duration::from_secs(10);

/// Between two requests; a person who clicks through the index connects anew after that, which is cheap on loopback.
pub const IDLE_TIME: Duration = Duration::from_secs(15);

/// What the system takes of a reply before the client has read it; Linux needs twice that for it, 32 MiB for all. By itself it
/// would take up to 4 MiB for each. At 100 ms to the client it is 2.6 MB/s.
pub const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// How long a client may read nothing. What the systems' buffers take counts as read, also when the client's makes room late:
/// 21 s were seen. A client that keeps a reply waiting for longer than this in all is served as long as there are permits.
pub const WRITE_STALL: Duration = Duration::from_secs(10);

/// How slowly a client may read for longer than [`WRITE_STALL`]: at this pace a 256 KiB profile takes a minute. A
/// client just above it can stay as long as its reply is long.
pub const MIN_BYTES_PER_SECOND: u32 = 4 * 1024;

/// A browser opens 6 connections, a fleet of scrapers a few; 64 threads are the most that a debugging port should add
/// to a process.
pub const MAX_CONNECTIONS: usize = 64;

/// Then the client connects anew: no state of a connection lives for long.
pub const MAX_REQUESTS: u32 = 100;

/// A handler may symbolize: deep, but not recursive. Linux only backs with memory what is touched.
pub const STACK_BYTES: usize = 512 * 1024;

/// How long the accept thread waits for an evicted connection to leave: it only has to wake up.
pub const EVICTION_TIME: Duration = Duration::from_secs(1);

/// After a reply that closes the connection, what the client still sends is read and dropped for a moment: closing with
/// bytes unread resets the connection, and the client may lose the reply.
pub const LINGER_TIME: Duration = Duration::from_secs(1);

/// The most bytes that are dropped so.
pub const LINGER_BYTES: usize = 1024 * 1024;

/// How long a shutdown waits for replies that are being made, before it cuts them off.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// The bounds that tests want smaller.
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
