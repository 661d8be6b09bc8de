//! `track_script` and its companions, of instances and groups.

use crate::ast::{Block, Entry, Track, Value};
use crate::config::{Tracked, Tracking, Weight};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;
use crate::source::Span;

use super::Context;

/// The lists of an instance or group. Names that nothing defines above are reported and left
/// out, as in keepalived.
pub(super) fn tracking(context: &mut Context<'_, '_>, block: &Block) -> Tracking {
    use BlockKind::{BfdInstance, TrackFile, TrackProcess, VrrpScript};
    let mut list = |keyword, kind| list(context, block, keyword, kind);
    Tracking {
        interfaces: list("track_interface", None),
        scripts: list("track_script", Some(VrrpScript)),
        files: list("track_file", Some(TrackFile)),
        processes: list("track_process", Some(TrackProcess)),
        bfd: list("track_bfd", Some(BfdInstance)),
    }
}

/// One list, of things that blocks of a kind define, or of interfaces.
fn list(
    context: &mut Context<'_, '_>,
    block: &Block,
    keyword: &'static str,
    kind: Option<BlockKind>,
) -> Vec<Tracked> {
    let nothing = Weight {
        value: 0,
        reverse: false,
    };
    let mut tracked: Vec<Tracked> = Vec::new();
    for (line, entry) in lines(block, keyword) {
        let name = context.slice(entry.name);
        if let Some(kind) = kind
            && !defined_above(context, kind, name, entry.name.outer(), block.head)
        {
            continue;
        }
        if kind == Some(BlockKind::BfdInstance) && context.for_checks_only.contains(name) {
            let message = format!("`{name}` is for checks only");
            let help = "it is not tracked; delete `checker` in its bfd_instance, or add `vrrp`";
            context.error(Code::UnknownName, entry.name.outer(), message, help);
            continue;
        }
        let usual = match kind {
            None => nothing,
            // Left out for another reason, which has been said.
            Some(kind) => match context.weights.get(&(kind, name)) {
                Some(usual) => *usual,
                None => continue,
            },
        };
        if tracked.iter().any(|known| known.name == name) {
            let message = format!("`{name}` is tracked a second time");
            context.warn(Code::Repeated, line, message, "the line is left out");
            continue;
        }
        let value = entry.weight.unwrap_or(usual.value);
        let reverse = entry.reverse.unwrap_or(usual.reverse);
        tracked.push(Tracked {
            name: name.to_owned(),
            weight: Weight { value, reverse },
        });
    }
    tracked
}

/// The lines of a list, which may be split over several blocks.
pub(super) fn lines<'b>(
    block: &'b Block,
    keyword: &'static str,
) -> impl Iterator<Item = (Span, &'b Track)> {
    let lists = block
        .all(keyword)
        .filter_map(|setting| match &setting.value {
            Some(Value::Tracks(tracks)) => Some(tracks),
            _ => None,
        });
    lists.flatten().map(|Entry { span, value }| (*span, value))
}

/// Whether a name is defined, and above its use; otherwise that is said.
fn defined_above<'a>(
    context: &mut Context<'_, 'a>,
    kind: BlockKind,
    name: &'a str,
    place: Span,
    user: Span,
) -> bool {
    let Some(head) = context.names.get(&(kind, name)).copied() else {
        let message = format!("no `{}` is named `{name}`", kind.name());
        let mut diagnostic = context.report.error(Code::UnknownName, place, message);
        if let Some(near) = context.nearest(kind, name) {
            diagnostic = diagnostic
                .label(format!("did you mean `{near}`?"))
                .suggest(context.report.place(place), near);
            context.used.insert((kind, near), place);
        }
        context
            .report
            .push(diagnostic.help("it is not tracked, so its failure goes unnoticed"));
        return false;
    };
    context.used.insert((kind, name), place);
    if head.start < user.start {
        return true;
    }
    let message = format!("`{name}` is defined below, so keepalived does not track it");
    let diagnostic = context
        .report
        .error(Code::DefinedBelow, place, message)
        .also(context.report.place(head), "defined here")
        .help("move the definition above the block that refers to it");
    context.report.push(diagnostic);
    false
}

/// Leaves out what cannot count, by kind of list. `why` says why not, if a tracker of this weight
/// cannot.
pub(super) fn retain(
    context: &mut Context<'_, '_>,
    block: &Block,
    tracking: &mut Tracking,
    code: Code,
    why: &str,
    keep: impl Fn(&str, &Tracked) -> bool,
) {
    let lists: [(&'static str, &mut Vec<Tracked>); 5] = [
        ("track_interface", &mut tracking.interfaces),
        ("track_script", &mut tracking.scripts),
        ("track_file", &mut tracking.files),
        ("track_process", &mut tracking.processes),
        ("track_bfd", &mut tracking.bfd),
    ];
    for (keyword, list) in lists {
        list.retain(|tracked| {
            if keep(keyword, tracked) {
                return true;
            }
            let line = lines(block, keyword)
                .find(|(_, track)| context.slice(track.name) == tracked.name)
                .map_or(block.head, |(line, _)| line);
            let message = format!("`{}` is not tracked: {why}", tracked.name);
            context.warn(code, line, message, "the line is left out");
            false
        });
    }
}
