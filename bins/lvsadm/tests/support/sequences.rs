//! Random sequences of command lines, right and wrong, for a tool that claims to be ipvsadm.
//!
//! Design: a command line is first a list of [`Piece`]s, so that the same options can be spelt in all
//! ways: clustered, attached, with `=`, long. About a third gets one or two faults. Few services and
//! servers, so that lines of a sequence meet.

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

use super::values::{self, Values};

/// Which of the three programs is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Tool,
    Save,
    Restore,
}

/// One run of a program.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    pub(crate) program: Program,
    pub(crate) arguments: Vec<Vec<u8>>,
    /// Standard input.
    pub(crate) input: Vec<u8>,
    /// Whether standard input is what the last save printed.
    pub(crate) from_save: bool,
    /// What the tool is called by.
    pub(crate) name: &'static str,
    /// A variable of the environment, and its value.
    pub(crate) variable: Option<(&'static str, &'static str)>,
    pub(crate) streams: Streams,
}

/// How the standard streams of a run are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streams {
    Piped,
    /// One is closed, or leads to a full device: as a shell writes it.
    Redirected(&'static str),
    /// Nobody reads standard output any more.
    Broken,
}

/// How the tool may be called. The name is in its messages.
const NAMES: [&str; 4] = [
    "/sbin/ipvsadm",
    "./ipvsadm",
    "/usr/local/sbin/../sbin/ipvsadm",
    "ipvsadm",
];

const VARIABLES: [(&str, &str); 8] = [
    ("POSIXLY_CORRECT", "1"),
    ("POSIXLY_CORRECT", ""),
    ("COLUMNS", "20"),
    ("TERM", "dumb"),
    ("LC_ALL", "C.UTF-8"),
    ("LANGUAGE", "de"),
    ("HOME", "/nonexistent"),
    ("IFS", "-"),
];

const STREAMS: [Streams; 5] = [
    Streams::Redirected("<&-"),
    Streams::Redirected(">&-"),
    Streams::Redirected("2>&-"),
    Streams::Redirected("> /dev/full"),
    Streams::Broken,
];

impl Invocation {
    pub(crate) fn new(program: Program, arguments: Vec<Vec<u8>>) -> Self {
        Self {
            program,
            arguments,
            input: Vec::new(),
            from_save: false,
            name: "ipvsadm",
            variable: None,
            streams: Streams::Piped,
        }
    }

    /// Whether it only reads: then two runs may share one table.
    pub(crate) fn lists(&self) -> bool {
        let first = self.arguments.first().map(Vec::as_slice);
        self.program == Program::Tool
            && (first.is_none()
                || first.is_some_and(|word| word.starts_with(b"-L") || word.starts_with(b"-l"))
                || first == Some(b"--list"))
    }
}

/// As it could be typed.
impl std::fmt::Display for Invocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some((variable, value)) = self.variable {
            write!(f, "{variable}={value:?} ")?;
        }
        write!(f, "{:?}", self.program)?;
        if self.program == Program::Tool {
            write!(f, " as {}", self.name)?;
        }
        for argument in &self.arguments {
            write!(f, " {:?}", String::from_utf8_lossy(argument))?;
        }
        match self.streams {
            Streams::Piped => {}
            Streams::Redirected(how) => write!(f, " {how}")?,
            Streams::Broken => write!(f, " | nobody")?,
        }
        if self.from_save {
            write!(f, " < what was saved")?;
        }
        if !self.input.is_empty() {
            write!(f, "\n    < {:?}", String::from_utf8_lossy(&self.input))?;
        }
        Ok(())
    }
}

/// A piece of a command line before it is spelt.
#[derive(Clone, Debug)]
enum Piece {
    Option {
        short: Option<char>,
        long: &'static str,
        value: Option<String>,
        /// Whether the value may only be attached or left out (`-p`).
        optional: bool,
    },
    Raw(Vec<u8>),
}

fn switch(short: Option<char>, long: &'static str) -> Piece {
    Piece::Option {
        short,
        long,
        value: None,
        optional: false,
    }
}

fn valued(short: Option<char>, long: &'static str, value: impl Into<String>) -> Piece {
    Piece::Option {
        short,
        long,
        value: Some(value.into()),
        optional: false,
    }
}

fn raw(text: &str) -> Piece {
    Piece::Raw(text.as_bytes().to_vec())
}

/// A sequence for an empty table.
pub(crate) fn sequence(rng: &mut impl Rng) -> Vec<Invocation> {
    let mut values = Values::pick(rng);
    let length = rng.random_range(4..10);
    let mut sequence: Vec<Invocation> = (0..length)
        .map(|place| invocation(rng, &mut values, place))
        .collect();
    // What has come out, in one of its many forms.
    sequence.push(list(rng, &mut values));
    sequence
}

/// A listing of any kind.
pub(crate) fn listing(rng: &mut impl Rng) -> Invocation {
    let mut values = Values::pick(rng);
    list(rng, &mut values)
}

fn list(rng: &mut impl Rng, values: &mut Values) -> Invocation {
    let mut pieces = vec![verb(rng, 'L')];
    pieces.extend(list_options(rng, values));
    Invocation::new(Program::Tool, spell(&pieces, rng))
}

fn invocation(rng: &mut impl Rng, values: &mut Values, place: usize) -> Invocation {
    let mut invocation = match rng.random_range(0..100) {
        0..3 => wrapper_save(rng),
        3..6 => restore(rng, values, Program::Restore),
        6..13 => restore(rng, values, Program::Tool),
        13 => Invocation::new(Program::Tool, Vec::new()),
        _ => {
            let pieces = line(rng, values, place);
            Invocation::new(Program::Tool, spell(&pieces, rng))
        }
    };
    if rng.random_ratio(1, 20) {
        invocation.variable = VARIABLES.choose(rng).copied();
    }
    if rng.random_ratio(1, 12) {
        invocation.name = NAMES.choose(rng).expect("not empty");
    }
    // The scripts of ipvsadm are a shell's, which has words of its own about its streams.
    if invocation.program == Program::Tool && rng.random_ratio(1, 25) {
        invocation.streams = *STREAMS.choose(rng).expect("not empty");
    }
    invocation
}

fn wrapper_save(rng: &mut impl Rng) -> Invocation {
    let lines: [&[&str]; 9] = [
        &[],
        &["-n"],
        &["-n", "-n"],
        &["-nn"],
        &["-h"],
        &["--help"],
        &["foo"],
        &["foo", "-n"],
        &["-n", "--"],
    ];
    let words = lines.choose(rng).expect("not empty");
    let arguments = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    Invocation::new(Program::Save, arguments)
}

fn restore(rng: &mut impl Rng, values: &mut Values, program: Program) -> Invocation {
    let arguments = match program {
        Program::Tool => vec![
            ["-R", "--restore"]
                .choose(rng)
                .expect("not empty")
                .as_bytes()
                .to_vec(),
        ],
        _ if rng.random_ratio(1, 4) => vec![b"-h".to_vec()],
        _ => Vec::new(),
    };
    let mut invocation = Invocation::new(program, arguments);
    if rng.random_ratio(1, 3) {
        invocation.from_save = true;
        return invocation;
    }
    for place in 0..rng.random_range(0..7) {
        match rng.random_range(0..32) {
            7 => {
                let odd = ODD_LINES.choose(rng).expect("not empty");
                invocation.input.extend_from_slice(odd);
            }
            8 => {
                // Longer than any buffer, with more words than any table.
                let words = b" -n".repeat(rng.random_range(1..9000));
                invocation
                    .input
                    .extend([b"-L".as_slice(), &words, b"\n"].concat());
            }
            0 => invocation.input.extend(b"# a comment\n"),
            1 => invocation.input.extend(b"\n \t\n"),
            2 => invocation.input.extend(b"# -A -t 10.0.0.1:80\n"),
            3 => invocation.input.extend(b"-R\n"),
            4 => invocation
                .input
                .extend(b"ipvsadm -A -t 10.0.0.9:80 ipvsadm\r\n"),
            5 => invocation.input.extend(b"/sbin/ipvsadm -C\n"),
            6 => invocation.input.extend(b"  # indented\n"),
            _ => {
                let words = spell(&line(rng, values, place), rng);
                let joint = *[b" ".as_slice(), b"  ", b"\t"]
                    .choose(rng)
                    .expect("not empty");
                invocation.input.extend(words.join(joint));
                invocation.input.push(b'\n');
            }
        }
    }
    if rng.random_ratio(1, 6) {
        invocation.input.pop();
    }
    if program == Program::Restore {
        // The real one filters by grep, which says nothing of a file that is no text but that it is none.
        invocation.input.retain(u8::is_ascii);
    }
    invocation
}

/// Lines in which only blanks, line ends and the words between them count.
const ODD_LINES: &[&[u8]] = &[
    b"-A -t \"10.0.0.9:81\" -s rr\n",
    b"-A -t '10.0.0.9:81'\n",
    b"-A -t 10.0.0.9:\\\n81\n",
    b"-A -t 10.0.0.9:82 # behind\n",
    b"-A\x0b-t 10.0.0.9:83\n",
    b"-A\x0c-t 10.0.0.9:84\n",
    b"\r\n\r\n",
    b"-A -t 10.0.0.9:85 -s rr\r-n\n",
    b"ipvsadm\n",
    b"ipvsadm ipvsadm -Ln\n",
    b"ipvsadm-save\n",
    b"lvsadm -Ln\n",
    b"; -Ln\n",
    b"$(ls) -Ln\n",
    b"--\n",
    b"-\n",
    b"-Ln;-C\n",
    b"-A -t 10.0.0.9:86 -s \xff\n",
    b"\xef\xbb\xbf-Ln\n",
    b"-A -u 10.0.0.9:87 -o -s rr\t\t \n",
    b"-C\n-Ln\n",
    b"-h\n-C\n",
    b"--version\n-C\n",
    b"-A -t 10.0.0.9:88\n-A -t 10.0.0.9:88\n-Ln\n",
    b"-L -t 10.0.0.99:80\n-Ln\n",
    b"-Sn\n",
    b"-Ln --stats --exact\n",
    b"--set 1 2 3\n-L --timeout\n",
];

/// One command line.
fn line(rng: &mut impl Rng, values: &mut Values, place: usize) -> Vec<Piece> {
    let wrong = rng.random_ratio(1, 3);
    values.set_wrong(wrong && rng.random_ratio(1, 2));
    // The first lines fill the table.
    let letters: &[u8] = match place {
        0 => b"AAAAAAAAALN",
        1..3 => b"AAAaaaaaaL",
        _ => b"AAAAAAAEEEDDCaaaaaaaaaeeeeddLLLLLLLLSSSSZZttbbBhvRN",
    };
    let letter = char::from(*letters.choose(rng).expect("not empty"));
    let mut options = options_of(rng, values, letter);
    if rng.random_ratio(1, 3) {
        shuffle(&mut options, rng);
    }
    let mut pieces = Vec::new();
    if letter != 'N' {
        pieces.push(verb(rng, letter));
        if matches!(letter, 'b' | 'B') {
            let state = ["master", "backup", "master", "backup", "Master", "", "x"];
            let count = if wrong { 7 } else { 4 };
            let state = state[..count].choose(rng).expect("not empty");
            attach_state(&mut pieces, state, rng);
        }
    }
    pieces.extend(options);
    if wrong {
        for _ in 0..rng.random_range(1..3) {
            fault(&mut pieces, rng, values);
        }
    }
    values.set_wrong(false);
    pieces
}

fn attach_state(pieces: &mut Vec<Piece>, state: &str, rng: &mut impl Rng) {
    if rng.random_ratio(1, 3)
        && let Some(Piece::Option { value, .. }) = pieces.last_mut()
    {
        *value = Some(state.to_owned());
    } else {
        pieces.push(raw(state));
    }
}

fn verb(rng: &mut impl Rng, letter: char) -> Piece {
    let long = match letter {
        'A' => "add-service",
        'E' => "edit-service",
        'D' => "delete-service",
        'C' => "clear",
        'R' => "restore",
        'S' => "save",
        'a' => "add-server",
        'e' => "edit-server",
        'd' => "delete-server",
        'L' => "list",
        'Z' => "zero",
        't' => "set",
        'b' => "start-daemon",
        'B' => "stop-daemon",
        'h' => "help",
        _ => "version",
    };
    let short = match letter {
        't' | 'b' | 'B' => None,
        'L' if rng.random_ratio(1, 4) => Some('l'),
        letter => Some(letter),
    };
    switch(short, long)
}

fn options_of(rng: &mut impl Rng, values: &mut Values, letter: char) -> Vec<Piece> {
    match letter {
        'A' | 'E' | 'N' => {
            let mut pieces = service(rng, values);
            pieces.extend(service_options(rng, values));
            pieces
        }
        'D' => service(rng, values),
        'a' | 'e' => {
            let mut pieces = service(rng, values);
            pieces.push(server(rng, values));
            pieces.extend(server_options(rng, values));
            pieces
        }
        'd' => {
            let mut pieces = service(rng, values);
            pieces.push(server(rng, values));
            pieces
        }
        'L' => list_options(rng, values),
        'S' => numeric(rng, 2),
        'Z' if rng.random() => service(rng, values),
        't' => (0..3).map(|_| raw(&values.timeout(rng))).collect(),
        'b' => daemon_options(rng, values),
        'B' if rng.random_ratio(1, 3) => vec![valued(None, "syncid", values.sync_id(rng))],
        _ => Vec::new(),
    }
}

fn service(rng: &mut impl Rng, values: &mut Values) -> Vec<Piece> {
    let service = values.service(rng);
    let short = match service.option {
        "tcp-service" => Some('t'),
        "udp-service" => Some('u'),
        "fwmark-service" => Some('f'),
        _ => None,
    };
    let mut pieces = vec![valued(short, service.option, service.value)];
    if service.ipv6_mark {
        pieces.push(switch(Some('6'), "ipv6"));
    }
    pieces
}

fn server(rng: &mut impl Rng, values: &mut Values) -> Piece {
    valued(Some('r'), "real-server", values.server(rng))
}

fn service_options(rng: &mut impl Rng, values: &mut Values) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let scheduler = values.scheduler(rng);
    if rng.random_ratio(3, 4) {
        pieces.push(valued(Some('s'), "scheduler", scheduler.clone()));
    }
    if values.wants_persistence() || rng.random_ratio(1, 4) {
        let value = rng.random_ratio(2, 3).then(|| values.persistence(rng));
        pieces.push(Piece::Option {
            short: Some('p'),
            long: "persistent",
            value,
            optional: true,
        });
        if rng.random_ratio(1, 2) {
            pieces.push(valued(Some('M'), "netmask", values.netmask(rng)));
        }
        if rng.random_ratio(1, 6) {
            pieces.push(valued(None, "pe", values.engine(rng)));
        }
    }
    if rng.random_ratio(1, 6) {
        pieces.push(valued(
            Some('b'),
            "sched-flags",
            values.flags(rng, &scheduler),
        ));
    }
    if rng.random_ratio(1, 10) {
        pieces.push(switch(Some('o'), "ops"));
    }
    pieces
}

fn server_options(rng: &mut impl Rng, values: &mut Values) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let method = rng.random_range(0..4);
    match method {
        0 => pieces.push(switch(Some('g'), "gatewaying")),
        1 => pieces.push(switch(Some('i'), "ipip")),
        2 => pieces.push(switch(Some('m'), "masquerading")),
        _ => {}
    }
    if rng.random_ratio(1, 2) {
        pieces.push(valued(Some('w'), "weight", values.weight(rng)));
    }
    if rng.random_ratio(1, 4) {
        pieces.push(valued(
            Some('x'),
            "u-threshold",
            values.threshold(rng, true),
        ));
    }
    if rng.random_ratio(1, 5) {
        pieces.push(valued(
            Some('y'),
            "l-threshold",
            values.threshold(rng, false),
        ));
    }
    if method == 1 && rng.random() {
        let kind = values.tunnel(rng);
        if kind == "gue" && rng.random_ratio(7, 8) {
            pieces.push(valued(None, "tun-port", values.port(rng)));
        }
        let sums: &[&str] = match kind.as_str() {
            "gue" => &["tun-csum", "tun-nocsum", "tun-remcsum"],
            "gre" => &["tun-csum", "tun-nocsum"],
            _ => &[],
        };
        if let Some(sum) = sums.choose(rng).filter(|_| rng.random()) {
            pieces.push(switch(None, sum));
        }
        pieces.push(valued(None, "tun-type", kind));
    }
    pieces
}

fn numeric(rng: &mut impl Rng, one_in: u32) -> Vec<Piece> {
    let numeric = rng.random_ratio(1, one_in);
    numeric
        .then(|| switch(Some('n'), "numeric"))
        .into_iter()
        .collect()
}

fn list_options(rng: &mut impl Rng, values: &mut Values) -> Vec<Piece> {
    let mut pieces = if rng.random_ratio(2, 3) {
        numeric(rng, 1)
    } else {
        Vec::new()
    };
    match rng.random_range(0..12) {
        0 => pieces.push(switch(Some('c'), "connection")),
        1 => pieces.push(switch(None, "timeout")),
        2 => pieces.push(switch(None, "daemon")),
        3 | 4 => pieces.extend(service(rng, values)),
        _ => {}
    }
    let formats = [
        "stats",
        "rate",
        "thresholds",
        "persistent-conn",
        "tun-info",
        "exact",
        "nosort",
        "sort",
    ];
    for name in formats {
        if rng.random_ratio(1, 8) {
            pieces.push(switch(None, name));
        }
    }
    if rng.random_ratio(1, 20) {
        pieces.push(valued(None, "syncid", values.sync_id(rng)));
    }
    pieces
}

fn daemon_options(rng: &mut impl Rng, values: &mut Values) -> Vec<Piece> {
    let mut pieces = Vec::new();
    if rng.random_ratio(9, 10) {
        pieces.push(valued(None, "mcast-interface", values.interface(rng)));
    }
    let mut sometimes = |piece: Piece, rng: &mut _| {
        if RngExt::random_ratio(rng, 1, 4) {
            pieces.push(piece);
        }
    };
    let sync_id = values.sync_id(rng);
    sometimes(valued(None, "syncid", sync_id), rng);
    let length = values.sync_length(rng);
    sometimes(valued(None, "sync-maxlen", length), rng);
    let group = values.group(rng);
    sometimes(valued(None, "mcast-group", group), rng);
    let port = values.port(rng);
    sometimes(valued(None, "mcast-port", port), rng);
    let ttl = values.ttl(rng);
    sometimes(valued(None, "mcast-ttl", ttl), rng);
    pieces
}

/// Spoils a command line.
fn fault(pieces: &mut Vec<Piece>, rng: &mut impl Rng, values: &mut Values) {
    let place = rng.random_range(0..=pieces.len());
    match rng.random_range(0..13) {
        // Nothing that goes with the command, or what goes with another one.
        0 | 1 => {
            let letter = *['A', 'a', 'L', 'b', 'A', 'a']
                .choose(rng)
                .expect("not empty");
            if let Some(piece) = options_of(rng, values, letter).choose(rng) {
                pieces.insert(place.max(1).min(pieces.len()), piece.clone());
            }
        }
        2 => {
            if let Some(piece) = pieces.choose(rng).cloned() {
                pieces.insert(place, piece);
            }
        }
        3 if pieces.len() > 1 => drop(pieces.remove(rng.random_range(1..pieces.len()))),
        4 => {
            let letter = *['A', 'D', 'C', 'R', 'L', 'Z', 'h', 'v', 't', 'S']
                .choose(rng)
                .expect("not empty");
            let verb = verb(rng, letter);
            pieces.insert(place, verb);
        }
        5 | 6 => {
            let words = values::STRAY;
            let word = words.choose(rng).expect("not empty");
            pieces.insert(place, Piece::Raw(word.to_vec()));
        }
        7 | 8 => {
            let words = values::UNKNOWN;
            let word = words.choose(rng).expect("not empty");
            pieces.insert(place, raw(word));
        }
        9 => {
            let words = [
                "-s",
                "-w",
                "--scheduler",
                "-t",
                "--tun-type",
                "-r",
                "--pe",
                "-M",
                "-p",
                "-x",
                "-b",
                "-f",
            ];
            pieces.push(raw(words.choose(rng).expect("not empty")));
        }
        10 if pieces.len() > 1 => {
            let other = rng.random_range(0..pieces.len());
            pieces.swap(0, other);
        }
        11 if !pieces.is_empty() => {
            // A value where none belongs, or an empty one.
            let odd = ["", "3", "x"].choose(rng).expect("not empty");
            if let Piece::Option { value, .. } = &mut pieces[place.saturating_sub(1)] {
                *value = Some((*odd).to_owned());
            }
        }
        _ => shuffle(pieces, rng),
    }
}

fn shuffle(pieces: &mut [Piece], rng: &mut impl Rng) {
    for last in (1..pieces.len()).rev() {
        pieces.swap(last, rng.random_range(0..=last));
    }
}

/// Writes pieces down in one of the many ways.
fn spell(pieces: &[Piece], rng: &mut impl Rng) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut cluster: Option<String> = None;
    for (index, piece) in pieces.iter().enumerate() {
        let (short, long, value, optional) = match piece {
            Piece::Raw(word) => {
                words.extend(cluster.take().map(String::into_bytes));
                words.push(word.clone());
                continue;
            }
            Piece::Option {
                short,
                long,
                value,
                optional,
            } => (*short, *long, value.as_deref(), *optional),
        };
        let takes_value = value.is_some() || optional;
        let short = short.filter(|_| cluster.is_some() || rng.random_ratio(2, 3));
        let Some(letter) = short else {
            words.extend(cluster.take().map(String::into_bytes));
            match value {
                Some(value) if rng.random() => words.push(format!("--{long}={value}").into()),
                Some(value) => {
                    words.push(format!("--{long}").into());
                    words.push(value.into());
                }
                None => words.push(format!("--{long}").into()),
            }
            continue;
        };
        let mut word = cluster.take().unwrap_or_else(|| "-".to_owned());
        word.push(letter);
        let next_is_short = matches!(
            pieces.get(index + 1),
            Some(Piece::Option { short: Some(_), .. })
        );
        if !takes_value && next_is_short && rng.random_ratio(2, 5) {
            cluster = Some(word);
            continue;
        }
        match value {
            Some(value) => match rng.random_range(0..10) {
                0..2 => words.push((word + value).into()),
                2 => words.push((word + "=" + value).into()),
                _ => {
                    words.push(word.into());
                    words.push(value.into());
                }
            },
            None => words.push(word.into()),
        }
    }
    words.extend(cluster.map(String::into_bytes));
    words
}
