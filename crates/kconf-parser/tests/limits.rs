//! Files that cannot be read, and text that would grow for ever.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use kconf_parser::{Analysis, Code, DiskLoader, MemoryLoader, Options, Severity, analyze};

const PATH: &str = "/etc/keepalived/keepalived.conf";

fn check(text: &str) -> Analysis {
    let loader = MemoryLoader::default().with(PATH, text);
    analyze(Path::new(PATH), &Options::default(), &loader)
}

/// Line and code of each problem.
fn problems(analysis: &Analysis) -> Vec<(u32, Code)> {
    let line = |place| analysis.sources.location(place).line;
    analysis
        .diagnostics
        .iter()
        .map(|found| (line(found.primary.place), found.code))
        .collect()
}

#[test]
fn a_missing_file_is_an_error() {
    let analysis = analyze(
        Path::new(PATH),
        &Options::default(),
        &MemoryLoader::default(),
    );
    assert_eq!(problems(&analysis), [(1, Code::FileNotReadable)]);
    assert!(analysis.has_errors());
}

#[test]
fn an_executable_file_is_skipped_and_so_is_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("main.conf");
    fs::write(
        &main,
        "include sub\ninclude other.conf\nincluder other.conf\n",
    )
    .unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    let other = folder.path().join("other.conf");
    fs::write(&other, "frobnicate\n").unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o744)).unwrap();
    let analysis = analyze(&main, &Options::default(), &DiskLoader);
    let skipped = |line| (line, Code::FileSkipped);
    assert_eq!(problems(&analysis), [skipped(1), skipped(2), skipped(3)]);
    let severities: Vec<Severity> = analysis
        .diagnostics
        .iter()
        .map(|found| found.severity)
        .collect();
    assert_eq!(
        severities,
        [Severity::Warning, Severity::Warning, Severity::Error]
    );

    fs::set_permissions(&main, fs::Permissions::from_mode(0o700)).unwrap();
    let analysis = analyze(&main, &Options::default(), &DiskLoader);
    assert_eq!(problems(&analysis), [(1, Code::FileSkipped)]);
    assert!(analysis.has_errors());
}

#[test]
fn files_that_include_each_other_are_read_once() {
    let loader = MemoryLoader::default().with(PATH, "include a.conf\n").with(
        "/etc/keepalived/a.conf",
        "include keepalived.conf\ninclude a.conf\nuse_pid_dir\n",
    );
    let analysis = analyze(Path::new(PATH), &Options::default(), &loader);
    assert_eq!(
        problems(&analysis),
        [(1, Code::IncludeLoop), (2, Code::IncludeLoop)]
    );
    assert!(analysis.config.globals.use_pid_dir);
}

#[test]
fn with_checks_every_include_must_match() {
    let loader = MemoryLoader::default()
        .with(PATH, "include conf.d/*.conf\n")
        .with("/etc/keepalived/conf.d/README", "");
    let silent = analyze(Path::new(PATH), &Options::default(), &loader);
    assert_eq!(problems(&silent), []);
    let options = Options {
        check_includes: true,
        ..Options::default()
    };
    let strict = analyze(Path::new(PATH), &options, &loader);
    assert_eq!(problems(&strict), [(1, Code::IncludeNoMatch)]);
}

/// keepalived takes a pattern in a folder that is not there for a file that is not there.
#[test]
fn a_pattern_in_a_missing_folder_is_a_missing_file() {
    let read = |word: &str| {
        let loader = MemoryLoader::default().with(PATH, format!("{word} conf.d/*.conf\n"));
        analyze(Path::new(PATH), &Options::default(), &loader)
    };
    for (word, fails) in [("include", false), ("includer", false), ("includem", true)] {
        let analysis = read(word);
        assert_eq!(problems(&analysis), [(1, Code::IncludeNoMatch)], "{word}");
        assert_eq!(analysis.has_errors(), fails, "{word}");
    }
}

/// What is used in a repeated text may have the names of the repetition in it.
#[test]
fn a_definition_knows_the_round_it_is_used_in() {
    let text = "$i=7\n$LINE=global_defs { router_id r$i }\n$BLOCK= \\\n\
        vrrp_instance V$i { \\\n interface eth0 \\\n virtual_router_id ${i} \\\n\
        virtual_ipaddress { 10.0.0.${i} } \\\n}\n\
        ~SEQ(i,3,4) $BLOCK\n$LINE\n";
    let loader =
        MemoryLoader::default().with(PATH, text.replace("V$i", "V${i}").replace("r$i", "r${i}"));
    let analysis = analyze(Path::new(PATH), &Options::default(), &loader);
    assert_eq!(problems(&analysis), []);
    let instances = analysis.config.vrrp.instances.iter();
    let numbers: Vec<u8> = instances.map(|instance| instance.vrid).collect();
    assert_eq!(numbers, [3, 4]);
    assert_eq!(analysis.config.globals.router_id.as_deref(), Some("r7"));
}

#[test]
fn include_check_counts_to_the_end_of_its_file() {
    let loader = MemoryLoader::default()
        .with(PATH, "include a.conf\ninclude missing*.conf\n")
        .with(
            "/etc/keepalived/a.conf",
            "global_defs {\ninclude_check\n}\ninclude missing*.conf\n",
        );
    let analysis = analyze(Path::new(PATH), &Options::default(), &loader);
    assert_eq!(problems(&analysis), [(4, Code::IncludeNoMatch)]);
}

#[test]
fn repetitions_of_billions_are_refused_at_once() {
    for bomb in [
        "~SEQ(i,1,4000000000) use_pid_dir",
        "~SEQ(i,100000)~SEQ(j,100000)~SEQ(k,100000) use_pid_dir",
    ] {
        let analysis = check(&format!("{bomb}\n"));
        assert_eq!(problems(&analysis), [(1, Code::ExpansionLimit)], "{bomb}");
    }
}

#[test]
fn long_lines_repeated_are_given_up_before_they_cost_minutes() {
    let line = "a ".repeat(30_000);
    let analysis = check(&format!("~SEQ(i,290000) {line}\n"));
    assert_eq!(
        problems(&analysis),
        [(1, Code::ExpansionLimit), (1, Code::LineTooLong)]
    );
}

#[test]
fn what_every_round_of_a_repetition_says_is_said_once() {
    let half = "x".repeat(40_000);
    let analysis = check(&format!("$A={half}\n~SEQ(i,5) router_id ${{A}}${{A}}\n"));
    assert_eq!(problems(&analysis), [(2, Code::ExpansionLimit)]);
}

#[test]
fn a_definition_that_doubles_itself_costs_its_line_only() {
    let analysis = check("$A=${A}${A}\nrouter_id $A\nuse_pid_dir\n$B=7\nchild_wait_time $B\n");
    assert_eq!(problems(&analysis), [(2, Code::ExpansionLimit)]);
    assert!(analysis.config.globals.use_pid_dir);
    assert_eq!(analysis.config.globals.child_wait_time.as_secs(), 7);
}

#[test]
fn nul_lines_and_long_lines_are_dropped_as_keepalived_does() {
    let long = "x".repeat(1100);
    let text = format!("use_pid_dir \0\nnet_namespace {long}\ninstance a # {long}\n");
    let analysis = check(&text);
    assert_eq!(
        problems(&analysis),
        [(1, Code::NulByte), (2, Code::LineTooLong)]
    );
    assert!(!analysis.config.globals.use_pid_dir);
    assert_eq!(analysis.config.globals.instance.as_deref(), Some("a"));
}

#[test]
fn thousands_of_blocks_in_each_other_are_one_problem() {
    let analysis = check(&"a {\n".repeat(20_000));
    let too_deep = analysis
        .diagnostics
        .iter()
        .filter(|found| found.code == Code::TooDeep);
    assert_eq!(too_deep.count(), 1);
    let analysis = check(&"}\n".repeat(20_000));
    assert_eq!(analysis.diagnostics.len(), 20_000);
}

#[test]
fn a_seed_makes_random_numbers_the_same_again() {
    let text = "random_seed 5\ninstance ${_RANDOM 1 1000000}\n";
    let value = |text: &str| check(text).config.globals.instance;
    assert_eq!(value(text), value(text));
    assert_ne!(value(text), value(&text.replace('5', "6")));
}

/// Where a name is not replaced, as keepalived does not, and what the values of a list are.
#[test]
fn a_name_is_replaced_only_where_keepalived_replaces_it() {
    let id = |lines: &str| {
        let analysis = check(&format!("{lines}\n"));
        let codes = problems(&analysis);
        (analysis.config.globals.router_id, codes)
    };
    let is = |lines: &str, id_is: &str| {
        assert_eq!(id(lines), (Some(id_is.to_owned()), vec![]), "{lines}");
    };
    is("$V=x\nglobal_defs {\nrouter_id ${V}\n}", "x");
    is("$M=global_defs { \\\n# c\nrouter_id b \\\n}\n$M", "b");
    is("$L=a\n~LST(v,$L) global_defs { router_id $v }", "a");

    let kept = |lines: &str, id_is: &str| {
        let (found, codes) = id(lines);
        assert_eq!(found.as_deref(), Some(id_is), "{lines}");
        assert_eq!(
            codes.first().map(|(_, code)| *code),
            Some(Code::UndefinedName),
            "{lines}"
        );
    };
    kept("$V=x\nglobal_defs {\nrouter_id ${V y}\n}", "V");
    kept("global_defs {\nrouter_id ${_RANDOM 9 8}\n}", "_RANDOM");
    kept(
        "$M=a \\\nsmtp_helo_name b\nglobal_defs {\nrouter_id $M x\n}",
        "$M",
    );

    // All names of a list were split before; the comma belongs to the one value.
    let analysis = check("$L=a,b\nglobal_defs {\n~LST(v,$L) router_id $v\n}\n");
    assert_eq!(analysis.config.globals.router_id.as_deref(), Some("a,b"));
}

#[test]
fn what_a_definition_or_a_check_of_includes_gets_wrong_is_told_in_its_line() {
    let cases = [
        ("\n$V=\"a b\n", 2, Code::UnterminatedQuote),
        ("$V=a \\\n\"b\n", 2, Code::UnterminatedQuote),
        (
            "global_defs {\ninclude_check +match bogus\n}\n",
            2,
            Code::BadValue,
        ),
        ("~SEQ(v,3,1,1) use_pid_dir\n", 1, Code::BadRepetition),
        ("~LST(v,a b,c) use_pid_dir\n", 1, Code::BadRepetition),
    ];
    for (text, line, code) in cases {
        assert_eq!(problems(&check(text)), [(line, code)], "{text}");
    }
    let loader = MemoryLoader::default()
        .with(PATH, "include \"a.conf\"\n")
        .with("/etc/keepalived/a.conf", "global_defs {\nrouter_id a\n}\n");
    let analysis = analyze(Path::new(PATH), &Options::default(), &loader);
    assert_eq!(problems(&analysis), [(1, Code::IncludeNoMatch)]);
    assert_eq!(analysis.config.globals.router_id.as_deref(), Some("a"));
}
