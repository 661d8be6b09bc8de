//! VRRP packets of both versions, as views, parsers and instances take them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vrrp_proto::fuzzing::packets(data));
