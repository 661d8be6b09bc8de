//! Configurations, from text to diagnostics.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kconf_parser::fuzzing::check(data));
