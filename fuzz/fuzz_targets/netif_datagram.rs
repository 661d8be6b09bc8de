//! The kernel's answers and events on interfaces, addresses, routes and rules.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| netif::fuzzing::datagram(data));
