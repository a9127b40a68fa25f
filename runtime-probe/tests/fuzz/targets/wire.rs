//! The bytes of a connection: framing and access control. The outcome does not depend on the pieces in which the
//! bytes arrive.
//!
//! The first byte chooses the access control and the size of the pieces in which the rest arrives: some dozens of
//! pieces at most, as more pieces only take longer.
//! only take longer.
#![no_main]

use fuzz::asked::assert_sentence;
use fuzz::sent::{Door, Received, receive};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static DOORS: LazyLock<[Door; 2]> =
    LazyLock::new(|| [Door::loopback(), Door::token("0123456789abcdef")]);

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else {
        return;
    };
    let door = &DOORS[usize::from(choice & 1)];
    let received = receive(door, bytes, usize::MAX);
    let piece = usize::from(choice >> 1).max(bytes.len() / 32).max(1);
    if piece < bytes.len() {
        assert_eq!(
            receive(door, bytes, piece),
            received,
            "in pieces of {piece}"
        );
    }
    if let Some(Received::Refused(status, sentence)) = received.last() {
        assert_sentence(*status, sentence);
    }
});
