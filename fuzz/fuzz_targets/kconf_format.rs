//! Formatted text formats to itself and means the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kconf_parser::fuzzing::format(data));
