//! Netlink requests, as the table answers them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ipvs_netlink::fuzzing::requests(data));
