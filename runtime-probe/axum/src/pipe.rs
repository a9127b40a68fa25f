//! A reply between a blocking thread, which writes it, and hyper, which polls it.
//!
//! A channel of tokio's was rejected: its blocking send waits for as long as the client likes, and a bound on that
//! wait would need a runtime with a timer. Here the writer waits on a condition variable, at the pace of the
//! stand-alone server.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use axum::body::Bytes;
use http_body::{Body, Frame};
use runtime_probe::pprof::http::Carrier;
use runtime_probe_http::limits::WRITE_STALL;
use runtime_probe_http::pace::{Pace, too_slow};

/// Pieces under way: one that hyper is sending, and the next one.
const ROOM: usize = 2;

/// The largest piece. hyper takes a piece of any size for a client, and keeps it until the client has read it.
pub(crate) const PIECE_BYTES: usize = 16 * 1024;

/// A status, headers, and the length of the body if it is known.
#[derive(Debug)]
pub(crate) struct Head {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub length: Option<usize>,
}

/// The two ends of a reply.
pub(crate) fn pipe() -> (Writer, Reader) {
    let shared = Arc::new(Shared::default());
    let writer = Writer {
        shared: Arc::clone(&shared),
        pace: Pace::new(WRITE_STALL),
    };
    (writer, Reader { shared })
}

#[derive(Debug, Default)]
struct Shared {
    reply: Mutex<Reply>,
    /// There is room, or the reader is gone.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Reply {
    head: Option<Head>,
    pieces: VecDeque<Bytes>,
    /// The writer is gone; says whether the reply is complete.
    end: Option<End>,
    reader_is_gone: bool,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Whole,
    BrokenOff,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Reply> {
        self.reply.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the reader, after the lock is released: the reader's waker is code of an executor.
    fn wake(mut reply: MutexGuard<'_, Reply>) {
        let waker = reply.waker.take();
        drop(reply);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The end of the blocking thread. If it is dropped without [`Writer::finish`], the body is broken off.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    pace: Pace,
}

impl Writer {
    /// The whole reply is written.
    pub fn finish(self) {
        self.shared.lock().end = Some(End::Whole);
    }

    /// Tells whether the reader is gone, also after the writer is dropped.
    pub fn is_gone(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let shared = Arc::downgrade(&self.shared);
        move || {
            shared
                .upgrade()
                .is_none_or(|shared| shared.lock().reader_is_gone)
        }
    }

    /// Waits for room.
    fn push(&mut self, piece: Bytes) -> io::Result<()> {
        let begin = Instant::now();
        let mut reply = self.shared.lock();
        while reply.pieces.len() >= ROOM && !reply.reader_is_gone {
            let left = self.pace.left().saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Err(too_slow());
            }
            let waited = self.shared.changed.wait_timeout(reply, left);
            reply = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if reply.reader_is_gone {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.pace.charge(piece.len(), begin.elapsed())?;
        reply.pieces.push_back(piece);
        Shared::wake(reply);
        Ok(())
    }
}

impl Carrier for Writer {
    fn begin(
        &mut self,
        status: u16,
        headers: &[(&'static str, String)],
        length: Option<usize>,
    ) -> io::Result<()> {
        let mut reply = self.shared.lock();
        reply.head = Some(Head {
            status,
            headers: headers.to_vec(),
            length,
        });
        Shared::wake(reply);
        Ok(())
    }

    fn send(&mut self, piece: Vec<u8>) -> io::Result<()> {
        let mut pieces = piece.chunks(PIECE_BYTES);
        // Copies the piece: a slice of the whole would keep the whole in memory.
        pieces.try_for_each(|piece| self.push(Bytes::copy_from_slice(piece)))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut reply = self.shared.lock();
        reply.end.get_or_insert(End::BrokenOff);
        Shared::wake(reply);
    }
}

/// The end of hyper: first the head, then a body.
#[derive(Debug)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    /// Waits for the head; `None` if there will be none.
    pub async fn head(self) -> Option<(Head, Reader)> {
        let head = poll_fn(|context| {
            let mut reply = self.shared.lock();
            match (reply.head.take(), reply.end) {
                (None, None) => {
                    reply.waker = Some(context.waker().clone());
                    Poll::Pending
                }
                (head, _) => Poll::Ready(head),
            }
        });
        head.await.map(|head| (head, self))
    }
}

impl Body for Reader {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut reply = self.shared.lock();
        if let Some(piece) = reply.pieces.pop_front() {
            self.shared.changed.notify_one();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match reply.end {
            Some(End::Whole) => Poll::Ready(None),
            Some(End::BrokenOff) => Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into()))),
            None => {
                reply.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.lock().reader_is_gone = true;
        self.shared.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    fn next(reader: &mut Reader) -> Poll<Option<io::Result<Vec<u8>>>> {
        let mut context = Context::from_waker(Waker::noop());
        let frame = Pin::new(reader).poll_frame(&mut context);
        frame.map_ok(|frame| frame.into_data().unwrap().to_vec())
    }

    #[test]
    fn what_is_written_is_read_and_then_it_ends() {
        let (mut writer, mut reader) = pipe();
        assert!(next(&mut reader).is_pending());
        writer.send(b"a".to_vec()).unwrap();
        writer.send(b"b".to_vec()).unwrap();
        writer.finish();
        for piece in [b"a", b"b"] {
            assert!(matches!(next(&mut reader), Poll::Ready(Some(Ok(read))) if read == piece));
        }
        assert!(matches!(next(&mut reader), Poll::Ready(None)));
    }

    #[test]
    fn a_writer_that_does_not_finish_breaks_the_body_off() {
        let (mut writer, mut reader) = pipe();
        writer.send(b"a".to_vec()).unwrap();
        drop(writer);
        assert!(matches!(next(&mut reader), Poll::Ready(Some(Ok(_)))));
        assert!(matches!(next(&mut reader), Poll::Ready(Some(Err(_)))));
    }

    #[test]
    fn a_whole_goes_piece_by_piece_as_it_is_read() {
        let whole: Vec<u8> = (0..5 * PIECE_BYTES + 1).map(|at| (at >> 8) as u8).collect();
        let (mut writer, mut reader) = pipe();
        writer.pace = Pace::new(Duration::from_millis(50));
        let error = writer.send(whole.clone()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let mut read = Vec::new();
        while let Poll::Ready(Some(Ok(piece))) = next(&mut reader) {
            assert_eq!(piece.len(), PIECE_BYTES);
            read.extend(piece);
        }
        assert_eq!(read, whole[..ROOM * PIECE_BYTES]);

        let (mut writer, mut reader) = pipe();
        writer.pace = Pace::new(Duration::from_secs(60));
        let sent = whole.clone();
        let writer = thread::spawn(move || writer.send(sent).map(|()| writer.finish()));
        let mut read = Vec::new();
        loop {
            match next(&mut reader) {
                Poll::Ready(Some(piece)) => read.extend(piece.unwrap()),
                Poll::Ready(None) => break,
                Poll::Pending => thread::yield_now(),
            }
        }
        writer.join().unwrap().unwrap();
        assert!(read == whole);
    }

    #[test]
    fn a_writer_waits_for_room_and_not_for_ever() {
        let (mut writer, mut reader) = pipe();
        writer.pace = Pace::new(Duration::from_millis(50));
        for _ in 0..ROOM {
            writer.send(b"a".to_vec()).unwrap();
        }
        let error = writer.send(b"b".to_vec()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        writer.pace = Pace::new(Duration::from_secs(60));
        let writer = thread::spawn(move || writer.send(b"c".to_vec()));
        assert!(matches!(next(&mut reader), Poll::Ready(Some(Ok(_)))));
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn a_dribble_is_given_up() {
        const MANY: usize = 100;
        let (mut writer, mut reader) = pipe();
        writer.pace = Pace::new(Duration::from_millis(500));
        let writer = thread::spawn(move || (0..MANY).try_for_each(|_| writer.send(b"a".to_vec())));
        // One piece is written in less than the stall, twenty take longer.
        while !writer.is_finished() {
            thread::sleep(Duration::from_millis(25));
            let _ = next(&mut reader);
        }
        let error = writer.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn pieces_catch_up_with_waiting() {
        let (mut writer, _reader) = pipe();
        writer.pace.charge(0, WRITE_STALL / 2).unwrap();
        writer.send(vec![0; PIECE_BYTES]).unwrap();
        assert!(
            writer.pace.left() > WRITE_STALL * 4 / 5,
            "{:?}",
            writer.pace
        );
        writer.send(vec![0; PIECE_BYTES]).unwrap();
        assert_eq!(writer.pace.left(), WRITE_STALL);
    }

    #[test]
    fn a_writer_whose_reader_leaves_is_told() {
        let (mut writer, reader) = pipe();
        let is_gone = writer.is_gone();
        assert!(!is_gone());
        for _ in 0..ROOM {
            writer.send(b"a".to_vec()).unwrap();
        }
        let waiting = thread::spawn(move || writer.send(b"b".to_vec()));
        drop(reader);
        let error = waiting.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(is_gone());
    }
}
