//! Shared by the programs of src/bin: each has one fault, and runs without it with the argument `repaired`.

use std::env;

/// Whether the program runs without its fault: with the argument `repaired`.
pub fn repaired() -> bool {
    env::args().any(|argument| argument == "repaired")
}
