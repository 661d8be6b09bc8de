//! keepalived.conf as data: a parser with exact diagnostics.
//!
//! The crate reads the configuration language of keepalived, as its manual page
//! keepalived.conf(5) and its observable behaviour define it, and makes of it a typed [`Config`]
//! with every default filled in. Whatever is wrong with the text becomes a [`Diagnostic`] with
//! file, line, column, reason and remedy, all of them in one run, and never stops the rest from
//! being read.
//!
//! It refuses to act: it opens no socket, looks at no interface, runs no script and reads no
//! clock. Files come through [`FileLoader`], so that a caller can check text that is on no disk.

// The code that pest generates without its default features names it.
extern crate alloc;

mod analysis;
pub mod ast;
mod conditional;
pub mod config;
pub mod diagnostic;
mod expand;
#[doc(hidden)]
pub mod fuzzing;
mod include;
pub mod keyword;
pub mod loader;
mod mapped;
mod reader;
pub mod render;
mod report;
mod resolve;
pub mod source;
mod substitute;
mod suggest;
pub mod tree;
mod value;

pub use analysis::{Analysis, Options, analyze};
pub use config::Config;
pub use diagnostic::{Code, Diagnostic, Severity};
pub use loader::{DiskLoader, FileLoader, MemoryLoader};
