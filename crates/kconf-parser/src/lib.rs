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
//! It does not decide whether to go on with a configuration that has errors, either.
//!
//! ```
//! use std::path::Path;
//! use kconf_parser::{MemoryLoader, Options, Severity, analyze};
//!
//! let text = "
//! virtual_server 192.0.2.10 80 {
//!     lb_algo wrr
//!     lb_kind NAT
//!     protocol TCP
//!     real_server 10.0.0.1 8080 {
//!         wieght 5
//!         TCP_CHECK {
//!             connect_timeout 3
//!         }
//!     }
//! }
//! ";
//! let path = Path::new("/etc/keepalived/keepalived.conf");
//! let loader = MemoryLoader::default().with(path, text);
//! let analysis = analyze(path, &Options::default(), &loader);
//!
//! // One statement is wrong, and the suggestion says what was meant ...
//! let [problem] = analysis.diagnostics.as_slice() else { panic!("one problem") };
//! assert_eq!(problem.severity, Severity::Error);
//! assert_eq!(analysis.sources.location(problem.primary.place).line, 7);
//! assert_eq!(problem.suggestion.as_ref().unwrap().replacement, "weight");
//! // ... and everything else is there, defaults included.
//! let server = &analysis.config.services[0].real_servers[0];
//! assert_eq!(server.weight, 1);
//! assert_eq!(server.checks[0].retry, 1);
//! ```
//!
//! A longer one, `examples/vips.rs`, lists all virtual addresses of a file:
//!
//! ```
//! # use std::path::Path;
//! # use kconf_parser::{MemoryLoader, Options, analyze};
//! # let text = "vrrp_instance V { \n interface eth0 \n virtual_router_id 1 \n virtual_ipaddress { \n 192.0.2.1/32 \n } \n }";
//! # let path = Path::new("/etc/keepalived/keepalived.conf");
//! # let analysis = analyze(path, &Options::default(), &MemoryLoader::default().with(path, text));
//! let instances = &analysis.config.vrrp.instances;
//! let addresses = instances.iter().flat_map(|instance| &instance.addresses);
//! let listed: Vec<String> = addresses.map(|vip| vip.address.to_string()).collect();
//! assert_eq!(listed, ["192.0.2.1/32"]);
//! ```
//!
//! # Modules, in the order that text goes through them
//!
//! | module | from | to |
//! |---|---|---|
//! | [`loader`] | paths and patterns | bytes |
//! | `expand` (`include`, `conditional`, `substitute`, `mapped`) | files | one text, in [`source`] |
//! | [`tree`] (`grammar.pest`) | text | words, statements, blocks; lost braces put back |
//! | `reader` (`value`, [`keyword`], `suggest`) | tree | [`ast`], as written |
//! | `resolve` | as written | [`config`], as meant |
//! | [`lint`] | both | what is probably a mistake |
//! | [`diagnostic`] (`report`), [`render`] | what is wrong | snippets, lines, JSON |
//! | [`mod@format`] | one file as written | the same in one style |
//! | [`compare`] | two configurations as meant | what is added, removed, changed |
//! | [`secret`] | what is printed | the same without passwords |
//! | [`explain`] | keywords and codes | what they mean |
//! | [`fix`] | suggestions | files with the suggestions followed |
//! | [`document`] | one file as written | statements to edit, and the same text again |
//!
//! # Design
//!
//! Every stage is total: it takes anything, returns what can be used, and reports the rest. No
//! stage knows the next one. Positions are byte offsets from the first stage to the last and
//! become lines and columns only when somebody is told.

// The code that pest generates without its default features names it.
extern crate alloc;

mod analysis;
pub mod ast;
pub mod compare;
mod conditional;
pub mod config;
pub mod diagnostic;
pub mod document;
mod expand;
pub mod explain;
pub mod fix;
pub mod format;
#[doc(hidden)]
pub mod fuzzing;
mod include;
pub mod keyword;
pub mod lint;
pub mod loader;
mod mapped;
mod reader;
pub mod render;
mod report;
mod resolve;
pub mod secret;
pub mod source;
mod substitute;
mod suggest;
pub mod tree;
mod value;

pub use analysis::{Analysis, Options, analyze};
pub use config::Config;
pub use diagnostic::{Code, Diagnostic, Severity};
pub use document::Document;
pub use lint::Rules;
pub use loader::{DiskLoader, FileLoader, MemoryLoader};
pub use secret::Secrets;
