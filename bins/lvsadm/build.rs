//! Links what unwinds the stack into the program, where the C compiler has it: a shared library less
//! to load makes each start shorter. Without it the shared one is used.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}"));
    let host = std::env::var("HOST");
    if host != std::env::var("TARGET") || target("ENV").as_deref() != Ok("gnu") {
        return;
    }
    let asked = Command::new("cc")
        .arg("-print-file-name=libgcc_eh.a")
        .output();
    let Ok(answer) = asked else { return };
    let answer = String::from_utf8_lossy(&answer.stdout);
    // A compiler that has none repeats the name.
    let path = Path::new(answer.trim());
    if let Some(folder) = path
        .parent()
        .filter(|_| path.is_absolute() && path.exists())
    {
        println!("cargo::rustc-link-search=native={}", folder.display());
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
