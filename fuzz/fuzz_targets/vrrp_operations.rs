//! Whatever can happen to two virtual routers, in whatever order.
#![no_main]

use vrrp_proto::fuzzing::{Operation, operations};

libfuzzer_sys::fuzz_target!(|data: &[u8]| operations(&Operation::all_of(data)));
