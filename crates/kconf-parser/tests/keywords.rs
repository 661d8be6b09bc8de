//! Every keyword of keepalived is known in its block.

use kconf_parser::keyword::{BlockKind, EntryKind, Shape};
use kconf_parser::{MemoryLoader, Options, analyze};

/// The block that a path of names leads to.
fn block(path: &str) -> Option<BlockKind> {
    if path == "top" {
        return Some(BlockKind::Root);
    }
    path.split('.').try_fold(BlockKind::Root, |kind, name| {
        kind.keyword(name)?.shape.block_kind()
    })
}

fn entry(name: &str) -> Option<EntryKind> {
    Some(match name {
        "address entry" => EntryKind::StaticAddress,
        "route entry" => EntryKind::Route,
        "rule entry" => EntryKind::Rule,
        "track entry" => EntryKind::Track,
        "peer entry" => EntryKind::Peer,
        _ => return None,
    })
}

#[test]
fn every_keyword_is_known_in_its_block() {
    let (mut place, mut known, mut unknown) = ("", 0, Vec::new());
    for line in include_str!("keywords.txt").lines().skip(1) {
        if let Some(name) = line.strip_prefix('[') {
            place = name.trim_end_matches(']');
            continue;
        }
        for keyword in line.split(' ') {
            let found = match (entry(place), place) {
                (Some(entry), _) => entry.option(keyword).is_some(),
                // Marks of a group are read by hand.
                (None, "virtual_server_group") => keyword == "fwmark",
                (None, place) => block(place).is_some_and(|kind| kind.keyword(keyword).is_some()),
            };
            match found {
                true => known += 1,
                false => unknown.push((place, keyword)),
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(known > 600, "{known} keywords are far from all");
}

#[test]
fn every_keyword_has_a_sentence_and_a_shape() {
    for kind in BlockKind::ALL {
        for keyword in kind.keywords() {
            assert!(!keyword.doc.is_empty(), "{}", keyword.name);
            let renamed = keyword.renamed.is_none_or(|new| new != keyword.name);
            assert!(renamed, "{} is renamed to itself", keyword.name);
            if let Shape::Int { min, max } | Shape::Decimal { min, max } = keyword.shape {
                assert!(min < max, "{}", keyword.name);
            }
        }
    }
}

/// Words that work before keywords are looked up.
#[test]
fn every_directive_works() {
    let text = "$A=10.0.0.1\n\
        ~SEQ(i,2) $V${i}=x\n\
        global_defs {\n\
        router_id ${_INSTANCE}${_HASH}${_BANG}\n\
        notification_email {\n~LST(n,a,b) ${n}@example.com\n~SEQx(h,9,11) $h@example.com\n}\n\
        smtp_helo_name ${_ENV NAME}\n\
        snmp_socket ${_PWD}${_RANDOM 5 5}\n\
        @here smtp_server ${A}\n\
        @^here smtp_server 10.9.9.9\n\
        include_check readable\n\
        umask 077 # a comment\n}\n\
        include part.conf\nincluder part.conf\nincludem part.conf\nincludew part.conf\n\
        includeb part.conf\nincludea part.conf\n";
    let loader = MemoryLoader::default()
        .with("/etc/k.conf", text)
        .with("/etc/part.conf", "use_pid_dir\n");
    let options = Options {
        config_id: "here".into(),
        environment: [("NAME".to_owned(), "helo".to_owned())].into(),
        ..Options::default()
    };
    let analysis = analyze("/etc/k.conf".as_ref(), &options, &loader);
    assert!(!analysis.has_errors(), "{:?}", analysis.diagnostics);
    let globals = &analysis.config.globals;
    assert_eq!(globals.router_id.as_deref(), Some("here#!"));
    assert_eq!(
        globals.notification_email,
        [
            "a@example.com",
            "b@example.com",
            "9@example.com",
            "a@example.com",
            "b@example.com"
        ]
    );
    assert_eq!(globals.smtp_helo_name.as_deref(), Some("helo"));
    assert_eq!(globals.smtp_server.as_ref().unwrap().host, "10.0.0.1");
    assert!(globals.use_pid_dir);
}
