//! All files of a configuration, as open in the editor or on disk, and their findings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gen_lsp_types::{
    Code, Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, Location, Message, Range,
    Uri,
};
use kconf_parser::loader::{DiskLoader, FileLoader, LoadError};
use kconf_parser::source::{Place, file_uri};
use kconf_parser::{Analysis, Document, Options, Severity, analyze};

use crate::position::{Encoding, Lines};

/// A file that the editor has open.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    pub(crate) uri: Uri,
    pub(crate) version: i32,
    pub(crate) text: String,
}

/// Files as the editor shows them, above those on disk.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) open: BTreeMap<PathBuf, Open>,
}

impl FileLoader for Files {
    fn read(&self, path: &Path) -> Result<Vec<u8>, LoadError> {
        match self.open.get(path) {
            Some(open) => Ok(open.text.clone().into_bytes()),
            None => DiskLoader.read(path),
        }
    }

    fn matches(&self, pattern: &str) -> Vec<PathBuf> {
        DiskLoader.matches(pattern)
    }

    fn has_folder(&self, path: &Path) -> bool {
        DiskLoader.has_folder(path)
    }
}

impl Files {
    /// The URI of a path: that of the editor if it has the file open.
    pub(crate) fn uri(&self, path: &Path) -> Uri {
        match self.open.get(path) {
            Some(open) => open.uri.clone(),
            None => Uri(file_uri(path)),
        }
    }

    /// Every configuration that the open files belong to: the main one, and each open file that is
    /// part of no other.
    pub(crate) fn analyses(&self, root: Option<&Path>, options: &Options) -> Vec<Analysis> {
        let mut analyses: Vec<Analysis> = Vec::new();
        let opened = self.open.keys().map(PathBuf::as_path);
        for path in root.into_iter().chain(opened) {
            if analyses.iter().any(|known| has(known, path)) {
                continue;
            }
            let made = analyze(path, options, self);
            // A file that was opened before the one that includes it.
            analyses.retain(|old| {
                let main = old.sources.files().first();
                !main.is_some_and(|main| has(&made, main.path()))
            });
            analyses.push(made);
        }
        analyses
    }
}

/// Whether a file is part of a configuration.
pub(crate) fn has(analysis: &Analysis, path: &Path) -> bool {
    analysis
        .sources
        .files()
        .iter()
        .any(|file| file.path() == path)
}

/// All files of a configuration, as written.
pub(crate) fn documents(analysis: &Analysis) -> Vec<Document> {
    let files = analysis.sources.files().iter();
    files.map(|file| Document::parse(file.text())).collect()
}

/// The findings of a configuration, by file; files without any are there too.
pub(crate) fn findings(
    analysis: &Analysis,
    files: &Files,
    encoding: Encoding,
) -> BTreeMap<PathBuf, Vec<Diagnostic>> {
    let sources = &analysis.sources;
    let lines: Vec<Lines<'_>> = sources
        .files()
        .iter()
        .map(|file| Lines::new(file.text(), encoding))
        .collect();
    let location = |place: Place| -> Option<Location> {
        let file = sources.file(place.file)?;
        let index = sources
            .files()
            .iter()
            .position(|other| std::ptr::eq(file, other))?;
        let lines = lines.get(index)?;
        Some(Location {
            uri: files.uri(file.path()),
            range: Range {
                start: lines.position(place.start as usize),
                end: lines.position(place.end as usize),
            },
        })
    };
    let mut found: BTreeMap<PathBuf, Vec<Diagnostic>> = sources
        .files()
        .iter()
        .map(|file| (file.path().to_owned(), Vec::new()))
        .collect();
    for diagnostic in &analysis.diagnostics {
        let place = diagnostic.primary.place;
        let (Some(file), Some(here)) = (sources.file(place.file), location(place)) else {
            continue;
        };
        let texts = [
            Some(&diagnostic.message),
            Some(&diagnostic.primary.text),
            diagnostic.help.as_ref(),
        ];
        let texts: Vec<&str> = texts.into_iter().flatten().map(String::as_str).collect();
        let message: Vec<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        let related = diagnostic.secondary.iter().filter_map(|label| {
            Some(DiagnosticRelatedInformation {
                location: location(label.place)?,
                message: label.text.clone(),
            })
        });
        let includes = sources.included_from(place.file).filter_map(|place| {
            Some(DiagnosticRelatedInformation {
                location: location(place)?,
                message: "included here".to_owned(),
            })
        });
        let made = Diagnostic {
            range: here.range,
            severity: Some(match diagnostic.severity {
                Severity::Error => DiagnosticSeverity::Error,
                Severity::Warning => DiagnosticSeverity::Warning,
            }),
            code: Some(Code::String(diagnostic.code.to_string())),
            source: Some("lvsd".to_owned()),
            message: Message::String(message.join("\n")),
            related_information: Some(related.chain(includes).collect()),
            ..Diagnostic::default()
        };
        found.entry(file.path().to_owned()).or_default().push(made);
    }
    found
}
