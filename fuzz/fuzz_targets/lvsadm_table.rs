//! Files with tables, as `lvsadm apply` reads them, and the lines of `lvsadm -R`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lvsadm::fuzzing::table(bytes));
