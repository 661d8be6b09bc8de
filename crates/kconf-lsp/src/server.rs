//! Messages in, messages out; the open files.
//!
//! Everything that is asked is answered from the open texts and the last check; a request that
//! cannot be understood is answered with an error and changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use gen_lsp_types::{
    CodeAction, CodeActionKind, CodeActionParams, CompletionItem, CompletionItemKind,
    CompletionItemTag, CompletionParams, Contents, DefinitionParams, DidChangeTextDocumentParams,
    DidCloseTextDocumentParams, DidOpenTextDocumentParams, DocumentFormattingParams, Documentation,
    Hover, HoverParams, InitializeParams, Location, MarkupContent, MarkupKind, Position,
    PositionEncodingKind, PublishDiagnosticsParams, Range, TextDocumentContentChangeEvent,
    TextDocumentPositionParams, TextEdit, Uri, WorkspaceEdit,
};
use kconf_parser::document::DirectiveKind;
use kconf_parser::format::format;
use kconf_parser::{Analysis, Document, Options};
use lsp_server::{ErrorCode, Notification, Request, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::completion::{Kind, Proposal, complete};
use crate::context::directive;
use crate::definition::{defined, definition_of, reference};
use crate::hover::hover;
use crate::position::{Encoding, Lines, path};
use crate::project::{Files, Open, documents, findings, has};

/// One client's server.
pub(crate) struct Server {
    files: Files,
    encoding: Encoding,
    /// The main file, if the client knows it.
    root: Option<PathBuf>,
    options: Options,
    /// The configurations of the open files, as last checked.
    analyses: Vec<Analysis>,
    /// Whether a text changed since.
    changed: bool,
    /// Files whose findings the client shows.
    published: BTreeSet<PathBuf>,
}

impl Server {
    pub(crate) fn new(params: &InitializeParams) -> Self {
        let offered = params.capabilities.general.as_ref();
        let offered = offered.and_then(|general| general.position_encodings.as_ref());
        let utf8 = offered.is_some_and(|all| all.contains(&PositionEncodingKind::UTF8));
        let wished = serde_json::to_value(&params.initialization_options).unwrap_or_default();
        let text = |name: &str| wished.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            files: Files::default(),
            encoding: if utf8 {
                Encoding::Utf8
            } else {
                Encoding::Utf16
            },
            root: text("root").map(PathBuf::from),
            options: Options {
                config_id: text("configId").unwrap_or_default(),
                environment: std::env::vars().collect(),
                ..Options::default()
            },
            analyses: Vec::new(),
            changed: true,
            published: BTreeSet::new(),
        }
    }

    /// What the server can do.
    pub(crate) fn capabilities(&self) -> Value {
        json!({
            "positionEncoding": match self.encoding {
                Encoding::Utf8 => "utf-8",
                Encoding::Utf16 => "utf-16",
            },
            "textDocumentSync": { "openClose": true, "change": 2, "save": true },
            "hoverProvider": true,
            "completionProvider": { "triggerCharacters": ["$"] },
            "definitionProvider": true,
            "documentFormattingProvider": true,
            "codeActionProvider": { "codeActionKinds": ["quickfix"] },
        })
    }

    /// Answers a request.
    pub(crate) fn request(&mut self, request: Request) -> Response {
        let Request { id, method, params } = request;
        let answer = match method.as_str() {
            "textDocument/hover" => with(params, |params: HoverParams| {
                self.hover(&params.text_document_position_params)
            }),
            "textDocument/completion" => with(params, |params: CompletionParams| {
                self.completion(&params.text_document_position_params)
            }),
            "textDocument/definition" => with(params, |params: DefinitionParams| {
                self.definition(&params.text_document_position_params)
            }),
            "textDocument/formatting" => with(params, |params: DocumentFormattingParams| {
                self.formatting(&params.text_document.uri)
            }),
            "textDocument/codeAction" => with(params, |params: CodeActionParams| {
                self.fixes(&params.text_document.uri, params.range)
            }),
            _ => {
                let message = format!("there is no {method} here");
                return Response::new_err(id, ErrorCode::MethodNotFound as i32, message);
            }
        };
        match answer {
            Ok(value) => Response::new_ok(id, value),
            Err(error) => Response::new_err(id, ErrorCode::InvalidParams as i32, error.to_string()),
        }
    }

    /// Takes a notification; one that cannot be understood is passed over.
    pub(crate) fn notification(&mut self, notification: Notification) {
        let Notification { method, params } = notification;
        match method.as_str() {
            "textDocument/didOpen" => {
                if let Ok(params) = serde_json::from_value::<DidOpenTextDocumentParams>(params) {
                    let document = params.text_document;
                    let open = Open {
                        uri: document.uri,
                        version: document.version,
                        text: document.text,
                    };
                    self.files.open.insert(path(&open.uri), open);
                }
            }
            "textDocument/didChange" => {
                if let Ok(params) = serde_json::from_value::<DidChangeTextDocumentParams>(params) {
                    self.change(params);
                }
            }
            "textDocument/didClose" => {
                if let Ok(params) = serde_json::from_value::<DidCloseTextDocumentParams>(params) {
                    self.files.open.remove(&path(&params.text_document.uri));
                }
            }
            // What other files say may have changed.
            "textDocument/didSave" => {}
            _ => return,
        }
        self.changed = true;
    }

    fn change(&mut self, params: DidChangeTextDocumentParams) {
        let document = params.text_document;
        let path = path(&document.text_document_identifier.uri);
        let Some(open) = self.files.open.get_mut(&path) else {
            return;
        };
        open.version = document.version;
        for change in params.content_changes {
            match change {
                TextDocumentContentChangeEvent::TextDocumentContentChangePartial(change) => {
                    let lines = Lines::new(&open.text, self.encoding);
                    let start = lines.offset(change.range.start);
                    let end = lines.offset(change.range.end).max(start);
                    open.text.replace_range(start..end, &change.text);
                }
                TextDocumentContentChangeEvent::TextDocumentContentChangeWholeDocument(change) => {
                    open.text = change.text;
                }
            }
        }
    }

    /// The findings of all files, if a text has changed; nothing otherwise.
    pub(crate) fn findings(&mut self) -> Vec<Notification> {
        if !self.changed {
            return Vec::new();
        }
        self.check();
        let mut all: BTreeMap<PathBuf, Vec<_>> = BTreeMap::new();
        // What is shown and has no findings any more.
        all.extend(self.published.iter().map(|path| (path.clone(), Vec::new())));
        for analysis in &self.analyses {
            for (path, found) in findings(analysis, &self.files, self.encoding) {
                all.entry(path).or_default().extend(found);
            }
        }
        let is_shown = |(path, found): (&PathBuf, &Vec<_>)| {
            let open = self.files.open.contains_key(path);
            (open || !found.is_empty()).then(|| path.clone())
        };
        self.published = all.iter().filter_map(is_shown).collect();
        all.into_iter()
            .map(|(path, diagnostics)| {
                let params = PublishDiagnosticsParams {
                    uri: self.files.uri(&path),
                    version: self.files.open.get(&path).map(|open| open.version),
                    diagnostics,
                };
                Notification::new("textDocument/publishDiagnostics".to_owned(), params)
            })
            .collect()
    }

    fn check(&mut self) {
        if std::mem::take(&mut self.changed) {
            self.analyses = self.files.analyses(self.root.as_deref(), &self.options);
        }
    }

    /// The open document at a position, and the byte there.
    fn at(&self, params: &TextDocumentPositionParams) -> Option<(PathBuf, Document, usize)> {
        let path = path(&params.text_document.uri);
        let text = &self.files.open.get(&path)?.text;
        let offset = Lines::new(text, self.encoding).offset(params.position);
        Some((path, Document::parse(text.as_str()), offset))
    }

    /// All files of the configuration that a file is part of.
    fn around(&mut self, path: &Path) -> Option<&Analysis> {
        self.check();
        self.analyses.iter().find(|analysis| has(analysis, path))
    }

    fn hover(&self, params: &TextDocumentPositionParams) -> Option<Hover> {
        let (_, document, offset) = self.at(params)?;
        let (text, span) = hover(&document, offset)?;
        Some(Hover {
            contents: Contents::MarkupContent(markup(text)),
            range: Some(Lines::new(document.text(), self.encoding).range(span)),
        })
    }

    fn completion(&mut self, params: &TextDocumentPositionParams) -> Vec<CompletionItem> {
        let Some((path, document, offset)) = self.at(params) else {
            return Vec::new();
        };
        let files = self.around(&path).map(documents).unwrap_or_default();
        let proposals = complete(&document, offset, &files);
        proposals.into_iter().map(item).collect()
    }

    fn definition(&mut self, params: &TextDocumentPositionParams) -> Vec<Location> {
        let Some((path, document, offset)) = self.at(params) else {
            return Vec::new();
        };
        let encoding = self.encoding;
        self.check();
        let Some(analysis) = self.analyses.iter().find(|analysis| has(analysis, &path)) else {
            return Vec::new();
        };
        let sources = &analysis.sources;
        if directive(&document, offset, &[DirectiveKind::Include]).is_some() {
            let included = sources.files().iter().filter(|file| {
                file.included().is_some_and(|place| {
                    let here = sources
                        .file(place.file)
                        .is_some_and(|file| file.path() == path);
                    here && (place.start as usize..=place.end as usize).contains(&offset)
                })
            });
            let location = |path: &Path| Location {
                uri: self.files.uri(path),
                range: Range::default(),
            };
            return included.map(|file| location(file.path())).collect();
        }
        let used = directive(&document, offset, &[DirectiveKind::Use]);
        let wanted = reference(&document, offset);
        let mut found = Vec::new();
        for (file, other) in sources.files().iter().zip(documents(analysis)) {
            let lines = Lines::new(other.text(), encoding);
            let mut push = |span| {
                found.push(Location {
                    uri: self.files.uri(file.path()),
                    range: lines.range(span),
                });
            };
            if let Some(used) = used {
                let before = match file.path() == path {
                    true => used.span.start,
                    false => u32::MAX,
                };
                if let Some(found) = definition_of(&other, document.slice(used.name), before) {
                    push(found.span);
                }
            } else if let Some((name, by)) = wanted {
                for (_, statement) in defined(&other, by).filter(|(found, _)| *found == name) {
                    push(statement.span());
                }
            }
        }
        // A definition in the same file is nearer than one elsewhere.
        if used.is_some() {
            let uri = self.files.uri(&path);
            let own: Vec<_> = found.iter().filter(|one| one.uri == uri).cloned().collect();
            if !own.is_empty() {
                return own;
            }
        }
        found
    }

    fn formatting(&self, uri: &Uri) -> Vec<TextEdit> {
        let Some(open) = self.files.open.get(&path(uri)) else {
            return Vec::new();
        };
        // What cannot be formatted has a finding that says why.
        match format(&open.text) {
            Ok(new_text) if new_text != open.text => vec![TextEdit {
                range: Lines::new(&open.text, self.encoding).whole(),
                new_text,
            }],
            _ => Vec::new(),
        }
    }

    /// What the findings in a range suggest.
    fn fixes(&mut self, uri: &Uri, range: Range) -> Vec<CodeAction> {
        let path = path(uri);
        let encoding = self.encoding;
        let Some(analysis) = self.around(&path) else {
            return Vec::new();
        };
        let mut actions = Vec::new();
        for found in &analysis.diagnostics {
            let (Some(file), Some(change)) = (
                analysis.sources.file(found.primary.place.file),
                &found.suggestion,
            ) else {
                continue;
            };
            if file.path() != path || change.place.file != found.primary.place.file {
                continue;
            }
            let lines = Lines::new(file.text(), encoding);
            let place = |place: kconf_parser::source::Place| Range {
                start: lines.position(place.start as usize),
                end: lines.position(place.end as usize),
            };
            if !overlap(place(found.primary.place), range) {
                continue;
            }
            let edit = TextEdit {
                range: place(change.place),
                new_text: change.replacement.clone(),
            };
            let title = match change.replacement.trim() {
                "" => "delete it".to_owned(),
                new => format!("write `{new}`"),
            };
            actions.push(CodeAction {
                title: format!("{}: {title}", found.code),
                kind: Some(CodeActionKind::QuickFix),
                edit: Some(WorkspaceEdit {
                    changes: Some(HashMap::from([(uri.clone(), vec![edit])])),
                    ..WorkspaceEdit::default()
                }),
                ..CodeAction::default()
            });
        }
        actions
    }
}

/// Reads the parameters of a request and answers it.
fn with<P: DeserializeOwned, R: serde::Serialize>(
    params: Value,
    answer: impl FnOnce(P) -> R,
) -> Result<Value, serde_json::Error> {
    serde_json::to_value(answer(serde_json::from_value(params)?))
}

fn overlap(one: Range, other: Range) -> bool {
    let before = |a: Position, b: Position| (a.line, a.character) <= (b.line, b.character);
    before(one.start, other.end) && before(other.start, one.end)
}

fn markup(value: String) -> MarkupContent {
    MarkupContent {
        kind: MarkupKind::Markdown,
        value,
    }
}

fn item(proposal: Proposal) -> CompletionItem {
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    CompletionItem {
        label: proposal.label,
        kind: Some(match proposal.kind {
            Kind::Keyword => CompletionItemKind::Keyword,
            Kind::Block => CompletionItemKind::Struct,
            Kind::Value => CompletionItemKind::Value,
            Kind::Name => CompletionItemKind::Reference,
        }),
        detail: some(proposal.detail),
        documentation: some(proposal.text).map(|text| Documentation::MarkupContent(markup(text))),
        tags: proposal.old.then(|| vec![CompletionItemTag::Deprecated]),
        ..CompletionItem::default()
    }
}
