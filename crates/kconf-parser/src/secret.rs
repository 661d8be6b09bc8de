//! Passwords and keys: where they are, and what is shown in their place.
//!
//! A configuration that is printed gets into tickets, mails and repositories. So whatever prints one
//! for people covers its secrets unless it is told not to.
//!
//! ```
//! use std::path::Path;
//! use kconf_parser::{MemoryLoader, Options, analyze, secret};
//!
//! let text = "global_defs {\n smtp_server mail.example.org\n smtp_tls starttls\n \
//!     smtp_login web pa55word\n}\n";
//! let loader = MemoryLoader::default().with("/k.conf", text);
//! let config = analyze(Path::new("/k.conf"), &Options::default(), &loader).config;
//! let mut value = serde_json::to_value(&config).unwrap();
//! secret::cover(&mut value);
//! assert_eq!(value["globals"]["smtp_server"]["login"]["password"], secret::COVER);
//! ```
//!
//! # Design
//!
//! Covered are the forms that are printed, which are text and what serde makes of a
//! [`Config`](crate::Config), and not the configuration: that is sent to processes, which need the
//! secrets. The names are here, once for each form.

use serde_json::Value;

use crate::tree::{Statement, Word};

/// What stands in the place of a secret, however long it is.
pub const COVER: &str = "********";

/// Whether secrets are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Secrets {
    /// [`COVER`] is shown. The default.
    #[default]
    Covered,
    /// They are.
    Shown,
}

/// Covers all secrets of a configuration in the form that serde makes of it.
pub fn cover(config: &mut Value) {
    cover_setting("", config);
}

/// The same for one setting of a thing, by its name with dots, as in `login.password`.
pub(crate) fn cover_setting(setting: &str, value: &mut Value) {
    match value {
        Value::String(text) if is_secret(setting, text) => COVER.clone_into(text),
        Value::Array(list) => list
            .iter_mut()
            .for_each(|element| cover_setting("", element)),
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), &value) {
                    // The two kinds of authentication.
                    ("Password" | "Header", Value::Array(_)) => *value = COVER.into(),
                    _ => cover_setting(&joined(setting, name), value),
                }
            }
        }
        _ => {}
    }
}

fn joined(setting: &str, name: &str) -> String {
    match setting {
        "" => name.to_owned(),
        _ => format!("{setting}.{name}"),
    }
}

/// The password of a relay or of a private key; the key of a signature unless it is a path. The key
/// of a certificate, `tls.key`, is a path.
fn is_secret(setting: &str, text: &str) -> bool {
    match setting {
        "key" => !text.starts_with("file:"),
        _ => setting.rsplit('.').next() == Some("password"),
    }
}

/// The words of a statement that are secret, all to its end; empty if none is.
pub(crate) fn words<'a>(statement: &'a Statement, text: &str) -> &'a [Word] {
    let first = match (&*statement.keyword.value(text), statement.args.len()) {
        ("auth_pass" | "password", _) => 0,
        ("smtp_login", _) => 1,
        // In `auth_hmac`, by its id; the one in `SSL` has one word.
        ("key", 2..) => 1,
        _ => return &[],
    };
    let secret = statement.args.get(first..).unwrap_or_default();
    match secret.first() {
        Some(word) if word.value(text).starts_with("file:") => &[],
        _ => secret,
    }
}
