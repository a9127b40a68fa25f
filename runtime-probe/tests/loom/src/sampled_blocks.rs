//! Blocks that are sampled and freed while a reader looks.

use crate::primitive::AtomicU64;
use crate::registry::sampled_blocks::{Block, SampledBlocks};
use loom::sync::Arc;
use loom::thread;

/// One level of one slot, and a second one of two.
fn table() -> Arc<SampledBlocks> {
    let words = (0..9).map(|_| AtomicU64::new(0)).collect();
    Arc::new(SampledBlocks::with_first(Vec::leak(words), 1))
}

fn numbered(number: u32) -> Block {
    Block {
        site: number,
        born: number,
        task: number,
    }
}

/// Two threads insert into the same slot; each gets its own block back.
#[test]
fn two_threads_never_get_one_slot() {
    loom::model(|| {
        let table = table();
        let threads = [1, 2].map(|number| {
            let table = table.clone();
            thread::spawn(move || {
                let address = number as usize * 64;
                assert!(table.insert(address, numbered(number)));
                assert_eq!(table.take(address), Some(numbered(number)));
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(table.alive().count(), 0);
    });
}

/// The words of an address that is freed and sampled again are those of one of its blocks, never mixed.
#[test]
fn a_reader_never_mixes_two_blocks() {
    loom::model(|| {
        let table = table();
        assert!(table.insert(64, numbered(1)));
        let writer = {
            let table = table.clone();
            thread::spawn(move || {
                assert_eq!(table.take(64), Some(numbered(1)));
                assert!(table.insert(64, numbered(2)));
            })
        };
        for block in table.alive() {
            assert_eq!(block, numbered(block.site));
        }
        writer.join().unwrap();
    });
}
