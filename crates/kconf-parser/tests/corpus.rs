//! What the fuzz targets start from, and what they once found, keeps every promise.

use std::fs;
use std::path::Path;

use kconf_parser::fuzzing;

#[test]
fn the_corpus_keeps_every_promise() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/kconf");
    let mut files = 0;
    for entry in fs::read_dir(folder).expect("the corpus is there") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|ext| ext == "conf") {
            let data = fs::read(&path).expect("a file");
            for promise in [
                fuzzing::lexer,
                fuzzing::structure,
                fuzzing::check,
                fuzzing::format,
                fuzzing::fix,
            ] {
                promise(&data);
            }
            files += 1;
        }
    }
    assert!(files >= 10, "{files}");
}
