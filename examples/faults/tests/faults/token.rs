//! Who waits for a lock that is never released is counted, though no unlock is.

use crate::process::Faulty;

#[test]
fn the_mutex_page_counts_who_waits_now() {
    let token = Faulty::start(env!("CARGO_BIN_EXE_token"), &[]);
    token.must(
        "mutex?debug=1",
        r"^# 19 tasks wait for a lock now, the longest for [\d.]+s, all together for",
    );
    // One holds the lock and reads from a socket: it is none of them.
    token.must(
        "mutex?debug=1&ongoing=1",
        "^[0-9]{9,} 19 @ .*\n# labels: .*\n(#.*\n)*#.*token::call",
    );
}
