//! Netlink answers, as the calls of a client take them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ipvs_netlink::fuzzing::calls(data));
