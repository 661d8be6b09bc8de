//! Lists the virtual addresses of a configuration, and how it was read:
//! `cargo run -p kconf-parser --example vips -- FILE`.

use std::path::PathBuf;
use std::process::ExitCode;

use kconf_parser::{DiskLoader, Options, analyze, render};

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: vips FILE");
        return ExitCode::FAILURE;
    };
    let analysis = analyze(&path, &Options::default(), &DiskLoader);
    eprint!("{}", render::human(&analysis, false));
    for instance in &analysis.config.vrrp.instances {
        for address in instance
            .addresses
            .iter()
            .chain(&instance.excluded_addresses)
        {
            let own = instance.interface.as_deref();
            let interface = address.interface.as_deref().or(own).unwrap_or("-");
            println!("{}\t{}\t{interface}", instance.name, address.address);
        }
    }
    for service in &analysis.config.services {
        println!("{}", service.id);
    }
    match analysis.has_errors() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}
