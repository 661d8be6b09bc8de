//! Pieces and nodes of a text print as it was.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kconf_parser::fuzzing::lexer(data));
