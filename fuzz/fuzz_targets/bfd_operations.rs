//! Whatever can happen to BFD sessions, in whatever order.
#![no_main]

use bfd_proto::fuzzing::{Operation, operations};

libfuzzer_sys::fuzz_target!(|data: &[u8]| operations(&Operation::all_of(data)));
