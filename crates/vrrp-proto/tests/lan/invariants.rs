//! What must hold in every run.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::config::Preempt;
use vrrp_proto::{Family, Instance, Name, State, Time, Version};

use crate::world::World;

/// Remembers since when something has been so.
#[derive(Default)]
pub(crate) struct Observer {
    /// Since when a healthy node has neither been nor heard a Master.
    alone_since: HashMap<(usize, Name), Time>,
    /// Since when a Master is heard by a worse one.
    doubled_since: HashMap<(usize, usize, Name), (Time, u8, u8)>,
}

impl Observer {
    /// Looks at the world; to be called after whatever happened.
    pub(crate) fn look(&mut self, world: &World) {
        for node in 0..world.nodes.len() {
            for instance in running(world, node) {
                self.look_for_masters(world, node, instance);
                for other in 0..world.nodes.len() {
                    self.look_for_second(world, node, other, instance);
                }
            }
            if world.nodes[node].router.is_none() || world.nodes[node].paused_until.is_some() {
                self.alone_since.retain(|(it, _), _| *it != node);
            }
        }
        self.doubled_since.retain(|(a, b, _), _| {
            let both = [*a, *b].map(|it| running(world, it).next().is_some());
            both == [true, true]
        });
    }

    /// Never longer without a Master than the timers give.
    fn look_for_masters(&mut self, world: &World, node: usize, instance: &Instance) {
        let key = (node, instance.name().clone());
        let heard = instance.state() == State::Master
            || (0..world.nodes.len()).any(|other| {
                let mut masters = running(world, other);
                world.passes[other][node]
                    && masters.any(|it| it.name() == instance.name() && it.state() == State::Master)
            });
        let takes_part = instance.state() == State::Backup;
        if heard || !takes_part {
            self.alone_since.remove(&key);
            return;
        }
        let since = self.alone_since.entry(key).or_insert(world.now);
        let others = (0..world.nodes.len()).filter(|other| world.passes[*other][node]);
        let spoke = others.map(|other| world.nodes[other].spoke).max();
        *since = (*since).max(spoke.unwrap_or(Time::ZERO));
        let since = (*since).max(world.nodes[node].undisturbed_since);
        let bound = longest_wait(world, instance);
        let alone = world.now.since(since);
        assert!(
            alone <= bound,
            "node {node} {} has been without a master for {alone:?}, the bound is {bound:?}: {:?}",
            instance.name(),
            running(world, node)
                .map(|it| it.status().timers)
                .collect::<Vec<_>>()
        );
    }

    /// Two Masters only while the worse one does not hear the better one, and one interval.
    fn look_for_second(&mut self, world: &World, a: usize, b: usize, better: &Instance) {
        let key = (a, b, better.name().clone());
        let worse = running(world, b).find(|it| it.name() == better.name());
        let doubled = worse.filter(|worse| {
            let both = [better, *worse].map(Instance::state) == [State::Master; 2];
            a != b && both && world.passes[a][b] && wins(better, worse)
        });
        let Some(worse) = doubled else {
            self.doubled_since.remove(&key);
            return;
        };
        let priorities = [better, worse].map(|it| it.effective_priority().as_u8());
        let entry = self.doubled_since.entry(key);
        let entry = entry.or_insert((world.now, priorities[0], priorities[1]));
        if [entry.1, entry.2] != priorities {
            *entry = (world.now, priorities[0], priorities[1]);
        }
        let undisturbed = [a, b].map(|it| world.nodes[it].undisturbed_since);
        let since = entry.0.max(undisturbed[0]).max(undisturbed[1]);
        let network = world.scenario.network;
        // Of 25 advertisements one arrives, if a third is lost: 0.3^25 is 10^-13.
        let adverts = if network.loss > 0.0 { 25 } else { 1 };
        let interval = better.config().advert_interval.as_duration();
        let slack = network.most_delay + network.most_lateness;
        let bound = (interval + slack) * adverts;
        let doubled = world.now.since(since);
        assert!(
            doubled <= bound,
            "nodes {a} and {b} have both been master for {doubled:?}, the bound is {bound:?}"
        );
    }
}

fn wins(better: &Instance, worse: &Instance) -> bool {
    let of = |it: &Instance| (it.effective_priority(), it.source());
    of(better) > of(worse)
}

/// The instances of a node that runs.
fn running(world: &World, node: usize) -> impl Iterator<Item = &Instance> {
    let node = &world.nodes[node];
    let router = node.router.as_ref().filter(|_| node.paused_until.is_none());
    router.into_iter().flat_map(|router| router.instances())
}

/// The down interval by the longest interval of anybody; a member of a group waits for the
/// slowest member. Computed here by itself: an error of the machine must not excuse itself.
fn longest_wait(world: &World, instance: &Instance) -> Duration {
    let longest = intervals(world).max().unwrap();
    let config = instance.config();
    let skew = skew(
        config.version,
        instance.effective_priority().as_u8(),
        longest,
    );
    let network = world.scenario.network;
    longest * u32::from(config.down_adverts) + skew + network.most_delay + network.most_lateness * 4
}

fn skew(version: Version, priority: u8, interval: Duration) -> Duration {
    let unit = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval,
    };
    unit.mul_f64(f64::from(256 - u32::from(priority)) / 256.0)
}

fn intervals(world: &World) -> impl Iterator<Item = Duration> {
    let all = world.nodes.iter().flat_map(|node| &node.config.instances);
    all.map(|it| it.config.advert_interval.as_duration())
}

/// When a Master falls silent, its Backups take over by their priorities: the skew times keep them
/// apart, so that a worse one hears the better one before its own turn comes.
pub(crate) fn takes_its_turn(world: &World, node: usize, name: &Name, silent: IpAddr) {
    let network = world.scenario.network;
    let wires = world.passes.iter().flatten().all(|passes| *passes);
    let named = |node: usize| running(world, node).find(|it| it.name() == name);
    let Some(ours) = named(node).filter(|it| it.status().group.is_none()) else {
        return;
    };
    if !wires || network.loss > 0.0 {
        return;
    }
    let calm = longest_wait(world, ours) * 2;
    let is_calm = |since: Time| world.now.since(since) > calm;
    let calm_node = |node: usize| is_calm(world.nodes[node].undisturbed_since);
    if !is_calm(world.wires_since) || !calm_node(node) {
        return;
    }
    let shortest = intervals(world).min().unwrap();
    let turn = |it: &Instance| {
        skew(
            it.config().version,
            it.effective_priority().as_u8(),
            shortest,
        )
    };
    let slack = network.most_delay * 2 + network.most_lateness * 4;
    for other in (0..world.nodes.len()).filter(|other| *other != node && calm_node(*other)) {
        let Some(theirs) = named(other) else {
            continue;
        };
        let same = theirs.state() == State::Master
            || theirs.status().master.map(|it| it.address) == Some(silent);
        let first = turn(theirs) + slack < turn(ours);
        assert!(
            !(same && first),
            "node {node} took over before its turn: node {other} has priority {}, it has {}",
            theirs.effective_priority(),
            ours.effective_priority()
        );
    }
}

/// Whether the run has come to rest at its end. Where advertisements get lost, a Backup may have
/// been Master a moment ago and not yet been able to say so.
fn is_at_rest(world: &World) -> bool {
    let network = world.scenario.network;
    let rest = world.now.since(world.changed_at);
    let mut instances = world.scenario.nodes.iter().flat_map(|it| &it.instances);
    let ipv6 = instances.any(|it| it.config.family == Family::Ipv6);
    match network.loss {
        0.0 => true,
        // A copy may be taken for the answer to a last word that was lost.
        _ if ipv6 && network.duplication > 0.0 => false,
        // No wire was ever cut, and five last words have been said in this time: 0.05^5 is 3 * 10^-7.
        loss if loss <= 0.05 => {
            let longest = intervals(world).max().unwrap();
            world.wires_since == Time::ZERO && rest > longest * 33
        }
        _ => false,
    }
}

/// What must hold at the end, after a time without disturbance.
pub(crate) fn settled(world: &World) {
    if !is_at_rest(world) {
        return;
    }
    for named in &world.scenario.nodes[0].instances {
        let members = (0..world.nodes.len()).flat_map(|node| {
            let instances = running(world, node).filter(|it| *it.name() == named.name);
            instances.map(move |it| (node, it))
        });
        let members: Vec<(usize, &Instance)> = members.collect();
        let masters = || members.iter().filter(|(_, it)| it.state() == State::Master);
        assert_eq!(masters().count(), 1, "masters of {} at the end", named.name);
        let (place, master) = *masters().next().unwrap();
        for (node, it) in &members {
            if *node == place {
                continue;
            }
            assert_eq!(it.state(), State::Backup, "node {node} at the end");
            let better = it.effective_priority() > master.effective_priority();
            let preempts = it.config().preempt == Preempt::AtOnce;
            assert!(!(better && preempts), "node {node} should have preempted");
        }
        for (beside, beliefs) in world.beliefs.iter().enumerate() {
            for entry in &master.config().addresses {
                let believed = beliefs.get(&entry.address).copied();
                assert!(
                    believed.is_none_or(|it| it == place),
                    "hosts beside node {beside} look for {} elsewhere",
                    entry.address
                );
            }
        }
    }
}
