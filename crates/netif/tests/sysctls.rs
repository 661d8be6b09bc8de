//! Settings of interfaces, in a network namespace.

use lvs_testkit::netns::Namespace;
use netif::LinkName;
use netif::sysctl::{Knob, Sysctl, Sysctls, Undone};

#[test]
fn changes_are_taken_back_exactly() {
    let Some(host) = Namespace::new() else {
        return;
    };
    // A dot in the name must not become a folder.
    host.ip("link add eth0.5 type veth peer name other");
    let name: LinkName = "eth0.5".parse().unwrap();
    host.run(|| {
        let ignore = Sysctl::of(&name, Knob::ArpIgnore);
        let announce = Sysctl::of(&name, Knob::ArpAnnounce);
        let filter = Sysctl::of(&name, Knob::ArpFilter);
        let local = Sysctl::of(&name, Knob::AcceptLocal);
        let sixth = Sysctl::of(&name, Knob::DisableIpv6);
        local.write(1).unwrap();
        assert_eq!(ignore.read().unwrap(), 0);
        let mut sysctls = Sysctls::new();
        sysctls.set(ignore.clone(), 2).unwrap();
        sysctls.set(ignore.clone(), 1).unwrap();
        sysctls.set(announce.clone(), 2).unwrap();
        sysctls.set(filter.clone(), 1).unwrap();
        sysctls.set(local.clone(), 1).unwrap();
        sysctls.set(sixth.clone(), 1).unwrap();
        assert_eq!((ignore.read().unwrap(), announce.read().unwrap()), (1, 2));
        assert_eq!(sysctls.changed().len(), 4, "{sysctls:?}");
        assert_eq!(sysctls.changed()[0].before, 0);

        // Somebody else has an opinion of his own.
        announce.write(1).unwrap();
        let undone = sysctls.undo();
        assert!(sysctls.changed().is_empty());
        for (change, outcome) in undone {
            match outcome {
                Undone::Restored => assert_ne!(change.sysctl, announce),
                Undone::Overridden { found: 1 } => assert_eq!(change.sysctl, announce),
                other => panic!("{change:?}: {other:?}"),
            }
        }
        let left = [&ignore, &announce, &filter, &local, &sixth];
        let left = left.map(|sysctl| sysctl.read().unwrap());
        assert_eq!(left, [0, 1, 0, 1, 0]);
    });
}

#[test]
fn what_fails_says_which() {
    let Some(host) = Namespace::new() else {
        return;
    };
    host.run(|| {
        let nowhere = Sysctl::of(&"nowhere".parse().unwrap(), Knob::RpFilter);
        let error = nowhere.read().unwrap_err().to_string();
        assert!(
            error.contains("read net.ipv4.conf.nowhere.rp_filter"),
            "{error}"
        );
        assert!(Sysctls::new().set(nowhere, 1).is_err());
    });
}

#[test]
fn each_thread_sees_its_own_namespace() {
    let (Some(one), Some(two)) = (Namespace::new(), Namespace::new()) else {
        return;
    };
    let announce = Sysctl::of_all(Knob::ArpAnnounce);
    one.run(|| announce.write(2).unwrap());
    assert_eq!(two.run(|| announce.read().unwrap()), 0);
    assert_eq!(one.run(|| announce.read().unwrap()), 2);
}

#[test]
fn some_count_for_a_whole_namespace() {
    let Some(host) = Namespace::new() else {
        return;
    };
    host.run(|| {
        let reports = Sysctl::of_namespace(Knob::IgmpLinkLocalReports);
        assert_eq!(
            reports.to_string(),
            "net.ipv4.igmp_link_local_mcast_reports"
        );
        assert_eq!(reports.read().unwrap(), 1);
        let mut sysctls = Sysctls::new();
        sysctls.set(reports.clone(), 0).unwrap();
        assert_eq!(reports.read().unwrap(), 0);
        sysctls.undo();
        assert_eq!(reports.read().unwrap(), 1);
    });
}
