//! The usage and the version, from the table of flags.

use std::io::Write;

use crate::additions::ADDITIONS;
use crate::flags::{FLAGS, Flag, Meaning, Verb};

/// What the usage says behind the options.
const BEHIND: &str = "
A virtual-service is -t, -u, --sctp-service or -f with its value, a server-address the value of -r.
The command comes first. Without a command: -L.

Without --socket: the lvsd at $LVSD_SOCKET if that is set; else the first that answers of
/run/lvsd/ipvs.sock, $XDG_RUNTIME_DIR/lvsd/ipvs.sock, /tmp/lvsd-UID/ipvs.sock; else the kernel.
Called by the name ipvsadm: the kernel first.

Exit status: 0 done; 1 the service to be listed does not exist; 2 wrong usage, or no IPVS found;
255 an option that is not known, no command, or IPVS refused. Of apply and save 1: something was
refused, or cannot be written down; of diff 1: something differs.
";

/// The version of ipvsadm that scripts look for. `lvsadm version` is ours.
pub(crate) fn version(out: &mut impl Write, program: &[u8]) {
    let name = program
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or_default();
    let _ = out.write_all(name);
    let _ = writeln!(
        out,
        " v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)"
    );
}

/// The version and all commands and options.
pub(crate) fn usage(out: &mut impl Write, program: &[u8]) {
    version(out, program);
    let _ = writeln!(out, "Usage:");
    let synopses = [
        "-A|E virtual-service [-s scheduler] [-p [timeout]] [-M netmask] \
         [--pe persistence_engine] [-b sched-flags]",
        "-D virtual-service",
        "-C",
        "-R",
        "-S [-n]",
        "-a|e virtual-service -r server-address [options]",
        "-d virtual-service -r server-address",
        "-L|l [virtual-service] [options]",
        "-Z [virtual-service]",
        "--set tcp tcpfin udp",
        "--start-daemon {master|backup} [daemon-options]",
        "--stop-daemon {master|backup}",
        "-h",
    ];
    for synopsis in synopses {
        let _ = out.write_all(&[b"  ", program, b" "].concat());
        let _ = writeln!(out, "{synopsis}");
    }
    let is_verb = |flag: &&Flag| matches!(flag.meaning, Meaning::Verb(_));
    let _ = writeln!(out, "\nCommands:");
    FLAGS
        .iter()
        .filter(is_verb)
        .for_each(|flag| line(out, flag));
    let _ = writeln!(out, "\nOptions:");
    FLAGS
        .iter()
        .filter(|flag| !is_verb(flag))
        .for_each(|flag| line(out, flag));
    let names = "    --socket PATH";
    let _ = writeln!(out, "  {names:<36}talk to the lvsd that listens there");
    let _ = writeln!(out, "\nMore commands:");
    for addition in ADDITIONS {
        let names = format!("{} {}", addition.name, addition.argument);
        let _ = writeln!(out, "  {names:<36}{}", addition.help);
        for choice in addition.options {
            option(out, choice.short, choice.long, choice.value, choice.help);
        }
    }
    let _ = out.write_all(BEHIND.as_bytes());
}

/// Whether a command line asks for nothing that needs IPVS.
pub(crate) fn only_help(arguments: &[Vec<u8>]) -> Option<Verb> {
    match arguments.first().map(Vec::as_slice) {
        Some(b"-h" | b"--help") => Some(Verb::Help),
        Some(b"-v" | b"--version") => Some(Verb::Version),
        _ => None,
    }
}

fn line(out: &mut impl Write, flag: &Flag) {
    if flag.help.is_empty() {
        return;
    }
    option(out, flag.short, flag.long, flag.value, flag.help);
}

fn option(out: &mut impl Write, short: Option<u8>, long: &str, value: &str, help: &str) {
    let short = match short {
        Some(letter) => format!("-{},", char::from(letter)),
        None => "   ".to_owned(),
    };
    let names = format!("{short} --{long} {value}");
    let _ = writeln!(out, "  {names:<36}{help}");
}
