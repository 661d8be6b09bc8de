//! Lines of the connection list.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ipvs_netlink::fuzzing::connections(data));
