//! BFD packets, as the parser and a node take them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bfd_proto::fuzzing::packets(data));
