//! Words, lines and braces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kconf_parser::fuzzing::structure(data));
