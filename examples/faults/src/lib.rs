//! What the programs of src/bin have in common: each has one fault, and runs without it when it is told to.

use std::env;

/// Whether the program is to run as it is once its fault is mended: an argument `repaired`.
pub fn repaired() -> bool {
    env::args().any(|argument| argument == "repaired")
}
