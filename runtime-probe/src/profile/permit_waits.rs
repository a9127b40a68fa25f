//! Waits for permits of tokio's own semaphores: room in a bounded channel is such a permit, too.
//!
//! Which task was granted permits, and does not take them, is only known from its future.

use super::selection::grouped;
use crate::symbol::reason::Reason;
use runtime_dump::stack::Stack;

/// Whether a wait is for permits of tokio's own semaphores. Only the future of a task shows that permits were granted to it. A sender
/// also waits for the end of its receivers (`closed`), which is no such wait.
pub(super) fn is_for_permits(mut reasons: impl Iterator<Item = Reason>, stack: &Stack) -> bool {
    let is_known = |reason| {
        reason == Reason::ChanSend
            || cfg!(not(feature = "semaphore")) && reason == Reason::Semaphore
    };
    let branches = stack.branches.iter().flat_map(|branch| &branch.locations);
    let mut frames = branches
        .chain(&stack.trunk)
        .flat_map(|location| &location.frames);
    reasons.any(is_known) && frames.any(|frame| takes_permits(&frame.function))
}

/// Whether a function waits for room in a channel of tokio's, or for permits.
fn takes_permits(function: &str) -> bool {
    let path = function.trim_start_matches('<');
    let is_tokios = [
        "tokio::sync::mpsc::",
        "tokio::sync::semaphore::",
        "tokio_util::sync::",
    ]
    .iter()
    .any(|prefix| path.starts_with(prefix));
    let last = path.rsplit("::").next().unwrap_or_default();
    let last = last.strip_prefix("poll_").unwrap_or(last);
    is_tokios
        && ["acquire", "reserve", "send"]
            .iter()
            .any(|name| last.starts_with(name))
}

/// A task that waits longer for permits may wait for ever.
pub(super) const LONG_FOR_PERMITS_NS: u64 = 10_000_000_000;

#[cfg(not(feature = "decode"))]
pub(super) const NO_DECODE: &str =
    "the feature decode reads it where the binary has types (debug = 2)";

/// A sentence that it is not known which task was given the permits that so many others wait for, and why.
pub(super) fn unknown_permits(waiting: usize, why: &str) -> Option<String> {
    (waiting > 0).then(|| {
        let wait = match waiting {
            1 => "1 task waits".to_owned(),
            _ => format!("{} tasks wait", grouped(waiting as u64)),
        };
        format!(
            "{wait} for room in a channel or for permits for 10s and more; whether a task was given these and does not take them is not known: {why}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_that_waits_for_its_receivers_end_waits_for_no_permits() {
        for takes in [
            "tokio::sync::mpsc::bounded::Sender::send",
            "tokio::sync::mpsc::bounded::Sender::reserve_many",
            "tokio::sync::semaphore::Semaphore::acquire_owned",
            "tokio_util::sync::mpsc::PollSender::poll_reserve",
        ] {
            assert!(takes_permits(takes), "{takes}");
        }
        for other in [
            "tokio::sync::watch::Sender::closed",
            "tokio::sync::mpsc::bounded::Sender::closed",
            "tokio::sync::mpsc::bounded::Receiver::recv",
            "futures_channel::mpsc::Sender::poll_ready",
            "shop::send",
        ] {
            assert!(!takes_permits(other), "{other}");
        }
    }
}
