//! What can be tracked: scripts, files, processes, BFD sessions.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::ast::{Block, Value};
use crate::config::{
    BfdInstance, InitFile, ParameterMatch, TrackFile, TrackProcess, VrrpScript, Weight, with_user,
};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;

use super::globals::byte;
use super::tracking::lines;
use super::{Context, missing, named, place_of};

pub(super) fn scripts(context: &mut Context<'_, '_>, root: &Block) -> Vec<VrrpScript> {
    let mut scripts = Vec::new();
    for (name, block) in named(context, root, BlockKind::VrrpScript) {
        let Some(script) = block.script("script") else {
            missing(context, block, &["script"]);
            continue;
        };
        let user = match block.value("user") {
            Some(Value::User(user)) => Some(&**user),
            _ => None,
        };
        let mut interval = block.time("interval").unwrap_or(Duration::from_secs(1));
        if interval.is_zero() {
            let span = place_of(block, "interval");
            let message = "the interval 0 becomes 1 second";
            context.warn(
                Code::OutOfRange,
                span,
                message,
                "write the interval you mean",
            );
            interval = Duration::from_secs(1);
        }
        let timeout = block.time("timeout").filter(|time| !time.is_zero());
        let weight = weight(block, 0);
        context
            .weights
            .insert((BlockKind::VrrpScript, name), weight);
        scripts.push(VrrpScript {
            name: name.to_owned(),
            script: with_user(script, user),
            interval,
            timeout: timeout.unwrap_or(interval),
            weight,
            rise: block.u32("rise").unwrap_or(1),
            fall: block.u32("fall").unwrap_or(1),
            init_fail: block.flag("init_fail"),
        });
    }
    scripts
}

pub(super) fn files(context: &mut Context<'_, '_>, root: &Block) -> Vec<TrackFile> {
    let mut files = Vec::new();
    for (name, block) in named(context, root, BlockKind::TrackFile) {
        // The first one counts.
        let path = block.all("file").find_map(|setting| match setting.value {
            Some(Value::Word(word)) => Some(word),
            _ => None,
        });
        let Some(path) = path else {
            missing(context, block, &["file"]);
            continue;
        };
        let weight = weight(block, 1);
        context.weights.insert((BlockKind::TrackFile, name), weight);
        files.push(TrackFile {
            name: name.to_owned(),
            path: PathBuf::from(context.text(path)),
            weight,
            init: init_file(context, block),
        });
    }
    files
}

fn init_file(context: &mut Context<'_, '_>, block: &Block) -> Option<InitFile> {
    let mut init = InitFile {
        value: 0,
        overwrite: false,
    };
    let Value::Words(words) = block.value("init_file")? else {
        return Some(init);
    };
    for word in words {
        let text = context.slice(*word);
        if text == "overwrite" {
            init.overwrite = true;
        } else if let Ok(value) = text.parse() {
            init.value = value;
        } else {
            let message = format!("`{text}` is neither a whole number nor `overwrite`");
            let help = "keepalived writes 0";
            context.error(Code::BadValue, word.outer(), message, help);
        }
    }
    Some(init)
}

pub(super) fn processes(context: &mut Context<'_, '_>, root: &Block) -> Vec<TrackProcess> {
    let mut processes = Vec::new();
    for (name, block) in named(context, root, BlockKind::TrackProcess) {
        let words = match block.value("process") {
            Some(Value::Words(words)) => &**words,
            _ => &[],
        };
        let Some((process, parameters)) = words.split_first() else {
            missing(context, block, &["process"]);
            continue;
        };
        let delay = block.time("delay").unwrap_or_default();
        let parameter_match = match (block.value("param_match"), parameters) {
            (None, []) => ParameterMatch::Any,
            (_, []) => ParameterMatch::Exact,
            (Some(Value::Choice("initial")), _) => ParameterMatch::Initial,
            (Some(Value::Choice("partial")), _) => ParameterMatch::Partial,
            _ => ParameterMatch::Exact,
        };
        let (quorum, quorum_max) = (block.u32("quorum"), block.u32("quorum_max"));
        if let (Some(least), Some(most)) = (quorum, quorum_max)
            && most < least
            && most > 0
        {
            let message = format!("the quorum {least} is above `quorum_max` {most}");
            let span = place_of(block, "quorum_max");
            context.error(Code::BadValue, span, message, "it can never be held");
        }
        let parameters: Vec<String> = parameters.iter().map(|word| context.text(*word)).collect();
        let weight = weight(block, 0);
        context
            .weights
            .insert((BlockKind::TrackProcess, name), weight);
        processes.push(TrackProcess {
            name: name.to_owned(),
            process: context.text(*process),
            parameter_match,
            weight,
            quorum: quorum.unwrap_or(1),
            quorum_max,
            fork_delay: block.time("fork_delay").unwrap_or(delay),
            terminate_delay: block.time("terminate_delay").unwrap_or(delay),
            full_command: block.flag("full_command") || parameter_match != ParameterMatch::Any,
            parameters,
        });
    }
    processes
}

pub(super) fn bfd(context: &mut Context<'_, '_>, root: &Block) -> Vec<BfdInstance> {
    let mut sessions = Vec::new();
    for (name, block) in named(context, root, BlockKind::BfdInstance) {
        if name.len() > 31 {
            let message = format!("the name of this session has {} bytes", name.len());
            let help = "names of BFD sessions have at most 31 bytes; it is left out";
            context.error(Code::BadValue, block.head, message, help);
            continue;
        }
        let neighbor = block.address("neighbor_ip");
        let Some(neighbor) = neighbor.or_else(|| block.address("neighbour_ip")) else {
            missing(context, block, &["neighbor_ip", "neighbour_ip"]);
            continue;
        };
        let source = block.address("source_ip");
        if source.is_some_and(|source| source.is_ipv4() != neighbor.is_ipv4()) {
            let message = format!("the source cannot reach {neighbor}, of another family");
            let span = place_of(block, "source_ip");
            context.error(Code::FamilyMismatch, span, message, "it is left out");
            continue;
        }
        let multihop = block.bool("multihop").unwrap_or(false);
        if let Some(first) = same_path(&sessions, neighbor, source, multihop) {
            let message = format!("`{name}` and `{first}` have the same neighbor, {neighbor}");
            let help = "it is left out; sessions with one neighbor need a source_ip of their own";
            context.error(Code::BadValue, block.head, message, help);
            continue;
        }
        let (only_vrrp, only_checker) = (block.flag("vrrp"), block.flag("checker"));
        if only_checker && !only_vrrp {
            context.for_checks_only.insert(name);
        }
        let ttl = byte(block, "ttl").or_else(|| byte(block, "hoplimit"));
        let max_hops = block.int("max_hops").unwrap_or(0);
        let weight = weight(block, 0);
        context
            .weights
            .insert((BlockKind::BfdInstance, name), weight);
        sessions.push(BfdInstance {
            name: name.to_owned(),
            neighbor,
            source,
            min_rx: block.time("min_rx").unwrap_or(Duration::from_millis(10)),
            min_tx: block.time("min_tx").unwrap_or(Duration::from_millis(10)),
            idle_tx: block.time("idle_tx").unwrap_or(Duration::from_secs(1)),
            multiplier: byte(block, "multiplier").unwrap_or(5),
            passive: block.flag("passive"),
            ttl,
            max_hops: i16::try_from(max_hops).unwrap_or(0),
            multihop,
            weight,
            for_vrrp: only_vrrp || !only_checker,
            for_checker: only_checker || !only_vrrp,
        });
    }
    sessions
}

/// The session before it whose packets could not be told from those of this one.
fn same_path(
    sessions: &[BfdInstance],
    neighbor: IpAddr,
    source: Option<IpAddr>,
    multihop: bool,
) -> Option<&str> {
    let is_same = |it: &&BfdInstance| {
        let sources = it.source.is_none() || source.is_none() || it.source == source;
        it.neighbor == neighbor && it.multihop == multihop && sources
    };
    sessions.iter().find(is_same).map(|it| it.name.as_str())
}

/// The weight of something tracked; the first one counts.
fn weight(block: &Block, usual: i16) -> Weight {
    let first = block
        .all("weight")
        .find_map(|setting| setting.value.as_ref());
    match first {
        Some(Value::Weight { weight, reverse }) => Weight {
            value: i16::try_from(*weight).unwrap_or(usual),
            reverse: *reverse,
        },
        _ => Weight {
            value: usual,
            reverse: false,
        },
    }
}

/// Things to track that nothing tracks.
pub(super) fn unused(context: &mut Context<'_, '_>, root: &Block) {
    let file_checks = file_checks(root, context);
    let mentioned = mentioned(root, context);
    for block in &root.blocks {
        let kind = block.kind;
        let is_source = matches!(
            kind,
            BlockKind::VrrpScript | BlockKind::TrackFile | BlockKind::TrackProcess
        );
        let Some(Value::Word(name)) = block.name.as_ref().filter(|_| is_source) else {
            continue;
        };
        let text = context.slice(*name);
        let used = context.used.contains_key(&(kind, text))
            || mentioned.contains(&(kind, Some(text)))
            || mentioned.contains(&(kind, None));
        if used || kind == BlockKind::TrackFile && file_checks.contains(text) {
            continue;
        }
        let message = format!("nothing tracks the `{}` `{text}`", kind.name());
        let help = "it is not run; refer to it in an instance below, or delete it";
        context.warn(Code::Unused, name.outer(), message, help);
    }
}

/// What instances and groups name, those too that are left out for another reason; without a name
/// where a misspelt line may have named anything.
fn mentioned<'a>(root: &Block, context: &Context<'_, 'a>) -> HashSet<(BlockKind, Option<&'a str>)> {
    const LISTS: [(&str, BlockKind); 3] = [
        ("track_script", BlockKind::VrrpScript),
        ("track_file", BlockKind::TrackFile),
        ("track_process", BlockKind::TrackProcess),
    ];
    let trackers = [BlockKind::VrrpInstance, BlockKind::SyncGroup];
    let mut found = HashSet::new();
    for (keyword, kind) in LISTS {
        for block in root
            .blocks
            .iter()
            .filter(|block| trackers.contains(&block.kind))
        {
            let names = lines(block, keyword).map(|(_, track)| context.slice(track.name));
            found.extend(names.map(|name| (kind, Some(name))));
            if block.misspelt.contains(&keyword) {
                found.insert((kind, None));
            }
        }
        if trackers
            .iter()
            .any(|kind| root.misspelt.contains(&kind.name()))
        {
            found.insert((kind, None));
        }
    }
    found
}

/// Track files that `FILE_CHECK`s refer to.
fn file_checks<'a>(root: &Block, context: &Context<'_, 'a>) -> HashSet<&'a str> {
    let servers = root
        .children(BlockKind::VirtualServer)
        .flat_map(|service| service.children(BlockKind::RealServer));
    let checks = servers.flat_map(|server| server.children(BlockKind::FileCheck));
    checks
        .filter_map(|check| check.word("track_file"))
        .map(|word| context.slice(word))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;
    use crate::{MemoryLoader, Options, analyze};

    fn read(text: &str) -> (Config, Vec<String>) {
        let path = Path::new("/k.conf");
        let loader = MemoryLoader::default().with(path, text);
        let analysis = analyze(path, &Options::default(), &loader);
        let found = analysis.diagnostics.iter().map(|it| it.message.clone());
        (analysis.config.clone(), found.collect())
    }

    #[test]
    fn bfd_sessions_with_one_neighbor_need_sources() {
        let session = |name: &str, settings: &str| {
            format!("bfd_instance {name} {{\nneighbor_ip 192.0.2.1\n{settings}\n}}\n")
        };
        let text = session("a", "source_ip 192.0.2.2")
            + &session("b", "source_ip 192.0.2.3")
            + &session("c", "source_ip 192.0.2.2\nmultihop")
            + &session("d", "")
            + &session("e", "source_ip 192.0.2.3");
        let (config, found) = read(&text);
        let names: Vec<_> = config
            .vrrp
            .bfd_instances
            .iter()
            .map(|it| &it.name)
            .collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(
            found,
            [
                "`d` and `a` have the same neighbor, 192.0.2.1",
                "`e` and `b` have the same neighbor, 192.0.2.1"
            ]
        );
    }

    #[test]
    fn sessions_for_checks_are_not_tracked() {
        let text = |flag: &str| {
            format!(
                "bfd_instance a {{\nneighbor_ip 192.0.2.1\n{flag}\n}}\nvrrp_instance v {{\n\
                 interface eth0\nvirtual_router_id 1\ntrack_bfd {{\na\n}}\n\
                 virtual_ipaddress {{\n192.0.2.9\n}}\n}}\n"
            )
        };
        for (flag, is_tracked) in [("", true), ("vrrp", true), ("checker", false)] {
            let (config, found) = read(&text(flag));
            let tracked = &config.vrrp.instances[0].tracking.bfd;
            assert_eq!(tracked.len(), usize::from(is_tracked), "{flag}");
            let told = found.contains(&"`a` is for checks only".to_owned());
            assert_eq!(told, !is_tracked, "{found:?}");
        }
    }
}
