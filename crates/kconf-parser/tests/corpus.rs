//! What the fuzz targets start from, and what they once found, keeps every promise.

use kconf_parser::fuzzing;

#[test]
fn the_corpus_keeps_every_promise() {
    let seeds = lvs_testkit::seeds("kconf");
    assert!(seeds.len() >= 10, "{}", seeds.len());
    for (_, data) in seeds {
        for promise in [
            fuzzing::lexer,
            fuzzing::structure,
            fuzzing::check,
            fuzzing::format,
            fuzzing::fix,
        ] {
            promise(&data);
        }
    }
}
