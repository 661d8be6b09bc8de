//! Rules about health checks.

use std::collections::HashSet;
use std::time::Duration;

use crate::ast::{Block, Value};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;

use super::{Lint, place_of};

/// What checks can follow.
struct Names<'n> {
    files: HashSet<&'n str>,
    sessions: HashSet<&'n str>,
}

pub(super) fn rules(lint: &mut Lint<'_, '_>) {
    let root = lint.root;
    let mut verified = false;
    let vrrp = &lint.config.vrrp;
    let files = vrrp.track_files.iter().map(|file| file.name.as_str());
    let sessions = vrrp
        .bfd_instances
        .iter()
        .map(|session| session.name.as_str());
    let names = Names {
        files: files.collect(),
        sessions: sessions.collect(),
    };
    for service in root.children(BlockKind::VirtualServer) {
        for server in service.children(BlockKind::RealServer) {
            for check in &server.blocks {
                longer_than_loop(lint, [check, server, service]);
                match check.kind {
                    BlockKind::HttpGet => http(lint, check),
                    BlockKind::SslGet => {
                        http(lint, check);
                        tls(lint, [check, server, service], &mut verified);
                    }
                    BlockKind::SmtpCheck | BlockKind::DnsCheck => lenient(lint, check),
                    BlockKind::UdpCheck => udp(lint, check),
                    BlockKind::FileCheck | BlockKind::BfdCheck => reference(lint, check, &names),
                    _ => {}
                }
            }
        }
    }
}

/// A check that takes longer than the time to the next one.
fn longer_than_loop(lint: &mut Lint<'_, '_>, levels: [&Block; 3]) {
    let [check, _, service] = levels;
    let time = |keyword: &str| levels.iter().find_map(|level| level.time(keyword));
    let delay_loop = time("delay_loop").unwrap_or(Duration::from_secs(60));
    let (keyword, limit) = match check.kind {
        BlockKind::MiscCheck => ("misc_timeout", check.time("misc_timeout")),
        BlockKind::FileCheck | BlockKind::BfdCheck => return,
        _ => {
            let usual = Duration::from_secs(5);
            (
                "connect_timeout",
                Some(time("connect_timeout").unwrap_or(usual)),
            )
        }
    };
    let Some(limit) = limit.filter(|limit| *limit > delay_loop) else {
        return;
    };
    let message = format!(
        "a check may take {} s, longer than `delay_loop`, {} s",
        limit.as_secs_f64(),
        delay_loop.as_secs_f64()
    );
    let block = levels
        .into_iter()
        .find(|level| level.setting(keyword).is_some());
    let span = block.map_or(check.head, |block| place_of(block, keyword));
    let set = levels
        .into_iter()
        .find(|level| level.setting("delay_loop").is_some());
    let other = set.map_or(service.head, |block| place_of(block, "delay_loop"));
    let help = "a server that hangs is noticed later than the interval says; lower one or raise \
                the other";
    let other = (other, "the interval is set here");
    lint.warn_with(Code::LongerThanInterval, span, message, other, help);
}

/// Digests of answers that may come in pieces.
fn http(lint: &mut Lint<'_, '_>, check: &Block) {
    let chunked = matches!(check.value("http_protocol"), Some(Value::Choice("1.1")));
    for url in check.blocks.iter().filter(|_| chunked) {
        if url.value("digest").is_some() {
            let message = "in keepalived, the digest of an HTTP/1.1 answer depends on its chunks";
            let help = "use HTTP/1.0; lvskit also takes the digest of the decoded body";
            let span = place_of(url, "digest");
            lint.warn(Code::DigestOfChunks, span, message, help);
        }
    }
}

fn tls(lint: &mut Lint<'_, '_>, levels: [&Block; 3], said: &mut bool) {
    let [check, ..] = levels;
    if !std::mem::replace(said, true) {
        let message = "`SSL_GET` verifies no certificate: any server passes";
        let help = "it only shows that something answers; look at the content, too, with `digest` \
                    or `regex`";
        lint.warn(Code::TlsNotVerified, check.head, message, help);
    }
    let sni = check.bool("enable_sni").unwrap_or(false) || check.setting("sni_name").is_some();
    let on_the_way = |level: &&Block| level.setting("virtualhost").is_some();
    let host = levels.iter().copied().find(|level| on_the_way(level));
    let host = host.or_else(|| check.blocks.iter().find(on_the_way));
    if let Some(host) = host.filter(|_| !sni) {
        let message = "the name is not sent in TLS, so a server of many names shows a wrong one";
        let help = "add `enable_sni` to the `SSL_GET`";
        let other = (check.head, "this check sends no name");
        let span = place_of(host, "virtualhost");
        lint.warn_with(Code::NoServerName, span, message, other, help);
    }
}

/// Checks that take less, or more, for an answer than people think.
fn lenient(lint: &mut Lint<'_, '_>, check: &Block) {
    let (message, help) = match check.kind {
        BlockKind::SmtpCheck => (
            "keepalived fails a server whose greeting has several lines",
            "lvskit reads all of them",
        ),
        _ => (
            "any answer without an error counts; what it says is not looked at",
            "use a `MISC_CHECK` to look at the answer",
        ),
    };
    lint.warn(Code::LenientCheck, check.head, message, help);
}

fn udp(lint: &mut Lint<'_, '_>, check: &Block) {
    if !check.means("require_reply") {
        let message = "a server that says nothing counts as up";
        let help = "add `require_reply` if the service answers the `payload`";
        lint.warn(Code::SilenceIsSuccess, check.head, message, help);
    }
}

/// What a check follows must be there.
fn reference(lint: &mut Lint<'_, '_>, check: &Block, names: &Names<'_>) {
    let (keyword, kind) = match check.kind {
        BlockKind::FileCheck => ("track_file", BlockKind::TrackFile),
        _ => ("name", BlockKind::BfdInstance),
    };
    let Some(word) = check.word(keyword) else {
        return;
    };
    let name = lint.slice(word);
    let known = match kind {
        BlockKind::TrackFile => &names.files,
        _ => &names.sessions,
    };
    if !known.contains(name) {
        let message = format!("no `{}` is named `{name}`", kind.name());
        let mut diagnostic = lint.report.error(Code::UnknownName, word.outer(), message);
        if let Some(near) = lint.report.nearest(name, known.iter().copied()) {
            diagnostic = diagnostic
                .label(format!("did you mean `{near}`?"))
                .suggest(lint.report.place(word.span), near);
        }
        let diagnostic = diagnostic.help("the check is dropped, so the server counts as up");
        lint.report.push(diagnostic);
    }
}
