//! A thread that waits for a shard of a map is a wait that goes on, for a lock, by the call that the program made.

use crate::process::Faulty;

#[test]
fn the_insert_waits_for_a_lock() {
    for (how, workers) in [("join", "1"), ("spawn", "[12]")] {
        let players = Faulty::start(env!("CARGO_BIN_EXE_dashmap"), &[how]);
        players.must(
            "block?debug=1&ongoing=1",
            &format!(
                "^[0-9]{{9,}} {workers} @ .*\n# labels: .*sync.RWMutex.Lock, blocks a worker.*\n(#.*\n)*#.*dashmap::record"
            ),
        );
    }
}
