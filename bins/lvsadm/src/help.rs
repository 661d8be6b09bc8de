//! The usage and the version, from the table of flags.

use std::io::Write;

use crate::flags::{FLAGS, Flag, Meaning, Verb};

/// What the usage says behind the options.
const BEHIND: &str = "
SERVICE is -t, -u, --sctp-service or -f with its value, SERVER the value of -r. The command comes
first. Without a command: -L.

Without --socket: the lvsd at $LVSD_SOCKET if that is set; else the first that answers of
/run/lvsd/ipvs.sock, $XDG_RUNTIME_DIR/lvsd/ipvs.sock, /tmp/lvsd-UID/ipvs.sock; else the kernel.
Called by the name ipvsadm: the kernel first.

Exit status: 0 done; 1 the service to be listed does not exist; 2 wrong usage, or no IPVS found;
255 an option that is not known, no command, or IPVS refused.
";

/// The version of ipvsadm that scripts find, and below it our own under our own name.
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
    if name == b"lvsadm" {
        let _ = writeln!(out, "lvskit v{}", env!("CARGO_PKG_VERSION"));
    }
}

/// The version and all commands and options.
pub(crate) fn usage(out: &mut impl Write, program: &[u8]) {
    version(out, program);
    let _ = writeln!(out, "Usage:");
    let synopses = [
        "-A|E SERVICE [-s NAME] [-p [SECONDS]] [-M MASK] [-b FLAGS] [-o] [--pe NAME]",
        "-D SERVICE",
        "-a|e SERVICE -r SERVER [-g|i|m] [-w N] [-x N] [-y N] [tunnel options]",
        "-d SERVICE -r SERVER",
        "-L [SERVICE] [options]",
        "-S [-n]",
        "-R | -C | -Z [SERVICE]",
        "--set TCP TCPFIN UDP",
        "--start-daemon STATE [options] | --stop-daemon STATE",
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
    let short = match flag.short {
        Some(letter) => format!("-{},", char::from(letter)),
        None => "   ".to_owned(),
    };
    let names = format!("{short} --{} {}", flag.long, flag.value);
    let _ = writeln!(out, "  {names:<36}{}", flag.help);
}
