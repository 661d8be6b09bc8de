//! The program; see the library of this package.
//!
//! With glibc it begins where C begins. The standard library's own beginning asks for the limits of
//! the stack, which takes longer than most of what is done here. Who adds to a table rule by rule
//! starts the program very often.

#![cfg_attr(target_env = "gnu", no_main)]

#[cfg(not(target_env = "gnu"))]
fn main() -> std::process::ExitCode {
    lvsadm::main().into()
}

// SAFETY: there is no other `main`, and C calls it as it is declared. It cannot be unwound through:
// a panic ends the process.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
extern "C" fn main(_: std::ffi::c_int, _: *const *const std::ffi::c_char) -> std::ffi::c_int {
    lvsadm::main().into()
}
