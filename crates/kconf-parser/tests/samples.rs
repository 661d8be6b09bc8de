//! A folder of configurations; for each a snapshot of its tree, its meaning and what is wrong.
//!
//! `INSTA_UPDATE=always cargo test -p kconf-parser --test samples` rewrites the snapshots; a
//! human reads the difference.

use std::fs;
use std::path::{Path, PathBuf};

use kconf_parser::{Analysis, DiskLoader, Options, Secrets, analyze, render, tree};

/// Relative, so that the snapshots are the same on every machine; tests run in the folder of the
/// crate.
const SAMPLES: &str = "tests/samples";

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the samples are there");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let mut files: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|ext| ext == "conf"))
        .collect();
    files.sort();
    files
}

fn check(path: &Path) -> Analysis {
    let options = Options {
        config_id: "here".to_owned(),
        ..Options::default()
    };
    analyze(path, &options, &DiskLoader)
}

fn snapshot(folder: &str) {
    for path in files(folder) {
        let analysis = check(&path);
        let name = path
            .strip_prefix(SAMPLES)
            .expect("a sample")
            .to_string_lossy();
        let name = name.trim_end_matches(".conf").replace('/', "-");
        let text = format!(
            "{}{}\n\n===== tree\n{}\n===== resolved\n{:#?}\n",
            render::human(&analysis, false),
            render::summary(std::slice::from_ref(&analysis)),
            tree::print(&analysis.tree(), analysis.sources.text(), Secrets::Shown),
            analysis.config,
        );
        insta::with_settings!({
            snapshot_path => "snapshots",
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, { insta::assert_snapshot!(name, text) });
    }
}

#[test]
fn samples_read_as_recorded() {
    snapshot(SAMPLES);
}

#[test]
fn guides_read_as_recorded() {
    snapshot("tests/samples/howto");
}

const AWS: &[(u32, &str)] = &[
    (19, "own interface"),
    (55, "longer than"),
    (67, "longer than"),
];

/// Lines of a guide that have a problem, by file; nothing else in it may have one.
const EXPECTED: &[(&str, &[(u32, &str)])] = &[
    (
        "annotated-dr",
        &[
            (20, "enable_script_security"),
            (30, "VI_2"),
            (31, "VI_5"),
            (56, "VI_3"),
            (57, "VI_4"),
            (71, "<IPADDR>"),
            (77, "own interface"),
            (83, "PASS"),
            (84, "first 8"),
            (98, "no weights"),
            (101, "BACKUP"),
            (103, "preempt_delay"),
            (111, "takes turns"),
            (112, "<NETMASK>"),
            (115, "<string>"),
            (116, "<IPADDR>"),
            (121, "inhibit_on_failure"),
            (122, "<STRING>"),
            (123, "<STRING>"),
            (128, "longer than"),
            (137, "longer than"),
        ],
    ),
    ("aws-unicast-backup", AWS),
    ("aws-unicast-master", AWS),
    (
        "dr-web-director",
        &[
            (39, "nat_mask"),
            (40, "takes turns"),
            (46, "longer than"),
            (47, "retry"),
            (53, "real_server"),
            (56, "longer than"),
            (57, "retry"),
        ],
    ),
    (
        "mysql-ha",
        &[
            (12, "//"),
            (22, "VIP"),
            (30, "enable_script_security"),
            (31, "TCP_CHECK"),
            (32, "longer than"),
        ],
    ),
];

#[test]
fn the_mistakes_of_guides_are_named_and_nothing_else() {
    for (name, expected) in EXPECTED {
        let mut analysis = check(Path::new(&format!("{SAMPLES}/howto/{name}.conf")));
        by_place(&mut analysis);
        let lines: Vec<u32> = analysis
            .diagnostics
            .iter()
            .map(|found| analysis.sources.location(found.primary.place).line)
            .collect();
        let wanted: Vec<u32> = expected.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, wanted, "{name}");
        for (found, (line, text)) in analysis.diagnostics.iter().zip(*expected) {
            let suggestion = found
                .suggestion
                .as_ref()
                .map(|change| change.replacement.as_str());
            let says = found.message.contains(text) || suggestion == Some(*text);
            assert!(says, "{name}:{line}: {found:?}");
        }
    }
}

/// Puts findings in the order of the text, whatever may follow from what.
fn by_place(analysis: &mut Analysis) {
    let found = &mut analysis.diagnostics;
    found.sort_by_key(|found| (found.primary.place.start, found.code));
}

/// In `vrrp-mistakes.conf`, comments mark the lines that have a problem.
#[test]
fn mistakes_of_vrrp_are_found_where_they_are() {
    let path = Path::new("tests/samples/vrrp-mistakes.conf");
    let text = fs::read_to_string(path).expect("the sample is there");
    let marked = text.lines().zip(1_u32..).skip(1);
    let marked = marked.filter(|(line, _)| line.contains('#'));
    let marked: Vec<u32> = marked.map(|(_, number)| number).collect();
    let mut analysis = check(path);
    by_place(&mut analysis);
    let mut found: Vec<u32> = analysis
        .diagnostics
        .iter()
        .map(|found| analysis.sources.location(found.primary.place).line)
        .collect();
    found.dedup();
    assert_eq!(found, marked, "{}", render::human(&analysis, false));
}

#[test]
fn good_vrrp_blocks_have_no_problem() {
    let analysis = check(Path::new("tests/samples/vrrp.conf"));
    assert_eq!(render::human(&analysis, false), "");
}
