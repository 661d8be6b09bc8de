//! Lets a user-mode kernel run on processors with a larger register state than it knows.
//!
//! Linux takes the extended registers of a traced process (`PTRACE_SETREGSET` with `NT_X86_XSTATE`)
//! only as a whole. User-mode Linux 6.1 hands it 2696 bytes, which is all of a processor with
//! AVX-512. Processors with AMX have 11008: the call fails, and the kernel ends at its first
//! process. This library, loaded into it by `LD_PRELOAD`, lengthens what is handed over with zeroes,
//! which for the state components beyond mean "never used". On other processors it changes nothing:
//! the host cuts off what is too long.
//!
//! It also makes the processes by which a user-mode kernel runs its own end with it. Otherwise, when it
//! is killed, they would run on as processes of the host, in the middle of what they were doing.
//!
//! For `cargo xtask lab` only, which builds and loads it.

#![allow(unsafe_code)]
#![cfg(target_os = "linux")]

use std::cell::UnsafeCell;
use std::ffi::{c_long, c_uint, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

/// Larger than the register state of any processor so far.
const WIDE: usize = 64 * 1024;

/// `NT_X86_XSTATE` of `linux/elf.h`.
const XSTATE: usize = 0x202;

/// `PTRACE_OLDSETOPTIONS` of the kernel's `asm/ptrace-abi.h`, the same request by its first number;
/// the one that user-mode Linux uses.
const OLD_SETOPTIONS: c_uint = 21;

/// Not on the stack, because that of a user-mode kernel has 16 KiB.
struct Registers(UnsafeCell<[u8; WIDE]>);

// SAFETY: one thread of a user-mode kernel runs its processes, and only that one traces them.
unsafe impl Sync for Registers {}

static REGISTERS: Registers = Registers(UnsafeCell::new([0; WIDE]));

type Ptrace = unsafe extern "C" fn(c_uint, libc::pid_t, *mut c_void, *mut c_void) -> c_long;

/// ptrace(2), with register states lengthened, and tracees that end with their tracer.
///
/// # Safety
///
/// As for that of the C library. Two threads must not set the registers of processes at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ptrace(
    request: c_uint,
    process: libc::pid_t,
    address: *mut c_void,
    data: *mut c_void,
) -> c_long {
    // SAFETY: the symbol is the C library's function, whose type this is.
    let next = unsafe { std::mem::transmute::<*mut c_void, Ptrace>(next_ptrace()) };
    if matches!(request, libc::PTRACE_SETOPTIONS | OLD_SETOPTIONS) {
        let options = data as usize | libc::PTRACE_O_EXITKILL as usize;
        // SAFETY: the caller's duty; this request takes no pointer but a number in its place.
        return unsafe { next(request, process, address, options as *mut c_void) };
    }
    if request != libc::PTRACE_SETREGSET || address as usize != XSTATE {
        // SAFETY: the caller's duty.
        return unsafe { next(request, process, address, data) };
    }
    // SAFETY: for this request the caller passes a vector, which describes readable bytes; nobody
    // else uses the static meanwhile.
    unsafe {
        let narrow = *data.cast::<libc::iovec>();
        let wide = REGISTERS.0.get().cast::<u8>();
        let length = narrow.iov_len.min(WIDE);
        std::ptr::copy_nonoverlapping(narrow.iov_base.cast::<u8>(), wide, length);
        std::ptr::write_bytes(wide.add(length), 0, WIDE - length);
        let mut vector = libc::iovec {
            iov_base: wide.cast(),
            iov_len: WIDE,
        };
        next(request, process, address, (&raw mut vector).cast())
    }
}

/// The C library's function of that name.
fn next_ptrace() -> *mut c_void {
    static NEXT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
    let known = NEXT.load(Ordering::Relaxed);
    if !known.is_null() {
        return known;
    }
    // SAFETY: a constant name with its NUL.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, c"ptrace".as_ptr()) };
    if found.is_null() {
        std::process::abort();
    }
    NEXT.store(found, Ordering::Relaxed);
    found
}
