//! What a binary calls its functions and files.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let [short, full] = fuzz::function_names(text);
    // Parentheses are the call in a dump's frame lines.
    assert!(!short.contains(['(', ')']), "{short:?}");
    // Nothing is made up but `{closure}` and the brackets of `<T as Trait>`.
    assert!(short.len() <= 2 * full.len() + 2, "{short:?} for {full:?}");
    if let Some(module) = fuzz::module(text) {
        assert!(!module.is_empty() && !module.contains('/'), "{module:?}");
    }
});
