//! Suggestions that are followed leave fewer problems.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kconf_parser::fuzzing::fix(data));
