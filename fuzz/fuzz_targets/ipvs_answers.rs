//! Netlink answers, as a client reads them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ipvs_netlink::fuzzing::answers(data));
