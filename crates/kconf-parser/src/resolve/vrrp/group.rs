//! `vrrp_sync_group`: instances that share one state.

use std::collections::HashMap;

use crate::ast::{Block, Value};
use crate::config::SyncGroup;
use crate::diagnostic::Code;
use crate::keyword::BlockKind;
use crate::source::Span;
use crate::tree::Word;

use super::{Context, missing, named, notify, tracking};

/// Which group an instance is in, and whether that lets its trackers have weights.
pub(super) struct Membership<'a> {
    groups: HashMap<&'a str, Member<'a>>,
}

#[derive(Clone, Copy)]
struct Member<'a> {
    group: &'a str,
    tracking_weight: bool,
    place: Span,
}

impl<'a> Membership<'a> {
    pub(super) fn new(context: &mut Context<'_, 'a>, root: &Block) -> Self {
        let mut groups: HashMap<&'a str, Member<'a>> = HashMap::new();
        for (group, block) in named(context, root, BlockKind::SyncGroup) {
            let tracking_weight = weights_allowed(block);
            for word in words(block) {
                let name = context.slice(word);
                let place = word.outer();
                let member = Member {
                    group,
                    tracking_weight,
                    place,
                };
                match groups.get(name).copied() {
                    None => {
                        groups.insert(name, member);
                    }
                    Some(first) => {
                        let message = format!("`{name}` is in a group already");
                        let diagnostic = context
                            .report
                            .error(Code::InTwoGroups, place, message)
                            .also(context.report.place(first.place), "the first group counts");
                        context.report.push(diagnostic);
                    }
                }
            }
        }
        Self { groups }
    }

    /// The group of an instance that takes its weights away.
    pub(super) fn without_weights(&self, instance: &str) -> Option<&'a str> {
        let member = self.groups.get(instance)?;
        (!member.tracking_weight).then_some(member.group)
    }

    fn is_member(&self, instance: &str, place: Span) -> bool {
        let member = self.groups.get(instance);
        member.is_some_and(|member| member.place == place)
    }
}

fn weights_allowed(block: &Block) -> bool {
    block.flag("sync_group_tracking_weight") || block.flag("global_tracking")
}

fn words(block: &Block) -> impl Iterator<Item = Word> {
    let lists = block
        .all("group")
        .filter_map(|setting| match &setting.value {
            Some(Value::Words(words)) => Some(words),
            _ => None,
        });
    lists.flatten().copied()
}

/// All groups that have members.
pub(super) fn groups(
    context: &mut Context<'_, '_>,
    root: &Block,
    membership: &Membership<'_>,
) -> Vec<SyncGroup> {
    let mut groups = Vec::new();
    let instances = named(context, root, BlockKind::VrrpInstance);
    let instances: HashMap<&str, &Block> = instances.into_iter().collect();
    for (name, block) in named(context, root, BlockKind::SyncGroup) {
        let members = members(context, block, membership);
        let Some(members) = members else { continue };
        // Names that are left out have been reported.
        if let [only] = members.as_slice()
            && words(block).count() == 1
        {
            let message = format!("the group `{name}` has one member, `{only}`");
            let help = "a group joins the states of several instances; alone it does nothing";
            context.warn(Code::OneMemberGroup, block.head, message, help);
        }
        let tracking = tracking::tracking(context, block);
        tracked_twice(context, &instances, block, &members);
        groups.push(SyncGroup {
            name: name.to_owned(),
            members,
            tracking,
            tracking_weight: weights_allowed(block),
            notify: notify::notify(context, block),
            notify_priority_changes: block
                .bool("notify_priority_changes")
                .unwrap_or(context.inherited.notify_priority_changes),
            smtp_alert: block
                .bool("smtp_alert")
                .or(context.alerts.vrrp)
                .unwrap_or(false),
        });
    }
    groups
}

/// What the group tracks for all members, and a member for itself.
fn tracked_twice(
    context: &mut Context<'_, '_>,
    instances: &HashMap<&str, &Block>,
    block: &Block,
    members: &[String],
) {
    for name in members {
        let Some(member) = instances.get(name.as_str()) else {
            continue;
        };
        for (line, track) in tracking::lines(block, "track_interface") {
            let interface = context.slice(track.name);
            let own = member.word("interface").map(|word| context.slice(word));
            let mut others = tracking::lines(member, "track_interface");
            if own == Some(interface)
                || others.any(|(_, other)| context.slice(other.name) == interface)
            {
                let message = format!("`{interface}` is tracked by the member `{name}` already");
                let help = "what the group says of it counts; leave one of the two out";
                context.warn(Code::Repeated, line, message, help);
            }
        }
    }
}

/// Members that exist; `None` if there are none, which has then been said.
fn members(
    context: &mut Context<'_, '_>,
    block: &Block,
    membership: &Membership<'_>,
) -> Option<Vec<String>> {
    if block.setting("group").is_none() {
        missing(context, block, &["group"]);
        return None;
    }
    let mut members: Vec<String> = Vec::new();
    let mut left_out = false;
    for word in words(block) {
        let name = context.slice(word);
        if context.instances.contains(name) {
            if membership.is_member(name, word.outer()) {
                members.push(name.to_owned());
            }
            continue;
        }
        left_out = true;
        if context.names.contains_key(&(BlockKind::VrrpInstance, name)) {
            continue;
        }
        let message = format!("no `vrrp_instance` is named `{name}`");
        let mut diagnostic = context
            .report
            .error(Code::UnknownName, word.outer(), message)
            .help("the name is left out of the group");
        if let Some(near) = context.nearest(BlockKind::VrrpInstance, name) {
            diagnostic = diagnostic
                .label(format!("did you mean `{near}`?"))
                .suggest(context.report.place(word.span), near);
        }
        context.report.push(diagnostic);
    }
    if members.is_empty() && !left_out {
        let message = "this group has no members, and is left out";
        context.error(Code::EmptyGroup, block.head, message, "name its instances");
    }
    (!members.is_empty()).then_some(members)
}
