//! Where the variables of threads are, without their registers.
//!
//! glibc's descriptor of a thread begins there. It has its own address twice, and the thread's number.

use runtime_dump_decode::{Memory, each_chunk};
use std::collections::HashMap;
use std::ops::Range;

/// In glibc's `struct pthread` of x86_64: `header.self` and `tid`.
const SELF: u64 = 0x10;
const TID: u64 = 0x2d0;

/// Those of the threads that are found, by number. With another C library there are none.
pub(crate) fn thread_pointers(
    memory: &dyn Memory,
    data: &[Range<u64>],
    tids: &[u32],
) -> HashMap<u32, u64> {
    let word = |at: u64| {
        let mut bytes = [0; 8];
        memory
            .read(at, &mut bytes)
            .then(|| u64::from_le_bytes(bytes))
    };
    let mut pointers = HashMap::new();
    each_chunk(memory, data, |chunk| {
        for (at, value) in chunk.words() {
            if at != value || word(at.wrapping_add(SELF)) != Some(at) {
                continue;
            }
            let tid = word(at.wrapping_add(TID)).map(|word| word as u32);
            if let Some(tid) = tid.filter(|tid| tids.contains(tid)) {
                pointers.insert(tid, at);
            }
        }
    });
    pointers
}
