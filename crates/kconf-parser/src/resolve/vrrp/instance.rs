//! `vrrp_instance`: one virtual router.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::ast::{Block, Value};
use crate::config::{
    AuthHmac, Authentication, Destination, Family, HmacKey, HmacMode, Unicast, VrrpChecksum,
    VrrpInstance, VrrpVersion,
};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;
use crate::source::Span;

use super::super::globals::last;
use super::election::{self, Election};
use super::globals::{byte, garp_of};
use super::group::Membership;
use super::{Context, address, interface, missing, named, notify, place_of, tracking};

/// All usable instances.
pub(super) fn instances(
    context: &mut Context<'_, '_>,
    root: &Block,
    groups: &Membership<'_>,
) -> Vec<VrrpInstance> {
    let mut instances: Vec<VrrpInstance> = Vec::new();
    let mut routers: HashMap<RouterKey, (Span, usize)> = HashMap::new();
    for (name, block) in named(context, root, BlockKind::VrrpInstance) {
        let Some(instance) = instance(context, name, block, groups) else {
            continue;
        };
        let index = instances.len();
        let mut taken = None;
        for key in keys(&instance) {
            match routers.get(&key) {
                Some((place, other)) => taken = Some((*place, *other)),
                None => {
                    routers.insert(key, (place_of(block, "virtual_router_id"), index));
                }
            }
        }
        if let Some((first, other)) = taken {
            let other = instances.get(other).map_or("", |other| &other.name);
            let message = format!(
                "`virtual_router_id {}` is used by `{other}` already, on the same interface",
                instance.vrid
            );
            let diagnostic = context
                .report
                .error(
                    Code::DuplicateVrid,
                    place_of(block, "virtual_router_id"),
                    message,
                )
                .also(context.report.place(first), "the other one is here")
                .help("give each virtual router on an interface a number of its own");
            context.report.push(diagnostic);
            continue;
        }
        context.instances.insert(name);
        instances.push(instance);
    }
    instances
}

/// What tells virtual routers apart: interface, number, family and destination.
type RouterKey = (Option<String>, u8, Family, Option<IpAddr>);

fn keys(instance: &VrrpInstance) -> Vec<RouterKey> {
    let key = |destination| {
        let interface = instance.interface.clone();
        (interface, instance.vrid, instance.family, destination)
    };
    match &instance.destination {
        Destination::Multicast(group) => vec![key(Some(*group))],
        Destination::Unicast(unicast) => unicast
            .peers
            .iter()
            .map(|peer| key(Some(peer.address)))
            .collect(),
    }
}

fn instance(
    context: &mut Context<'_, '_>,
    name: &str,
    block: &Block,
    groups: &Membership<'_>,
) -> Option<VrrpInstance> {
    let inherited = context.inherited;
    let vrid = byte(block, "virtual_router_id");
    if vrid.is_none() {
        missing(context, block, &["virtual_router_id"]);
    }
    let text = |context: &Context<'_, '_>, keyword| block.word(keyword).map(|w| context.text(w));
    let interface = text(context, "interface");
    let strict = block.bool("strict_mode").unwrap_or(inherited.strict);
    let addresses = address::addresses(context, block);
    let family = addresses.family;
    let election = election::election(context, block, family, strict);
    let destination = destination(context, block, family, strict);
    let is_unicast = matches!(destination, Destination::Unicast(_));
    if interface.is_none() && block.word("interface").is_none() && !block.means("interface") {
        let virtual_interface = block.flag("use_vmac") || block.flag("use_ipvlan");
        if !is_unicast || virtual_interface {
            missing(context, block, &["interface"]);
            return None;
        }
    }
    // Wrong lines have been reported.
    let vrid = vrid?;
    if interface.is_none() && !is_unicast {
        return None;
    }
    let usable = address::enough(context, block, &addresses, election.version, strict);
    usable.then_some(())?;
    let source = source(context, block, family);
    link_local_unicast(context, block, &destination, source, interface.as_ref())?;
    let virtual_interface =
        interface::virtual_interface(context, block, (family, source), is_unicast, strict);
    let own = interface.as_deref();
    let tracking = trackers(context, block, own, name, &election, groups);
    Some(VrrpInstance {
        name: name.to_owned(),
        family,
        version: election.version,
        initial_state: election.state,
        vrf: vrf(context, block, interface.is_some()),
        vrid,
        priority: election.priority,
        advert_int: election.advert_int,
        routes: address::routes(context, block),
        rules: address::rules(block),
        promote_secondaries: block.flag("promote_secondaries"),
        authentication: authentication(context, block, &election, strict),
        auth_hmac: auth_hmac(context, block),
        source,
        track_source: block.flag("track_src_ip"),
        checksum: checksum(block, inherited.v3_checksum_as_v2),
        preempt: election.preempt,
        preempt_delay: election.preempt_delay,
        tracking,
        track_primary: !block.flag("dont_track_primary"),
        notify: notify::notify(context, block),
        notify_priority_changes: block
            .bool("notify_priority_changes")
            .unwrap_or(inherited.notify_priority_changes),
        smtp_alert: block
            .bool("smtp_alert")
            .or(context.alerts.vrrp)
            .unwrap_or(false),
        garp: {
            no_zero(context, block);
            let mut garp = garp_of(block, &inherited.garp);
            if strict {
                garp.lower_prio_repeat = 0;
                garp.lower_prio_delay = None;
            }
            garp
        },
        lower_prio_no_advert: strict
            || block
                .bool("lower_prio_no_advert")
                .or(inherited.lower_prio_no_advert)
                .unwrap_or(false),
        higher_prio_send_advert: !strict
            && block
                .bool("higher_prio_send_advert")
                .unwrap_or(inherited.higher_prio_send_advert),
        down_timer_adverts: match strict {
            true => 3,
            false => byte(block, "down_timer_adverts").unwrap_or(inherited.down_timer_adverts),
        },
        timer_expired_backup: match last(block, &["timer_expired_backup", "thread_timer_expired"]) {
            _ if election.preempt => None,
            Some(Value::Int(priority)) => u8::try_from(*priority).ok(),
            Some(_) => Some(254),
            None => None,
        },
        accept: accept(block, strict && election.priority != 255),
        // In keepalived, `off` switches it on as well.
        skip_check_adv_addr: block
            .bool("skip_check_adv_addr")
            .unwrap_or(inherited.skip_check_adv_addr),
        strict,
        owner_ignore_adverts: block
            .bool("owner_ignore_adverts")
            .unwrap_or(inherited.owner_ignore_adverts || strict),
        virtual_interface,
        rx_buffer: block.u32("kernel_rx_buf_size"),
        interface,
        destination,
        addresses: addresses.advertised,
        excluded_addresses: addresses.excluded,
    })
}

/// Counts of which 0 becomes 1.
/// The VRF of unicast without an interface; an interface is in one already.
fn vrf(context: &mut Context<'_, '_>, block: &Block, has_interface: bool) -> Option<String> {
    let word = block.word("vrf")?;
    if has_interface {
        let message = "`vrf` is ignored beside `interface`";
        let help = "the interface is in a VRF, or in none";
        context.warn(Code::NoMeaningHere, word.outer(), message, help);
        return None;
    }
    Some(context.text(word))
}

fn no_zero(context: &mut Context<'_, '_>, block: &Block) {
    for keyword in ["garp_master_repeat", "garp_master_refresh_repeat"] {
        if block.u32(keyword) == Some(0) {
            let message = format!("`{keyword} 0` becomes 1");
            let span = place_of(block, keyword);
            context.warn(Code::OutOfRange, span, message, "the least is one");
        }
    }
}

/// `accept` and `no_accept`, the last of which counts.
fn accept(block: &Block, strict: bool) -> bool {
    let said = block
        .settings
        .iter()
        .rev()
        .find_map(|setting| match setting.keyword.name {
            "accept" => Some(true),
            "no_accept" => Some(false),
            _ => None,
        });
    said.unwrap_or(!strict)
}

fn source(context: &mut Context<'_, '_>, block: &Block, family: Family) -> Option<IpAddr> {
    let value = last(block, &["mcast_src_ip", "unicast_src_ip"])?;
    let Value::Address(source) = value else {
        return None;
    };
    if source.is_ipv4() == (family == Family::Inet) {
        return Some(*source);
    }
    let keyword = match block.setting("unicast_src_ip") {
        Some(_) => "unicast_src_ip",
        None => "mcast_src_ip",
    };
    let message = format!(
        "`{keyword}` is ignored: the instance is {}",
        family_name(family)
    );
    let span = place_of(block, keyword);
    let help = "the first address of the interface is taken";
    context.error(Code::FamilyMismatch, span, message, help);
    None
}

pub(super) fn family_name(family: Family) -> &'static str {
    match family {
        Family::Inet => "IPv4",
        Family::Inet6 => "IPv6",
    }
}

fn destination(
    context: &mut Context<'_, '_>,
    block: &Block,
    family: Family,
    strict: bool,
) -> Destination {
    let lists = block
        .all("unicast_peer")
        .filter_map(|setting| match &setting.value {
            Some(Value::Peers(peers)) => Some(peers),
            _ => None,
        });
    let (mut peers, mut limited, mut wrong) = (Vec::new(), false, false);
    for entry in lists.flatten() {
        let peer = entry.value;
        if peer.address.is_ipv4() != (family == Family::Inet) {
            let message = format!(
                "the peer {} is left out: the instance is {}",
                peer.address,
                family_name(family)
            );
            let help = "an instance advertises to one address family";
            context.error(Code::FamilyMismatch, entry.span, message, help);
            wrong = true;
        } else if peers.contains(&peer) {
            let message = format!("the peer {} is listed a second time", peer.address);
            let help = "later versions of keepalived refuse this";
            context.warn(Code::Repeated, entry.span, message, help);
        } else {
            limited |= peer.min_ttl > 0 || peer.max_ttl < 255;
            peers.push(peer);
        }
    }
    let fault_without = block.flag("unicast_fault_no_peer");
    if !peers.is_empty() || fault_without && block.setting("unicast_peer").is_some() {
        if strict {
            let span = place_of(block, "unicast_peer");
            let message = "strict mode has no unicast";
            let help = "keepalived ends all of VRRP here; leave one of them out";
            context.warn(Code::StrictConflict, span, message, help);
        }
        if let Some(setting) = block.setting("mcast_dst_ip") {
            let message = "`mcast_dst_ip` has no effect beside `unicast_peer`";
            context.warn(
                Code::NoMeaningHere,
                setting.span,
                message,
                "delete the line",
            );
        }
        return Destination::Unicast(Unicast {
            peers,
            ttl: byte(block, "unicast_ttl").unwrap_or(255),
            check_source: block.flag("check_unicast_src")
                || context.inherited.check_unicast_src
                || limited,
        });
    }
    const UNICAST: &[&str] = &[
        "unicast_peer",
        "unicast_src_ip",
        "unicast_ttl",
        "unicast_fault_no_peer",
        "check_unicast_src",
        "old_unicast_checksum",
    ];
    let keyword = UNICAST
        .iter()
        .find(|keyword| block.setting(keyword).is_some());
    let misspelt = block.misspelt.contains(&"unicast_peer");
    if let Some(keyword) = keyword.filter(|_| !wrong && !misspelt) {
        let message = format!("`{keyword}` without peers: the advertisements go to everybody");
        let help =
            "list the addresses of the other directors in `unicast_peer`, or delete the line";
        let span = place_of(block, keyword);
        context.warn(Code::UnicastWithoutPeers, span, message, help);
    }
    let globals = &context.inherited.globals;
    let usual = match family {
        Family::Inet => IpAddr::V4(globals.multicast_group4),
        Family::Inet6 => IpAddr::V6(globals.multicast_group6),
    };
    let own = block.address("mcast_dst_ip");
    if let Some(own) = own.filter(|own| own.is_ipv4() != usual.is_ipv4() || !own.is_multicast()) {
        let message = format!(
            "{own} is no {} multicast group, so {usual} is taken",
            family_name(family)
        );
        let span = place_of(block, "mcast_dst_ip");
        context.error(Code::BadAddress, span, message, "the line is ignored");
        return Destination::Multicast(usual);
    }
    Destination::Multicast(own.unwrap_or(usual))
}

/// A link-local address means nothing without an interface.
fn link_local_unicast(
    context: &mut Context<'_, '_>,
    block: &Block,
    destination: &Destination,
    source: Option<IpAddr>,
    interface: Option<&String>,
) -> Option<()> {
    let Destination::Unicast(unicast) = destination else {
        return Some(());
    };
    if interface.is_some() {
        return Some(());
    }
    let is_local = |address: &IpAddr| match address {
        IpAddr::V6(address) => address.is_unicast_link_local(),
        IpAddr::V4(_) => false,
    };
    let mut addresses = unicast.peers.iter().map(|peer| &peer.address);
    if source.is_none() {
        let message = "without an `interface`, unicast needs a `unicast_src_ip`";
        context.error(Code::MissingSetting, block.head, message, "it is left out");
        return None;
    }
    if source.iter().any(is_local) || addresses.any(is_local) {
        let message = "link-local addresses need an `interface`";
        context.error(Code::MissingSetting, block.head, message, "it is left out");
        return None;
    }
    Some(())
}

fn checksum(block: &Block, usual: bool) -> VrrpChecksum {
    if block.bool("v3_checksum_as_v2").unwrap_or(usual) {
        return VrrpChecksum::AsV2;
    }
    match block.value("old_unicast_checksum") {
        Some(Value::Choice(_)) => VrrpChecksum::PseudoHeaderOnly,
        Some(_) => VrrpChecksum::OldUnicast,
        None => VrrpChecksum::PseudoHeader,
    }
}

fn authentication(
    context: &mut Context<'_, '_>,
    block: &Block,
    election: &Election,
    strict: bool,
) -> Option<Authentication> {
    let authentication = block.children(BlockKind::Authentication).last()?;
    let head = authentication.head;
    let word = match authentication
        .setting("auth_pass")
        .map(|setting| &setting.value)
    {
        Some(Some(Value::Word(word))) => Some(*word),
        _ => None,
    };
    let reason = match election.version {
        VrrpVersion::V3 => Some("version 3 of VRRP has none"),
        VrrpVersion::V2 if strict => Some("strict mode allows none"),
        VrrpVersion::V2 => None,
    };
    if let Some(reason) = reason {
        let message = format!("the authentication is dropped: {reason}");
        let help = "advertisements go out unprotected; delete the block, or use version 2";
        context.error(Code::AuthenticationDropped, head, message, help);
        return None;
    }
    if let Some(word) = word {
        let length = word.value(context.report.text()).len();
        if length > 8 {
            let message = format!("only the first 8 of {length} bytes of this password are used");
            let help = "another password with the same beginning is accepted, too";
            context.warn(Code::PasswordTooLong, word.outer(), message, help);
        }
    }
    let kind = match authentication.value("auth_type") {
        Some(Value::Choice(kind)) => *kind,
        _ if authentication.means("auth_type") => return None,
        _ => {
            let message = "this authentication has no `auth_type`, so nothing is authenticated";
            context.warn(
                Code::MissingSetting,
                head,
                message,
                "write `auth_type PASS`",
            );
            return None;
        }
    };
    let Some(word) = word else {
        if !authentication.means("auth_pass") {
            let message = "this authentication has no `auth_pass`, so nothing is authenticated";
            context.error(
                Code::MissingSetting,
                head,
                message,
                "write `auth_pass PASSWORD`",
            );
        }
        return None;
    };
    let password = context.text(word);
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(password.bytes()) {
        *to = from;
    }
    Some(match kind {
        "AH" => Authentication::Header(bytes),
        _ => Authentication::Password(bytes),
    })
}

fn auth_hmac(context: &mut Context<'_, '_>, block: &Block) -> Option<AuthHmac> {
    let hmac = block.children(BlockKind::AuthHmac).last()?;
    let mut keys = Vec::new();
    for setting in hmac.all("key") {
        let Some(Value::Words(words)) = &setting.value else {
            continue;
        };
        let [id, key] = &**words else {
            continue;
        };
        match context.slice(*id).parse() {
            Ok(id @ 1..) => keys.push(HmacKey {
                id,
                key: context.text(*key),
            }),
            _ => {
                let message = format!("`{}` is not the id of a key", context.slice(*id));
                let help = "ids are from 1 to 255; the key is left out";
                context.error(Code::BadNumber, id.outer(), message, help);
            }
        }
    }
    if keys.is_empty() {
        missing(context, hmac, &["key"]);
        return None;
    }
    let active_key = byte(hmac, "active_key");
    let is_there = |id| keys.iter().any(|key| key.id == id);
    let active_key = match active_key {
        Some(id) if !is_there(id) => {
            let message = format!("no `key` has the id {id}, so nothing is signed");
            let span = place_of(hmac, "active_key");
            context.error(Code::UnknownName, span, message, "the line is ignored");
            None
        }
        other => other,
    };
    Some(AuthHmac {
        keys,
        active_key,
        monotonic: matches!(hmac.value("anti_replay"), Some(Value::Choice("monotonic"))),
        time_window: hmac.time("time_window"),
        mode: match hmac.value("mode") {
            Some(Value::Choice("permissive")) => HmacMode::Permissive,
            Some(Value::Choice("receive-only")) => HmacMode::ReceiveOnly,
            _ => HmacMode::Enforce,
        },
    })
}

fn trackers(
    context: &mut Context<'_, '_>,
    block: &Block,
    own: Option<&str>,
    name: &str,
    election: &Election,
    groups: &Membership<'_>,
) -> crate::config::Tracking {
    let mut made = tracking::tracking(context, block);
    {
        let why = match block.flag("dont_track_primary") {
            true => "the own interface cannot be tracked beside `dont_track_primary`",
            false => "the own interface is always tracked, and faults the instance",
        };
        tracking::retain(
            context,
            block,
            &mut made,
            Code::OwnInterface,
            why,
            |list, tracked| list != "track_interface" || Some(tracked.name.as_str()) != own,
        );
    }
    if election.priority == 255 {
        let why = "the priority of an address owner never changes";
        let code = Code::WeightWithoutEffect;
        tracking::retain(context, block, &mut made, code, why, |_, tracked| {
            tracked.weight.value == 0
        });
    } else if let Some(group) = groups.without_weights(name) {
        let why = format!(
            "members of the group `{group}` have no weights unless it has \
             `sync_group_tracking_weight`"
        );
        let code = Code::WeightWithoutEffect;
        tracking::retain(context, block, &mut made, code, &why, |_, tracked| {
            tracked.weight.value == 0
        });
    }
    made
}
