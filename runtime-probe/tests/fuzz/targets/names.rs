//! Names of functions and files as they are in a binary.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let [short, full] = fuzz::function_names(text);
    // Parentheses mark the call in a frame line of a dump.
    assert!(!short.contains(['(', ')']), "{short:?}");
    // Nothing is added but `{closure}` and the brackets of `<T as Trait>`.
    assert!(short.len() <= 2 * full.len() + 2, "{short:?} for {full:?}");
    if let Some(module) = fuzz::module(text) {
        assert!(!module.is_empty() && !module.contains('/'), "{module:?}");
    }
});
