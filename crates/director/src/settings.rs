//! What a dataplane is set to beside its table: timeouts and sync daemons.
//!
//! # Design
//! As with the table, what is wished is compared with what is there, and only what differs is changed;
//! so a start, a reload, a crash and somebody else's hand are one case. [`plan`] is pure. What we
//! change is in the [`Record`] with what was there before, so nothing wished means that all is put
//! back. Daemons that others started are left alone, unless one of ours needs their place.

use ipvs_netlink::{
    Client, Command, DaemonRole, IpvsError, Name, SyncDaemon, Timeouts, TimeoutsUpdate, Transport,
};
use kconf_parser::config::{self, Globals};
use tracing::{info, warn};

use crate::record::{Record, RecordFile};

/// The kernel lets a backup take messages of at least this size, whatever it is told.
const SHORTEST_BACKUP: u16 = 1024;

/// What is wished. By default nothing: all is as it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The timeouts that are to be changed.
    pub timeouts: TimeoutsUpdate,
    /// The daemons that are to run, at most one of each role.
    pub daemons: Vec<SyncDaemon>,
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// All timeouts.
    pub timeouts: Timeouts,
    /// The daemons that run.
    pub daemons: Vec<SyncDaemon>,
}

impl Settings {
    /// What `globals` ask for.
    ///
    /// A sync daemon without an instance is wished in both roles. With one, the instance decides:
    /// it sends while the instance is among `masters`, and receives otherwise. Source:
    /// keepalived.conf(5) `lvs_sync_daemon`, `lvs_timeouts`.
    #[must_use]
    pub fn of(globals: &Globals, masters: &[vrrp_proto::Name]) -> Self {
        let given = |time: Option<std::time::Duration>| time.filter(|time| !time.is_zero());
        Self {
            timeouts: TimeoutsUpdate {
                tcp: given(globals.lvs_timeouts.tcp),
                tcp_fin: given(globals.lvs_timeouts.tcp_fin),
                udp: given(globals.lvs_timeouts.udp),
            },
            daemons: globals
                .lvs_sync_daemon
                .as_ref()
                .map_or_else(Vec::new, |asked| {
                    let is_master = |name: &str| masters.iter().any(|it| it.as_str() == name);
                    let roles: &[DaemonRole] = match &asked.instance {
                        None => &[DaemonRole::Master, DaemonRole::Backup],
                        Some(instance) if is_master(instance) => &[DaemonRole::Master],
                        Some(_) => &[DaemonRole::Backup],
                    };
                    roles.iter().map(|role| daemon(asked, *role)).collect()
                }),
        }
    }

    /// Whether there is nothing to look after.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn daemon(asked: &config::SyncDaemon, role: DaemonRole) -> SyncDaemon {
    SyncDaemon {
        role,
        // Names of interfaces are short; one that is not would be refused by the kernel.
        interface: Name::try_new(&asked.interface).unwrap_or_default(),
        sync_id: asked.sync_id.unwrap_or(0),
        max_length: asked.max_len,
        group: asked.group,
        port: asked.port,
        ttl: asked.ttl,
    }
}

/// The commands that make of `found` what is `wished`, and what is to be recorded when they are done.
#[must_use]
pub fn plan(wished: &Settings, found: &Found, record: &Record) -> (Vec<Command>, Record) {
    let mut commands = Vec::new();
    let mut after = record.clone();

    let before = record.timeouts_before.unwrap_or(found.timeouts);
    let target = before.updated(&wished.timeouts);
    if target != found.timeouts {
        commands.push(Command::SetTimeouts(TimeoutsUpdate {
            tcp: Some(target.tcp),
            tcp_fin: Some(target.tcp_fin),
            udp: Some(target.udp),
        }));
    }
    after.timeouts_before = (wished.timeouts != TimeoutsUpdate::default()).then_some(before);

    let of_role = |all: &[SyncDaemon], role| all.iter().find(|one| one.role == role).cloned();
    for role in [DaemonRole::Master, DaemonRole::Backup] {
        let wish = of_role(&wished.daemons, role);
        match (&wish, of_role(&found.daemons, role)) {
            (Some(wish), Some(running)) if runs_as(wish, &running) => {}
            (Some(wish), running) => {
                commands.extend(running.map(|_| Command::StopDaemon(role)));
                commands.push(Command::StartDaemon(wish.clone()));
            }
            (None, Some(_)) if record.daemons.contains(&role) => {
                commands.push(Command::StopDaemon(role));
            }
            (None, _) => {}
        }
        match wish {
            Some(_) => after.daemons.insert(role),
            None => after.daemons.remove(&role),
        };
    }
    (commands, after)
}

/// Whether a running daemon does what is wished; what is left open may be anything.
fn runs_as(wished: &SyncDaemon, running: &SyncDaemon) -> bool {
    let length = wished.max_length.map(|length| match wished.role {
        DaemonRole::Master => length,
        DaemonRole::Backup => length.max(SHORTEST_BACKUP),
    });
    let group = wished
        .group
        .is_none_or(|group| running.group == Some(group));
    wished.interface == running.interface
        && wished.sync_id == running.sync_id
        && (length.is_none() || length == running.max_length)
        && group
        && (wished.port.is_none() || wished.port == running.port)
        && (wished.ttl.is_none() || wished.ttl == running.ttl)
}

/// Keeps a dataplane set as it is wished, and says what it does.
#[derive(Debug, Default)]
pub struct Keeper {
    wished: Settings,
    /// Whether the wish has been fulfilled: what differs afterwards was changed by somebody else.
    is_done: bool,
    /// What was refused last time, so that it is told once.
    refused: Vec<String>,
}

impl Keeper {
    /// Takes another wish; [`Self::keep`] fulfils it.
    pub fn wish(&mut self, wished: Settings) {
        if wished != self.wished {
            self.wished = wished;
            self.is_done = false;
        }
    }

    /// Looks at what is there and changes what differs.
    ///
    /// # Errors
    ///
    /// When the dataplane does not answer. What it refuses is logged, and tried again next time.
    pub fn keep<T: Transport>(
        &mut self,
        client: &mut Client<T>,
        record: &mut RecordFile,
    ) -> Result<(), IpvsError> {
        let is_ours =
            record.record().timeouts_before.is_some() || !record.record().daemons.is_empty();
        if self.wished.is_empty() && !is_ours {
            self.is_done = true;
            return Ok(());
        }
        let found = Found {
            timeouts: client.timeouts()?,
            daemons: client.daemons()?,
        };
        let (commands, after) = plan(&self.wished, &found, record.record());
        record.update(|record| {
            record.timeouts_before = record.timeouts_before.or(after.timeouts_before);
            record.daemons.extend(&after.daemons);
        });
        let failures = match commands.is_empty() {
            true => Vec::new(),
            false => client.apply(&commands)?,
        };
        record.update(|record| {
            record.timeouts_before = after.timeouts_before;
            record.daemons.clone_from(&after.daemons);
        });
        let refused: Vec<String> = failures
            .iter()
            .map(|failure| {
                format!(
                    "{} - {}",
                    subject(&commands, failure.index),
                    failure.refused
                )
            })
            .collect();
        for refused in refused
            .iter()
            .filter(|refused| !self.refused.contains(refused))
        {
            warn!("The dataplane refuses {refused} - trying again");
        }
        if self.is_done {
            for command in &commands {
                warn!("{}", put_back(command));
            }
        } else if refused.is_empty() && !self.refused.is_empty() {
            info!("The dataplane takes what it refused before");
        }
        self.is_done = refused.is_empty();
        self.refused = refused;
        Ok(())
    }
}

fn subject(commands: &[Command], index: usize) -> String {
    match commands.get(index) {
        Some(Command::SetTimeouts(_)) => "lvs_timeouts".to_owned(),
        Some(Command::StartDaemon(daemon)) => {
            format!(
                "lvs_sync_daemon {} ({})",
                daemon.interface,
                role(daemon.role)
            )
        }
        Some(command) => format!("to {command}"),
        None => "a setting".to_owned(),
    }
}

fn put_back(command: &Command) -> String {
    match command {
        Command::SetTimeouts(_) => {
            "Timeouts were changed by somebody else - setting them back".to_owned()
        }
        Command::StopDaemon(of) => format!(
            "The {} sync daemon was changed by somebody else - stopping it",
            role(*of)
        ),
        Command::StartDaemon(daemon) => format!(
            "The {} sync daemon was stopped by somebody else - starting it again",
            role(daemon.role)
        ),
        command => format!("{command}: putting it right"),
    }
}

const fn role(role: DaemonRole) -> &'static str {
    match role {
        DaemonRole::Master => "master",
        DaemonRole::Backup => "backup",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use ipvs_netlink::{Dataplane, InProcess, Refusal, Table};

    use super::*;

    const INSTANCE: &str = "vrrp_instance web {\ninterface eth0\nvirtual_router_id 9\n\
                            priority 100\nvirtual_ipaddress {\n192.0.2.1\n}\n}\n";

    fn analyzed(text: &str) -> kconf_parser::Config {
        let files = kconf_parser::loader::MemoryLoader::default().with("/k.conf", text);
        let analysis = kconf_parser::analyze("/k.conf".as_ref(), &Default::default(), &files);
        assert!(!analysis.has_errors(), "{text}");
        analysis.config
    }

    fn globals(text: &str) -> Globals {
        analyzed(&format!("global_defs {{\n{text}\n}}\n")).globals
    }

    fn running(role: DaemonRole, sync_id: u8, max_length: u16) -> SyncDaemon {
        SyncDaemon {
            role,
            interface: "eth0".parse().unwrap(),
            sync_id,
            max_length: Some(max_length),
            group: Some([224, 0, 0, 81].into()),
            port: Some(8848),
            ttl: Some(1),
        }
    }

    fn found(daemons: Vec<SyncDaemon>) -> Found {
        Found {
            timeouts: Timeouts::default(),
            daemons,
        }
    }

    #[test]
    fn without_an_instance_both_daemons_run_and_with_one_that_of_its_state() {
        let both = Settings::of(&globals("lvs_sync_daemon eth0 id 7 port 9000 ttl 3"), &[]);
        let roles: Vec<_> = both.daemons.iter().map(|daemon| daemon.role).collect();
        assert_eq!(roles, [DaemonRole::Master, DaemonRole::Backup]);
        assert_eq!(
            (both.daemons[0].sync_id, both.daemons[1].port),
            (7, Some(9000))
        );
        let globals = |text: &str| {
            let text = format!("global_defs {{\n{text}\n}}\n{INSTANCE}");
            analyzed(&text).globals
        };
        let with_instance = globals("lvs_sync_daemon eth0 web");
        let one = |masters: &[&str]| {
            let masters: Vec<_> = masters.iter().map(|name| (*name).into()).collect();
            let daemons = Settings::of(&with_instance, &masters).daemons;
            daemons
                .iter()
                .map(|it| (it.role, it.sync_id))
                .collect::<Vec<_>>()
        };
        assert_eq!(one(&["other"]), [(DaemonRole::Backup, 9)]);
        assert_eq!(one(&["other", "web"]), [(DaemonRole::Master, 9)]);
        let old = "lvs_sync_daemon_interface eth1";
        let old = analyzed(&INSTANCE.replace("priority 100", old)).globals;
        let old = Settings::of(&old, &["web".into()]).daemons;
        assert_eq!((old[0].role, old[0].sync_id), (DaemonRole::Master, 9));
        assert_eq!(old[0].interface.to_string(), "eth1");
        // As keepalived: 0 leaves a timeout as it is.
        assert!(Settings::of(&globals("lvs_timeouts tcp 0"), &[]).is_empty());
    }

    #[test]
    fn timeouts_are_set_once_and_put_back_when_nothing_asks_for_them_any_more() {
        let wished = Settings::of(&globals("lvs_timeouts tcp 100 udp 33"), &[]);
        let (commands, record) = plan(&wished, &found(vec![]), &Record::default());
        let (tcp, udp) = (Duration::from_secs(100), Duration::from_secs(33));
        let tcp_fin = Timeouts::default().tcp_fin;
        let set = Timeouts { tcp, tcp_fin, udp };
        let command = |timeouts: Timeouts| {
            vec![Command::SetTimeouts(TimeoutsUpdate {
                tcp: Some(timeouts.tcp),
                tcp_fin: Some(timeouts.tcp_fin),
                udp: Some(timeouts.udp),
            })]
        };
        assert_eq!(commands, command(set));
        assert_eq!(record.timeouts_before, Some(Timeouts::default()));
        let now = Found {
            timeouts: set,
            daemons: vec![],
        };
        assert_eq!(plan(&wished, &now, &record), (vec![], record.clone()));
        // A reload that asks for less puts back the rest.
        let less = Settings::of(&globals("lvs_timeouts tcp 100"), &[]);
        let udp = Timeouts::default().udp;
        let (commands, record) = plan(&less, &now, &record);
        assert_eq!(commands, command(Timeouts { tcp, tcp_fin, udp }));
        let (commands, record) = plan(&Settings::default(), &now, &record);
        assert_eq!(commands, command(Timeouts::default()));
        assert_eq!(record, Record::default());
        // What nobody asked for is not touched.
        assert_eq!(plan(&Settings::default(), &now, &record).0, []);
    }

    #[test]
    fn a_daemon_that_runs_as_wished_is_adopted_and_another_one_replaced() {
        let wished = Settings::of(&globals("lvs_sync_daemon eth0 id 7 maxlen 1000"), &[]);
        // The kernel's minimum of a backup is no difference.
        let same = vec![
            running(DaemonRole::Master, 7, 1000),
            running(DaemonRole::Backup, 7, 1024),
        ];
        let (commands, record) = plan(&wished, &found(same.clone()), &Record::default());
        assert_eq!(commands, []);
        assert_eq!(record.daemons.len(), 2);
        let other = vec![running(DaemonRole::Master, 8, 1000), same[1].clone()];
        let (commands, _) = plan(&wished, &found(other), &Record::default());
        assert_eq!(
            commands,
            [
                Command::StopDaemon(DaemonRole::Master),
                Command::StartDaemon(wished.daemons[0].clone())
            ]
        );
        // Ours are stopped in the end, and those of others are not.
        let (commands, after) = plan(&Settings::default(), &found(same.clone()), &record);
        let stop = [DaemonRole::Master, DaemonRole::Backup].map(Command::StopDaemon);
        assert_eq!(commands, stop);
        assert_eq!(after, Record::default());
        let (commands, _) = plan(&Settings::default(), &found(same), &Record::default());
        assert_eq!(commands, []);
    }

    /// Refuses sync daemons while told to.
    struct NoDaemons(bool);

    impl Dataplane for NoDaemons {
        fn apply(&mut self, command: &Command) -> Result<(), Refusal> {
            match command {
                Command::StartDaemon(_) if self.0 => Err(Refusal::new(libc::ENODEV, "no eth0")),
                _ => Ok(()),
            }
        }
    }

    #[test]
    fn what_is_refused_is_tried_again_and_what_others_change_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = RecordFile::open(&folder.path().join("table.json"));
        let table = Arc::new(Mutex::new(Table::new(NoDaemons(true))));
        let mut client = Client::connect(InProcess::new(Arc::clone(&table))).unwrap();
        let mut keeper = Keeper::default();
        keeper.wish(Settings::of(
            &globals("lvs_timeouts udp 33\nlvs_sync_daemon eth0"),
            &[],
        ));
        keeper.keep(&mut client, &mut record).unwrap();
        assert_eq!(client.timeouts().unwrap().udp, Duration::from_secs(33));
        assert_eq!((keeper.refused.len(), keeper.is_done), (2, false));
        table.lock().unwrap().dataplane_mut().0 = false;
        keeper.keep(&mut client, &mut record).unwrap();
        assert_eq!(client.daemons().unwrap().len(), 2);
        assert!(keeper.is_done);
        client
            .execute(&Command::StopDaemon(DaemonRole::Backup))
            .unwrap();
        keeper.keep(&mut client, &mut record).unwrap();
        assert_eq!(client.daemons().unwrap().len(), 2);
        keeper.wish(Settings::default());
        keeper.keep(&mut client, &mut record).unwrap();
        assert_eq!(client.daemons().unwrap(), []);
        assert_eq!(client.timeouts().unwrap(), Timeouts::default());
        assert_eq!(*record.record(), Record::default());
    }
}
