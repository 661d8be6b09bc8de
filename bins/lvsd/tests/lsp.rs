//! A client's conversation with `lvsd lsp`, over its standard input and output.

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use lsp_server::{Message, Notification, Request, Response};
use serde_json::{Value, json};

/// An editor.
struct Client {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    id: i32,
    folder: tempfile::TempDir,
}

impl Client {
    fn start(options: Value) -> (Self, Value) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lvsd"))
            .args(["lsp", "--stdio"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("lvsd runs");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let folder = tempfile::tempdir().expect("a folder");
        let mut client = Self {
            child,
            input,
            output,
            id: 0,
            folder,
        };
        let params = json!({
            "processId": null,
            "rootUri": null,
            "capabilities": { "general": { "positionEncodings": ["utf-8", "utf-16"] } },
            "initializationOptions": options,
        });
        let answer = client.ask("initialize", params);
        client.tell("initialized", json!({}));
        (client, answer)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn uri(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display())
    }

    fn tell(&mut self, method: &str, params: Value) {
        let message = Notification::new(method.to_owned(), params);
        Message::Notification(message)
            .write(&mut self.input)
            .expect("lvsd reads");
    }

    fn send(&mut self, method: &str, params: Value) -> i32 {
        self.id += 1;
        let message = Request::new(self.id.into(), method.to_owned(), params);
        Message::Request(message)
            .write(&mut self.input)
            .expect("lvsd reads");
        self.id
    }

    fn read(&mut self) -> Message {
        Message::read(&mut self.output)
            .expect("a message")
            .expect("lvsd still speaks")
    }

    /// The whole answer to a request; findings that come before it are passed over.
    fn response(&mut self, method: &str, params: Value) -> Response {
        let id = self.send(method, params);
        loop {
            if let Message::Response(response) = self.read() {
                assert_eq!(response.id, id.into());
                return response;
            }
        }
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        let response = serde_json::to_value(self.response(method, params)).expect("JSON");
        assert!(response["error"].is_null(), "{method}: {response}");
        response["result"].clone()
    }

    /// Opens a file; what is found in it.
    fn open(&mut self, name: &str, text: &str) -> Vec<Value> {
        let uri = self.uri(name);
        self.tell(
            "textDocument/didOpen",
            json!({ "textDocument": { "uri": uri, "languageId": "keepalived", "version": 1, "text": text } }),
        );
        self.findings(name)
    }

    /// The next findings for a file.
    fn findings(&mut self, name: &str) -> Vec<Value> {
        loop {
            if let Message::Notification(told) = self.read() {
                assert_eq!(told.method, "textDocument/publishDiagnostics");
                if told.params["uri"] == self.uri(name).as_str() {
                    return told.params["diagnostics"]
                        .as_array()
                        .expect("a list")
                        .clone();
                }
            }
        }
    }

    /// A request about a place.
    fn at(&mut self, method: &str, name: &str, line: u32, character: u32) -> Value {
        let uri = self.uri(name);
        self.ask(
            method,
            json!({ "textDocument": { "uri": uri }, "position": { "line": line, "character": character } }),
        )
    }

    fn labels(&mut self, name: &str, line: u32, character: u32) -> Vec<String> {
        let found = self.at("textDocument/completion", name, line, character);
        let items = found.as_array().expect("a list").iter();
        items
            .map(|item| item["label"].as_str().expect("a label").to_owned())
            .collect()
    }

    fn end(mut self) {
        assert_eq!(self.ask("shutdown", Value::Null), Value::Null);
        self.tell("exit", Value::Null);
        assert!(self.child.wait().expect("lvsd ends").success());
    }
}

fn range(line: u32, start: u32, end: u32) -> Value {
    json!({ "start": { "line": line, "character": start }, "end": { "line": line, "character": end } })
}

const TEXT: &str = "\
$PORT=80
virtual_server 10.0.0.1 $PORT {
    lb_alog rr
    protocol TCP
    lb_kind NAT
    real_server 10.0.0.2 ${PORT} {
        weight  5
    }
}
vrrp_script web {
    script \"/usr/local/bin/web\"
}
vrrp_instance A {
    track_script {
        web
    }
}
";

#[test]
fn an_editor_is_served() {
    let (mut client, answer) = Client::start(json!({}));
    assert_eq!(answer["capabilities"]["positionEncoding"], "utf-8");
    let found = client.open("k.conf", TEXT);
    let typo = found
        .iter()
        .find(|found| found["code"] == "KC0017")
        .expect("the typo");
    assert_eq!(typo["range"], range(2, 4, 11));
    assert_eq!(
        (&typo["severity"], &typo["source"]),
        (&1.into(), &"lvsd".into())
    );

    // Hover: a keyword by its block, and the value of a definition.
    let told = client.at("textDocument/hover", "k.conf", 6, 10);
    let text = told["contents"]["value"].as_str().expect("text");
    assert!(text.contains("virtual_server > real_server"), "{text}");
    assert_eq!(told["range"], range(6, 8, 14));
    let told = client.at("textDocument/hover", "k.conf", 1, 26);
    assert!(
        told["contents"]["value"]
            .as_str()
            .expect("text")
            .contains("$PORT=80")
    );
    assert_eq!(
        client.at("textDocument/hover", "k.conf", 14, 9),
        Value::Null
    );

    // Completion: keywords of the block, values, names.
    let labels = client.labels("k.conf", 6, 10);
    assert!(labels.contains(&"weight".into()) && labels.contains(&"TCP_CHECK".into()));
    assert!(!labels.contains(&"lb_algo".into()));
    assert!(client.labels("k.conf", 3, 13).contains(&"SCTP".into()));
    assert_eq!(client.labels("k.conf", 14, 8), ["web"]);
    assert_eq!(client.labels("k.conf", 1, 25), ["$PORT"]);

    // Definition: of a script and of a name.
    let uri = client.uri("k.conf");
    let script = client.at("textDocument/definition", "k.conf", 14, 9);
    assert_eq!(script, json!([{ "uri": uri, "range": range(9, 0, 15) }]));
    let port = client.at("textDocument/definition", "k.conf", 5, 28);
    assert_eq!(port, json!([{ "uri": uri, "range": range(0, 0, 8) }]));

    // A fix, followed as an editor does, takes the finding away.
    let fixes = client.ask(
        "textDocument/codeAction",
        json!({ "textDocument": { "uri": uri }, "range": range(2, 5, 5), "context": { "diagnostics": [] } }),
    );
    let edit = &fixes[0]["edit"]["changes"][uri.as_str()][0];
    assert_eq!(
        (&edit["range"], &edit["newText"]),
        (&range(2, 4, 11), &"lb_algo".into())
    );
    client.tell(
        "textDocument/didChange",
        json!({
            "textDocument": { "uri": uri, "version": 2 },
            "contentChanges": [{ "range": edit["range"], "text": edit["newText"] }],
        }),
    );
    let left = client.findings("k.conf");
    assert!(
        left.iter().all(|found| found["code"] != "KC0017"),
        "{left:?}"
    );

    let edits = client.ask(
        "textDocument/formatting",
        json!({ "textDocument": { "uri": uri }, "options": { "tabSize": 4, "insertSpaces": true } }),
    );
    let text = edits[0]["newText"].as_str().expect("text");
    assert!(text.contains("\n        weight 5\n"), "{text}");
    client.end();
}

#[test]
fn included_files_are_checked_where_they_are_included() {
    let (mut client, _) = Client::start(json!({}));
    let write = |path: &Path, text: &str| fs::write(path, text).expect("a file");
    write(
        &client.path("server.conf"),
        "real_server 10.0.0.2 80 {\n    TCP_CHECK {\n    }\n}\n",
    );
    // By itself the part is out of place.
    let part = "wieght 5\n";
    write(&client.path("part.conf"), part);
    assert!(!client.open("part.conf", part).is_empty());
    let main = "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    \
                include server.conf\n    real_server 10.0.0.3 80 {\n        include part.conf\n    }\n}\n";
    assert_eq!(client.open("main.conf", main), Vec::<Value>::new());
    let found = client.findings("part.conf");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0]["message"]
            .as_str()
            .expect("text")
            .contains("did you mean `weight`?")
    );
    let include = &found[0]["relatedInformation"][0];
    assert_eq!(include["location"]["uri"], client.uri("main.conf").as_str());
    let server = client.at("textDocument/definition", "main.conf", 4, 20);
    assert_eq!(server[0]["uri"], client.uri("server.conf").as_str());
    client.end();
}

#[test]
fn what_is_not_understood_is_answered_and_survived() {
    let (mut client, _) = Client::start(Value::Null);
    let response = client.response("textDocument/rename", json!({}));
    assert_eq!(response.error_code(), -32601);
    let response = client.response("textDocument/hover", json!({ "textDocument": 7 }));
    assert_eq!(response.error_code(), -32602);
    client.tell("textDocument/didChange", json!({ "nonsense": true }));
    // Nothing that is open: no answer to give.
    assert_eq!(
        client.at("textDocument/hover", "none.conf", 0, 0),
        Value::Null
    );
    client.end();
}

trait ErrorCode {
    fn error_code(&self) -> i32;
}

impl ErrorCode for Response {
    fn error_code(&self) -> i32 {
        let value = serde_json::to_value(self).expect("JSON");
        let code = value["error"]["code"].as_i64().expect("an error");
        i32::try_from(code).expect("a code")
    }
}
