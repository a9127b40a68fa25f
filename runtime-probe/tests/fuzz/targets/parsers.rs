//! Arbitrary lines as a dump: the parsers refuse them, or parse them, and then every stack is complete.
#![no_main]

use dump::parse::{Parsed, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match parse(bytes) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(parsed) => {
            let stacks = parsed.stacks();
            let count: i128 = stacks.iter().map(|stack| i128::from(stack.count)).sum();
            if let Parsed::Blocks(dump) = &parsed {
                let tasks: i128 = dump
                    .blocks
                    .iter()
                    .map(|block| i128::from(block.count()))
                    .sum();
                assert!(
                    count == tasks || tasks > i128::from(i64::MAX),
                    "{count} of {tasks}"
                );
            }
        }
    }
});
