//! What is different between two configurations as meant: what a reload would do.
//!
//! ```
//! use std::path::Path;
//! use kconf_parser::compare::compare;
//! use kconf_parser::{MemoryLoader, Options, Secrets, analyze};
//!
//! let config = |scheduler: &str| {
//!     let text = format!("virtual_server 10.0.0.1 80 {{\n protocol TCP\n lb_algo {scheduler}\n \
//!         lb_kind NAT\n real_server 10.0.0.2 80 {{\n }}\n}}\n");
//!     let loader = MemoryLoader::default().with("/k.conf", text);
//!     analyze(Path::new("/k.conf"), &Options::default(), &loader).config
//! };
//! let changes = compare(&config("rr"), &config("wlc"), Secrets::Covered);
//! assert_eq!(changes.len(), 1);
//! assert_eq!(changes[0].to_string(), "~ service [10.0.0.1]:tcp:80: scheduler rr -> wlc");
//! ```
//!
//! # Design
//!
//! The comparison walks the form that serde makes of a configuration, so a setting that is added
//! to [`Config`] is compared without a word here. Things in lists are matched by what identifies
//! them over a reload (identity of a service, address of a server, name of an instance), checks by
//! their kind and which of that kind they are.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::{Config, VirtualServerId};
use crate::secret::{Secrets, cover_setting};

/// Members that identify a thing of a list, the best first.
const IDENTITIES: &[&str] = &["id", "name", "address", "destination", "interface"];

/// Members that identify a routing rule, which has no name.
const SELECTORS: &[&str] = &["from", "to"];

/// Kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// Only the new configuration has it.
    Added,
    /// Only the old configuration has it.
    Removed,
    /// Both have it, with other values.
    Changed,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What kind.
    pub kind: ChangeKind,
    /// What is different, from the outside in: `service [10.0.0.1]:tcp:80`, `server 10.0.0.2:80`.
    pub path: Vec<String>,
    /// The setting that changed; `None` for something added or removed.
    pub setting: Option<String>,
    /// Its old value.
    pub old: Option<Value>,
    /// Its new value.
    pub new: Option<Value>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.kind {
            ChangeKind::Added => '+',
            ChangeKind::Removed => '-',
            ChangeKind::Changed => '~',
        };
        write!(f, "{sign} {}", self.path.join(", "))?;
        if let Some(setting) = &self.setting {
            let (old, new) = (plain(self.old.as_ref()), plain(self.new.as_ref()));
            write!(f, ": {setting} {old} -> {new}")?;
        }
        Ok(())
    }
}

/// All differences, in the order of the configuration. Those of secrets are there, too; whether
/// their values are is said by `secrets`.
pub fn compare(old: &Config, new: &Config, secrets: Secrets) -> Vec<Change> {
    // Configurations are plain data: this cannot fail.
    let value = |config| serde_json::to_value(config).unwrap_or_default();
    let mut changes = Vec::new();
    values(&value(old), &value(new), &mut Vec::new(), "", &mut changes);
    if secrets == Secrets::Covered {
        changes.iter_mut().for_each(Change::cover);
    }
    changes
}

impl Change {
    fn cover(&mut self) {
        let setting = self.setting.as_deref().unwrap_or_default();
        for value in [&mut self.old, &mut self.new].into_iter().flatten() {
            cover_setting(setting, value);
        }
    }
}

fn values(old: &Value, new: &Value, path: &mut Vec<String>, setting: &str, to: &mut Vec<Change>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Value::Object(old), Value::Object(new)) if !is_value(old) && !is_value(new) => {
            let more = new.keys().filter(|name| !old.contains_key(*name));
            for name in old.keys().chain(more) {
                let (old, new) = (old.get(name), new.get(name));
                let inner = match setting {
                    "" => name.clone(),
                    _ => format!("{setting}.{name}"),
                };
                let [old, new] = [old, new].map(|value| value.unwrap_or(&Value::Null));
                values(old, new, path, &inner, to);
            }
        }
        (Value::Array(old), Value::Array(new)) if is_list(old) && is_list(new) => {
            lists(old, new, path, setting, to);
        }
        _ => to.push(Change {
            kind: ChangeKind::Changed,
            path: path_or_top(path),
            setting: Some(setting.to_owned()),
            old: Some(old.clone()),
            new: Some(new.clone()),
        }),
    }
}

fn lists(old: &[Value], new: &[Value], path: &mut Vec<String>, name: &str, to: &mut Vec<Change>) {
    let (old, new) = (labelled(old, name), labelled(new, name));
    let index = |list: &[(String, &Value)]| -> HashMap<String, usize> {
        let labels = list.iter().enumerate();
        labels.map(|(at, (label, _))| (label.clone(), at)).collect()
    };
    let (in_old, in_new) = (index(&old), index(&new));
    let whole = |kind, label: &str, path: &[String]| Change {
        kind,
        path: path.iter().cloned().chain([label.to_owned()]).collect(),
        setting: None,
        old: None,
        new: None,
    };
    for (label, value) in &old {
        match in_new.get(label).and_then(|at| new.get(*at)) {
            Some((_, other)) => {
                path.push(label.clone());
                values(value, other, path, "", to);
                path.pop();
            }
            None => to.push(whole(ChangeKind::Removed, label, path)),
        }
    }
    for (label, _) in new.iter().filter(|(label, _)| !in_old.contains_key(label)) {
        to.push(whole(ChangeKind::Added, label, path));
    }
}

/// Each thing of a list with a label of its own.
fn labelled<'a>(list: &'a [Value], name: &str) -> Vec<(String, &'a Value)> {
    let name = name.rsplit('.').next().unwrap_or(name);
    let noun = match name {
        "services" => "service",
        "real_servers" => "server",
        name => match name.strip_suffix("es") {
            Some(singular) if singular.ends_with("ss") => singular,
            _ => name.strip_suffix('s').unwrap_or(name),
        },
    };
    let mut seen: HashMap<String, usize> = HashMap::new();
    list.iter()
        .map(|value| {
            let mut label = format!("{noun} {}", identity(value));
            let times = seen.entry(label.clone()).or_default();
            *times += 1;
            if *times > 1 {
                label = format!("{label} ({times})");
            }
            (label, value)
        })
        .collect()
}

/// What identifies a thing of a list.
fn identity(value: &Value) -> String {
    let set = |name: &&str| value.get(*name).filter(|member| !member.is_null());
    let member = IDENTITIES.iter().find_map(set);
    match member {
        Some(id) => match serde_json::from_value::<VirtualServerId>(id.clone()) {
            Ok(id) => id.to_string(),
            Err(_) => plain(Some(id)),
        },
        None => match value.get("kind") {
            Some(Value::String(kind)) => kind.clone(),
            Some(Value::Object(kind)) => kind.keys().next().cloned().unwrap_or_default(),
            _ => {
                let ends = SELECTORS.iter().filter(|name| set(name).is_some());
                let words = ends.map(|name| format!("{name} {}", plain(value.get(*name))));
                words.collect::<Vec<_>>().join(" ")
            }
        },
    }
    .trim_end()
    .to_owned()
}

/// Whether a list is one of things rather than of values.
fn is_list(list: &[Value]) -> bool {
    let thing = |value: &Value| {
        let names = IDENTITIES.iter().chain(SELECTORS);
        names.chain(&["kind"]).any(|name| value.get(name).is_some())
    };
    list.iter().all(thing)
}

/// Whether an object is one value rather than several settings: a time, or a secret of its kind.
pub fn is_value(object: &Map<String, Value>) -> bool {
    is_time(object) || authentication(object).is_some()
}

/// The kind and the secret of an `authentication`.
fn authentication(object: &Map<String, Value>) -> Option<(&str, String)> {
    let (kind, secret) = ["Password", "Header"]
        .into_iter()
        .find_map(|kind| Some((kind, object.get(kind)?)))?;
    let secret = match secret {
        Value::Array(bytes) => {
            let bytes = bytes
                .iter()
                .filter_map(|byte| u8::try_from(byte.as_u64()?).ok());
            let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        covered => plain(Some(covered)),
    };
    Some((kind, secret))
}

fn is_time(object: &Map<String, Value>) -> bool {
    object.len() == 2 && object.contains_key("secs") && object.contains_key("nanos")
}

fn path_or_top(path: &[String]) -> Vec<String> {
    match path {
        [] => vec!["configuration".to_owned()],
        path => path.to_vec(),
    }
}

/// A value on one line: text without quotes, times in seconds, the rest as JSON.
pub fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(time)) if is_time(time) => {
            let part = |name| time.get(name).and_then(Value::as_u64).unwrap_or_default();
            let text = format!("{}.{:09}", part("secs"), part("nanos"));
            format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
        }
        Some(Value::Object(object)) => match authentication(object) {
            Some((kind, secret)) => format!("{kind}({secret})"),
            None => Value::Object(object.clone()).to_string(),
        },
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{MemoryLoader, Options, analyze};

    const OLD: &str = "\
virtual_server 10.0.0.1 80 {
    protocol TCP
    lb_algo rr
    lb_kind NAT
    delay_loop 5
    real_server 10.0.0.2 80 {
        TCP_CHECK {
        }
    }
    real_server 10.0.0.3 80 {
    }
}
virtual_server fwmark 7 {
    lb_algo rr
    lb_kind NAT
    real_server 10.0.0.2 80 {
    }
}
";

    fn config(text: &str) -> Config {
        let loader = MemoryLoader::default().with("/k.conf", text);
        let analysis = analyze(Path::new("/k.conf"), &Options::default(), &loader);
        assert!(!analysis.has_errors(), "{:?}", analysis.diagnostics);
        analysis.config
    }

    fn changes(new: &str) -> Vec<String> {
        let changes = compare(&config(OLD), &config(new), Secrets::Covered);
        changes.iter().map(Change::to_string).collect()
    }

    #[test]
    fn nothing_that_means_the_same_is_a_change() {
        assert_eq!(changes(OLD), Vec::<String>::new());
        let text = OLD
            .replace("lb_algo rr", "# c\n$A=rr\n lb_algo $A")
            .replace("{\n", "\n{\n");
        assert_eq!(changes(&text), Vec::<String>::new());
    }

    #[test]
    fn what_is_added_removed_and_changed_is_named_by_its_identity() {
        let new = OLD
            .replace("fwmark 7", "fwmark 8")
            .replace("10.0.0.3", "10.0.0.4")
            .replace(
                "TCP_CHECK {\n        }",
                "weight 3\n        DNS_CHECK {\n        }",
            );
        let expected = [
            "- service [10.0.0.1]:tcp:80, server 10.0.0.3:80",
            "+ service [10.0.0.1]:tcp:80, server 10.0.0.4:80",
            "~ service [10.0.0.1]:tcp:80, server 10.0.0.2:80: weight 1 -> 3",
            "- service [10.0.0.1]:tcp:80, server 10.0.0.2:80, check Tcp",
            "+ service [10.0.0.1]:tcp:80, server 10.0.0.2:80, check Dns",
            "- service FWM 7",
            "+ service FWM 8",
        ];
        let (mut changes, mut expected) = (changes(&new), expected.map(str::to_owned));
        changes.sort();
        expected.sort();
        assert_eq!(changes, expected);
    }

    #[test]
    fn what_a_reload_does_to_vrrp_is_told() {
        const OLD: &str = "\
vrrp_script s {
    script /bin/true
    weight 5
}
vrrp_instance A {
    interface eth0
    virtual_router_id 1
    priority 100
    unicast_peer {
        10.0.0.8
    }
    track_script {
        s
    }
    track_interface {
        eth1
    }
    authentication {
        auth_type PASS
        auth_pass one
    }
    virtual_ipaddress {
        10.1.0.1/24
    }
    virtual_routes {
        10.5.0.0/16 via 10.1.0.2
    }
    virtual_rules {
        from 10.6.0.0/16 lookup 7 preference 5
    }
}
";
        let cases: &[(&str, &str, &[&str])] = &[
            (
                "instance A",
                "instance B",
                &["- instance A", "+ instance B"],
            ),
            (
                "priority 100",
                "priority 90",
                &["~ instance A: priority 100 -> 90"],
            ),
            (
                "weight 5",
                "weight -7",
                &[
                    "~ instance A, script s: weight.value 5 -> -7",
                    "~ script s: weight.value 5 -> -7",
                ],
            ),
            (
                "10.0.0.8",
                "10.0.0.7",
                &["- instance A, peer 10.0.0.8", "+ instance A, peer 10.0.0.7"],
            ),
            (
                "eth1",
                "eth2",
                &[
                    "- instance A, interface eth1",
                    "+ instance A, interface eth2",
                ],
            ),
            (
                "10.1.0.1/24",
                "10.1.0.1/24\n10.1.0.3",
                &["+ instance A, address 10.1.0.3/32"],
            ),
            (
                "via 10.1.0.2",
                "via 10.1.0.3",
                &["~ instance A, route 10.5.0.0/16: via 10.1.0.2 -> 10.1.0.3"],
            ),
            (
                "10.5.0.0/16",
                "10.7.0.0/16",
                &[
                    "- instance A, route 10.5.0.0/16",
                    "+ instance A, route 10.7.0.0/16",
                ],
            ),
            (
                "preference 5",
                "preference 6",
                &["~ instance A, rule from 10.6.0.0/16: preference 5 -> 6"],
            ),
            (
                "pass one",
                "pass two",
                &["~ instance A: authentication Password(********) -> Password(********)"],
            ),
        ];
        for (from, to, expected) in cases {
            let new = config(&OLD.replacen(from, to, 1));
            let changes = compare(&config(OLD), &new, Secrets::Covered);
            let changes: Vec<String> = changes.iter().map(Change::to_string).collect();
            assert_eq!(&changes, expected, "{from} -> {to}");
        }
    }

    const SECRETS: &str = "\
global_defs {
    smtp_server mail.example.org
    smtp_tls starttls
    smtp_login web SECRET
}
SSL {
    password SECRET
    key /etc/ssl/key.pem
}
vrrp_instance A {
    interface eth0
    virtual_router_id 1
    authentication {
        auth_type AH
        auth_pass SECRET
    }
    virtual_ipaddress {
        10.1.0.1/24
    }
}
vrrp_instance B {
    interface eth0
    virtual_router_id 2
    version 3
    auth_hmac {
        key 1 SECRETsecretsecretsecretsecretsecretsecret
        key 2 file:/etc/keys/two
        active_key 1
    }
    virtual_ipaddress {
        10.1.0.2/24
    }
}
";

    #[test]
    fn secrets_are_covered_in_every_form_unless_they_are_asked_for() {
        let text = SECRETS.replace("SECRET", "one23");
        let other = SECRETS.replace("SECRET", "two45");
        let loader = MemoryLoader::default().with("/k.conf", text.as_str());
        let analysis = analyze(Path::new("/k.conf"), &Options::default(), &loader);
        let mut value = serde_json::to_value(&analysis.config).unwrap();
        cover_setting("", &mut value);
        let all = |secrets| {
            let changes = compare(&config(&text), &config(&other), secrets);
            let lines = changes.iter().map(|change| format!("{change}\n"));
            let gone = compare(&config(&text), &Config::default(), secrets);
            let tree = crate::tree::print(&analysis.tree(), analysis.sources.text(), secrets);
            (
                changes.len(),
                lines.collect::<String>() + &serde_json::to_string(&(&changes, &gone)).unwrap(),
                tree,
            )
        };
        let (count, changes, tree) = all(Secrets::Covered);
        let bytes = serde_json::to_string(b"one23").unwrap();
        for text in [&value.to_string(), &changes, &tree] {
            assert!(!text.contains("one23") && !text.contains("two45"), "{text}");
            assert!(!text.contains(bytes.trim_matches(['[', ']'])), "{text}");
        }
        assert_eq!(count, 4, "{changes}");
        assert!(tree.contains("smtp_login web ********\n"), "{tree}");
        // Paths are none.
        assert!(tree.contains("key 2 file:/etc/keys/two\n") && tree.contains("key /etc/ssl/key"));
        assert_eq!(value["tls"]["key"], "/etc/ssl/key.pem");
        let (_, changes, tree) = all(Secrets::Shown);
        assert!(changes.contains("authentication Header(one23) -> Header(two45)"));
        assert_eq!(tree, text);
    }

    #[test]
    fn times_are_seconds() {
        let new = OLD.replace("delay_loop 5", "delay_loop 2.5");
        let check = "~ service [10.0.0.1]:tcp:80, server 10.0.0.2:80, check Tcp";
        // The first check is within `delay_loop` unless something else is said.
        assert_eq!(
            changes(&new),
            ["delay_loop", "warmup"].map(|name| format!("{check}: {name} 5s -> 2.5s"))
        );
    }
}
