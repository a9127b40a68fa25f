//! The thread pointers of running threads, whose registers are unknown.
//!
//! glibc's descriptor of a thread is at the thread pointer. It contains its own address twice, and the thread's id.

use runtime_dump_decode::{Memory, each_chunk};
use std::collections::HashMap;
use std::ops::Range;

/// The offsets of `header.self` and `tid` in glibc's `struct pthread` of x86_64.
const SELF: u64 = 0x10;
const TID: u64 = 0x2d0;

/// The thread pointers by thread id, as far as they are found. Other C libraries have no such descriptors. `tids` has the
/// thread ids by those that the process itself sees, which its descriptors contain.
pub(crate) fn thread_pointers(
    memory: &dyn Memory,
    data: &[Range<u64>],
    tids: &HashMap<u32, u32>,
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
            if let Some(tid) = tid.and_then(|tid| tids.get(&tid)) {
                pointers.insert(*tid, at);
            }
        }
    });
    pointers
}
