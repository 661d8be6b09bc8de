//! What each keyword makes of the plan: no keyword may be read and forgotten.

use kconf_parser::loader::MemoryLoader;

use super::*;

/// Two instances in a group. `G`, `I` and `T` are places in `global_defs`, in the first instance and at
/// the top level.
const TEXT: &str = "\
global_defs {
G
}
vrrp_script s {
    script /bin/true
}
vrrp_track_process p {
    process sshd
}
track_file f {
    file /tmp/f
}
vrrp_sync_group group {
    group {
        one
        two
    }
    S
}
T
vrrp_instance one {
    interface eth0
    virtual_router_id 1
    priority 100
    virtual_ipaddress {
        192.0.2.1/24
    }
I
}
vrrp_instance two {
    interface eth0
    virtual_router_id 2
    virtual_ipaddress {
        192.0.2.2/24
    }
}
";

fn plan(place: &str, keywords: &str) -> Vec<String> {
    let mut text = TEXT.to_owned();
    for other in ["G", "I", "S", "T"] {
        let put = if other == place { keywords } else { "" };
        let line = text.lines().find(|line| line.trim() == other).unwrap();
        text = text.replacen(&format!("{line}\n"), &format!("{put}\n"), 1);
    }
    let files = MemoryLoader::default().with("/k.conf", text);
    let analysis = kconf_parser::analyze("/k.conf".as_ref(), &Default::default(), &files);
    assert!(
        !analysis.has_errors(),
        "{keywords}: {:?}",
        analysis.diagnostics
    );
    let (plan, problems) = vrrp(&analysis.config.vrrp, Duration::ZERO);
    assert_eq!(problems, Vec::<String>::new(), "{keywords}");
    let lines = format!("{plan:#?}");
    lines.lines().map(|line| line.trim().to_owned()).collect()
}

/// The lines that are only in the second, without order.
fn new_lines(before: &[String], after: &[String]) -> String {
    let mut rest = before.to_vec();
    let mut new = Vec::new();
    for line in after {
        match rest.iter().position(|it| it == line) {
            Some(place) => drop(rest.swap_remove(place)),
            None => new.push(line.trim_end_matches(',').to_owned()),
        }
    }
    new.join(" ")
}

#[test]
fn every_keyword_is_in_the_plan() {
    let usual = plan("", "");
    let mut wrong = Vec::new();
    for (place, keywords, expected) in ROWS {
        let new = new_lines(&usual, &plan(place, keywords));
        if !expected
            .split('|')
            .all(|part| !part.is_empty() && new.contains(part))
        {
            wrong.push(format!("{keywords:?}: {new}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where, which keywords, and parts of the lines that they make.
#[rustfmt::skip]
const ROWS: &[(&str, &str, &str)] = &[
    ("G", "vrrp_mcast_group4 224.0.0.99",
     "group: 224.0.0.99 group: 224.0.0.99"),
    ("G", "vrrp_garp_master_delay 7",
     "delay: 7s lower_delay: 7s delay: 7s lower_delay: 7s"),
    ("G", "vrrp_garp_master_repeat 3",
     "repeat: 3 lower_repeat: 3 repeat: 3 lower_repeat: 3"),
    ("G", "vrrp_garp_master_refresh 60",
     "refresh: 60s refresh: 60s"),
    ("G", "vrrp_garp_master_refresh_repeat 2",
     "refresh_repeat: 2 refresh_repeat: 2"),
    ("G", "vrrp_garp_lower_prio_delay 9",
     "lower_delay: 9s lower_delay: 9s"),
    ("G", "vrrp_garp_lower_prio_repeat 4",
     "lower_repeat: 4 lower_repeat: 4"),
    ("G", "vrrp_down_timer_adverts 5",
     "down_adverts: 5 down_adverts: 5"),
    ("G", "vrrp_garp_interval 0.25",
     "arp_gap: 250ms|eth0"),
    ("G", "vrrp_gna_interval 0.5",
     "neighbour_gap: 500ms|eth0"),
    ("G", "vrrp_min_garp",
     "delay: 0ns repeat: 1 lower_delay: 0ns lower_repeat: 1"),
    ("G", "vrrp_lower_prio_no_advert",
     "answer_lower: false answer_lower: false"),
    ("G", "vrrp_version 3",
     "version: V3 version: V3"),
    ("G", "nftables other",
     "table: \"other\""),
    ("G", "nftables_priority 5",
     "priority: 5"),
    ("G", "nftables_counters",
     "counters: true"),
    ("G", "vrrp_skip_check_adv_addr",
     "address_list: Skip address_list: Skip"),
    ("G", "vrrp_strict",
     "accept: false answer_lower: false answer_higher: false lower_delay: 0ns lower_repeat: 0"),
    ("G", "max_auto_priority 20\nmin_auto_priority_delay 5000",
     "automatic_priority: Some( ( 20 5ms ) )"),
    ("G", "disable_local_igmp",
     "no_group_reports: true"),
    ("G", "default_interface eth7\n}\nstatic_ipaddress {\n198.51.100.9",
     "\"eth7\"|198.51.100.9/32"),
    ("T", "garp_group {\ngarp_interval 0.1\ngna_interval 0.2\ninterface eth0\n}",
     "arp_gap: 100ms neighbour_gap: 200ms"),
    ("T", "interface_up_down_delays {\neth0 1 2.5\n}",
     "( 1s 2.5s )"),
    ("T", "static_ipaddress {\n198.51.100.1/24 dev eth5 label eth5:1 brd + scope link\n}",
     "\"eth5\"|198.51.100.1/24|\"eth5:1\"|Scope( 253 )|Some( 198.51.100.255 )"),
    ("T", "static_ipaddress {\n2001:db8::1/64 dev eth5 home -nodad preferred_lft 20\n}",
     "2001:db8::1/64|For( 20s )|no_duplicate_detection: false home: true"),
    ("T", "static_routes {\n198.51.100.0/24 via 192.0.2.9 dev eth5 table 9 metric 4 src 192.0.2.1\n}",
     "preferred_source: Some( 192.0.2.1 )|via: Some( 192.0.2.9 )|table: 9 metric: Some( 4 )|eth5"),
    ("T", "static_rules {\nfrom 198.51.100.0/24 to 203.0.113.0/24 table 9 preference 5 fwmark 3/7 iif eth5\n}",
     "Table( 9 ) priority: Some( 5 )|from: Some( 198.51.100.0/24 ) to: Some( 203.0.113.0/24 )|mark: Some( ( 3 7 ) )|eth5"),
    ("I", "priority 77",
     "77"),
    ("I", "advert_int 3",
     "centis: 300"),
    ("I", "version 3\nadvert_int 0.25",
     "version: V3 centis: 25"),
    ("I", "virtual_ipaddress_excluded {\n203.0.113.5 dev eth3 no_track peer 203.0.113.6\n}",
     "advertised: false|\"eth3\"|peer: Some( 203.0.113.6/32|is_tracked: false"),
    ("I", "virtual_routes {\nblackhole 198.51.100.0/24 no_track\n}",
     "kind: Blackhole|is_tracked: false"),
    ("I", "virtual_routes {\n198.51.100.0/24 via 192.0.2.9 dev eth0 onlink mtu lock 1400 scope link\n}",
     "on_link: true|Scope( 253 )|( Mtu 1400 )|locked: 4"),
    ("I", "virtual_routes {\n198.51.100.0/24 nexthop via 192.0.2.8 dev eth0 weight 2 nexthop via 192.0.2.9 dev eth0\n}",
     "192.0.2.8 link: None weight: 2|192.0.2.9 link: None weight: 1"),
    ("I", "virtual_rules {\nfrom 198.51.100.0/24 table 9 preference 5 no_track\n}",
     "Table( 9|is_tracked: false"),
    ("I", "promote_secondaries",
     "promote_secondaries: [ Name( \"eth0\" ) ]"),
    ("I", "authentication {\nauth_type PASS\nauth_pass abc\n}",
     "authentication: Pass(********)"),
    ("I", "authentication {\nauth_type AH\nauth_pass abc\n}",
     "authentication: Ah(********)"),
    ("I", "unicast_peer {\n192.0.2.9 min_ttl 3 max_ttl 9\n}\nunicast_ttl 8\nunicast_src_ip 192.0.2.8",
     "source: Some( 192.0.2.8|address: 192.0.2.9 min_hop_limit: 3 max_hop_limit: 9|hop_limit: 8"),
    ("I", "mcast_src_ip 192.0.2.8\ntrack_src_ip",
     "source: Some( 192.0.2.8|\"source address 192.0.2.8\""),
    ("I", "mcast_dst_ip 224.0.0.77",
     "group: 224.0.0.77"),
    ("I", "unicast_fault_no_peer\nunicast_peer {\n}",
     "peers: []|\"list of unicast peers\""),
    ("I", "nopreempt",
     "preempt: Never"),
    ("I", "preempt_delay 30",
     "preempt: After( 30s )"),
    ("I", "track_interface {\neth4\n}",
     "\"interface eth4\" weight: None"),
    ("I", "track_script {\ns\n}",
     "\"script s\" weight: None"),
    ("I", "track_file {\nf weight 0\n}",
     "\"file f\" weight: None"),
    ("I", "track_process {\np\n}",
     "\"process p\" weight: None"),
    ("S", "track_script {\ns\n}",
     "\"script s\" weight: None reverse: false trackers: [ TrackerConfig { name: Name( \"script s\" weight: None"),
    ("S", "track_process {\np\n}",
     "\"process p\" weight: None reverse: false trackers: [ TrackerConfig { name: Name( \"process p\""),
    ("S", "track_file {\nf weight 0\n}",
     "\"file f\" weight: None reverse: false trackers: [ TrackerConfig { name: Name( \"file f\""),
    ("S", "track_interface {\neth4\n}",
     "\"interface eth4\" weight: None reverse: false trackers: [ TrackerConfig { name: Name( \"interface eth4\""),
    ("S", "sync_group_tracking_weight\ntrack_interface {\neth4 weight -5 reverse\n}",
     "\"interface eth4\" weight: Some( Weight( -5 reverse: true"),
    ("I", "dont_track_primary",
     "track_interface: false"),
    ("I", "garp_master_delay 7",
     "delay: 7s"),
    ("I", "garp_master_repeat 3",
     "repeat: 3"),
    ("I", "garp_master_refresh 60",
     "refresh: 60s"),
    ("I", "garp_master_refresh_repeat 2",
     "refresh_repeat: 2"),
    ("I", "garp_lower_prio_delay 9",
     "lower_delay: 9s"),
    ("I", "garp_lower_prio_repeat 4",
     "lower_repeat: 4"),
    ("I", "lower_prio_no_advert",
     "answer_lower: false"),
    ("I", "strict_mode\nhigher_prio_send_advert off",
     "answer_higher: false"),
    ("I", "down_timer_adverts 5",
     "down_adverts: 5"),
    ("I", "nopreempt\ntimer_expired_backup",
     "preempt: Never yield_after_stall: true"),
    ("I", "no_accept",
     "accept: false"),
    ("I", "skip_check_adv_addr",
     "address_list: Skip"),
    ("I", "priority 255\nowner_ignore_adverts",
     "255 owner_ignores: true"),
    ("I", "use_vmac",
     "\"vrrp.1\"|Macvlan { mac: MacAddress( [ 94 0 1 1|sends_on_base: false"),
    ("I", "use_vmac vmac9 02:00:00:00:00:09\nvmac_xmit_base",
     "\"vmac9\"|MacAddress( [ 2 0 0 9|sends_on_base: true"),
    ("I", "use_ipvlan ipv9 192.0.2.77/24 private",
     "\"ipv9\"|192.0.2.77/24|reach: Private"),
    ("I", "version 3\nv3_checksum_as_v2",
     "checksum: Plain"),
    ("I", "kernel_rx_buf_size 100000",
     "receive_buffer: Some( 100000 )"),
];
