//! The checkers of a real server, with what they inherit.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::ast::{Block, Value};
use crate::config::{
    BindTo, Check, CheckKind, DnsCheck, DnsType, FileCheck, HttpCheck, HttpVersion, MiscCheck,
    Regex, Script, SmtpCheck, StatusRange, UdpCheck, Url,
};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;

use super::globals::last;
use super::service::Context;

/// All usable checks of a real server.
pub(super) fn checks(
    context: &mut Context<'_, '_>,
    service: &Block,
    server: &Block,
    address: SocketAddr,
) -> Vec<Check> {
    let mut checks = Vec::new();
    for block in &server.blocks {
        if let Some(kind) = kind(context, service, server, block) {
            checks.push(check(context, [block, server, service], address, kind));
        }
    }
    // One check is the rule, and checks are large.
    checks.shrink_to_fit();
    checks
}

/// Fills in what is common to all kinds.
fn check(
    context: &mut Context<'_, '_>,
    levels: [&Block; 3],
    address: SocketAddr,
    kind: CheckKind,
) -> Check {
    let [block, ..] = levels;
    let time = |keyword: &str| levels.iter().find_map(|level| level.time(keyword));
    let delay_loop = time("delay_loop").unwrap_or(Duration::from_secs(60));
    let (retry, before_retry) = match kind {
        CheckKind::Http(_) => (1, Duration::from_secs(3)),
        CheckKind::Misc(_) => (0, Duration::from_secs(1)),
        CheckKind::Dns(_) => (3, delay_loop),
        _ => (1, Duration::from_secs(1)),
    };
    let tries = |level: &&Block| match last(level, &["retry", "nb_get_retry"])? {
        Value::Int(value) => u32::try_from(*value).ok(),
        _ => None,
    };
    let ip = block.address("connect_ip").unwrap_or_else(|| address.ip());
    let local = bind_address(context, block, ip);
    Check {
        kind,
        target: SocketAddr::new(
            ip,
            port(block, "connect_port").unwrap_or_else(|| address.port()),
        ),
        bind: BindTo {
            address: local,
            port: port(block, "bind_port"),
            interface: block.word("bind_if").map(|word| context.text(word)),
        },
        fwmark: block.u32("fwmark").unwrap_or(0),
        connect_timeout: time("connect_timeout").unwrap_or(Duration::from_secs(5)),
        delay_loop,
        retry: levels.iter().find_map(tries).unwrap_or(retry),
        delay_before_retry: time("delay_before_retry").unwrap_or(before_retry),
        warmup: time("warmup").unwrap_or(delay_loop),
        alpha: levels
            .iter()
            .find_map(|level| level.bool("alpha"))
            .unwrap_or(false),
        log_all_failures: block
            .bool("log_all_failures")
            .unwrap_or(context.globals.checker_log_all_failures),
    }
}

/// The local address, which must be of the family of the other end.
fn bind_address(context: &mut Context<'_, '_>, block: &Block, ip: IpAddr) -> Option<IpAddr> {
    let local = block.address("bindto")?;
    if local.is_ipv4() == ip.is_ipv4() {
        return Some(local);
    }
    let span = block.setting("bindto")?.span;
    let message = format!("`bindto` is ignored: {local} cannot reach {ip}, of another family");
    let diagnostic = context.report.error(Code::FamilyMismatch, span, message);
    context.report.push(diagnostic);
    None
}

fn port(block: &Block, keyword: &str) -> Option<u16> {
    u16::try_from(block.int(keyword)?).ok()
}

/// What is particular to a kind; `None` if the block is no usable check.
fn kind(
    context: &mut Context<'_, '_>,
    service: &Block,
    server: &Block,
    block: &Block,
) -> Option<CheckKind> {
    let text = |keyword: &str| block.word(keyword).map(|word| context.text(word));
    let kind = match block.kind {
        BlockKind::TcpCheck => return Some(CheckKind::Tcp),
        BlockKind::HttpGet | BlockKind::SslGet => {
            return http(context, [block, server, service]).map(CheckKind::Http);
        }
        BlockKind::SmtpCheck => {
            let usual = || "smtpchecker.keepalived.org".to_owned();
            CheckKind::Smtp(SmtpCheck {
                helo_name: text("helo_name").unwrap_or_else(usual),
            })
        }
        BlockKind::MiscCheck => CheckKind::Misc(misc(context, service, block)?),
        BlockKind::DnsCheck => CheckKind::Dns(DnsCheck {
            query_type: match block.value("type") {
                Some(Value::Choice(name)) => dns_type(name),
                _ => DnsType::Soa,
            },
            name: text("name").unwrap_or_else(|| ".".to_owned()),
        }),
        BlockKind::UdpCheck => CheckKind::Udp(UdpCheck {
            payload: match block.value("payload") {
                Some(Value::Words(words)) => {
                    let digits: String = words.iter().map(|word| context.text(*word)).collect();
                    hex(&digits)
                }
                _ => None,
            },
            require_reply: block.flag("require_reply"),
            min_reply_length: port(block, "min_reply_length").unwrap_or(0),
            max_reply_length: port(block, "max_reply_length").unwrap_or(255),
        }),
        BlockKind::PingCheck => CheckKind::Ping,
        BlockKind::BfdCheck => match text("name") {
            Some(name) => CheckKind::Bfd { name },
            None => return useless(context, block, "it has no `name`"),
        },
        BlockKind::FileCheck => match (text("track_file"), block.value("weight")) {
            (None, _) => return useless(context, block, "it has no `track_file`"),
            (Some(track_file), Some(Value::Weight { weight, reverse })) => {
                let (weight, reverse) = (i32::try_from(*weight).ok(), *reverse);
                CheckKind::File(FileCheck {
                    track_file,
                    weight,
                    reverse,
                })
            }
            (Some(track_file), _) => CheckKind::File(FileCheck {
                track_file,
                weight: None,
                reverse: false,
            }),
        },
        _ => return None,
    };
    no_effect_yet(context, block);
    Some(kind)
}

fn http(context: &mut Context<'_, '_>, levels: [&Block; 3]) -> Option<HttpCheck> {
    let [block, ..] = levels;
    let tls = block.kind == BlockKind::SslGet;
    let host = levels.iter().find_map(|level| level.word("virtualhost"));
    let host = host.map(|word| context.text(word));
    let sni_name = block.word("sni_name").map(|word| context.text(word));
    let enable_sni = block.bool("enable_sni").unwrap_or(false);
    let tls_compliant = block.bool("tls_compliant").unwrap_or(false);
    let mut urls = Vec::new();
    for url in &block.blocks {
        let Some(path) = url.word("path").map(|word| context.text(word)) else {
            // A path that is there and wrong has been reported already.
            if !url.means("path") {
                let message = "this `url` has no `path` and is dropped";
                let diagnostic = context
                    .report
                    .error(Code::UrlWithoutPath, url.head, message);
                context
                    .report
                    .push(diagnostic.help("write `path /` for the start page"));
            }
            continue;
        };
        let own = url.word("virtualhost").map(|word| context.text(word));
        let virtualhost = own.or_else(|| host.clone());
        let named = || virtualhost.clone().filter(|_| enable_sni);
        urls.push(Url {
            path,
            sni: sni_name.clone().or_else(named).filter(|_| tls),
            virtualhost,
            digest: match url.value("digest") {
                Some(Value::Digest(sum)) => Some(*sum),
                _ => None,
            },
            status: status(url),
            regex: regex(context, url),
            tls_compliant: url.bool("tls_compliant").unwrap_or(tls_compliant),
        });
    }
    urls.shrink_to_fit();
    if urls.is_empty() {
        // Of a misspelt word enough has been said.
        let misspelt = |url: &Block| url.misspelt.contains(&"path");
        if block.misspelt.contains(&"url") || block.blocks.iter().any(misspelt) {
            return None;
        }
        return useless(context, block, "it has no usable `url`");
    }
    let version = match block.value("http_protocol") {
        Some(Value::Choice("1.1")) => HttpVersion::Http11,
        Some(Value::Choice("1.0C" | "1.0c")) => HttpVersion::Http10Close,
        _ => HttpVersion::Http10,
    };
    let fast_recovery = block.bool("fast_recovery").unwrap_or(false);
    Some(HttpCheck {
        tls,
        version,
        urls,
        fast_recovery,
        tls_compliant,
    })
}

/// All lines of status codes together; 200 to 299 without any.
fn status(url: &Block) -> Vec<StatusRange> {
    let mut ranges = Vec::with_capacity(1);
    for setting in url.all("status_code") {
        if let Some(Value::StatusCodes(codes)) = &setting.value {
            ranges.extend_from_slice(codes);
        }
    }
    if ranges.is_empty() {
        ranges.push(StatusRange {
            first: 200,
            last: 299,
        });
    }
    ranges
}

fn regex(context: &Context<'_, '_>, url: &Block) -> Option<Regex> {
    let Some(Value::Regex(pattern)) = url.value("regex") else {
        return None;
    };
    let options = match url.value("regex_options") {
        Some(Value::Words(words)) => words.iter().map(|word| context.text(*word)).collect(),
        _ => Vec::new(),
    };
    let offset = |keyword: &str| u64::try_from(url.int(keyword)?).ok();
    Some(Regex {
        pattern: pattern.to_string(),
        options,
        no_match: url.flag("regex_no_match"),
        min_offset: offset("regex_min_offset").unwrap_or(0),
        max_offset: offset("regex_max_offset"),
    })
}

fn misc(context: &mut Context<'_, '_>, service: &Block, block: &Block) -> Option<MiscCheck> {
    let Some(script) = block.script("misc_path") else {
        if block.setting("misc_path").is_none() {
            return useless(context, block, "it has no `misc_path`");
        }
        return None;
    };
    let user = match block.value("user") {
        Some(Value::User(user)) => Some((**user).clone()),
        _ => script.user.clone(),
    };
    let usual = service
        .time("delay_loop")
        .unwrap_or(Duration::from_secs(60));
    Some(MiscCheck {
        script: Script {
            argv: script.argv.clone(),
            user,
        },
        timeout: block
            .time("misc_timeout")
            .filter(|time| !time.is_zero())
            .unwrap_or(usual),
        dynamic: block.flag("misc_dynamic"),
    })
}

fn dns_type(name: &str) -> DnsType {
    match name {
        "A" => DnsType::A,
        "NS" => DnsType::Ns,
        "CNAME" => DnsType::Cname,
        "MX" => DnsType::Mx,
        "TXT" => DnsType::Txt,
        "AAAA" => DnsType::Aaaa,
        "RRSIG" => DnsType::Rrsig,
        "DNSKEY" => DnsType::Dnskey,
        _ => DnsType::Soa,
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let values: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = values?;
    let byte = |pair: &[u32]| u8::try_from(pair.iter().fold(0, |byte, digit| byte << 4 | digit));
    pairs.chunks(2).map(|pair| byte(pair).ok()).collect()
}

/// A checker that checks nothing is dropped, and its server then counts as up.
fn useless<T>(context: &mut Context<'_, '_>, block: &Block, reason: &str) -> Option<T> {
    if !block.misspelt.is_empty() {
        return None; // what is missing is there, and has been reported
    }
    let message = format!("this `{}` checks nothing: {reason}", block.kind.name());
    let diagnostic = context
        .report
        .error(Code::UselessCheck, block.head, message);
    context
        .report
        .push(diagnostic.help("it is dropped, so the server counts as up"));
    None
}

/// A checker that is read but not run.
fn no_effect_yet(context: &mut Context<'_, '_>, block: &Block) {
    let name = block.kind.name();
    let message = format!("`{name}` is accepted, but without effect yet");
    let diagnostic = context
        .report
        .warning(Code::NoEffectYet, block.head, message);
    context
        .report
        .push(diagnostic.help("the server counts as up as far as this check goes"));
}
