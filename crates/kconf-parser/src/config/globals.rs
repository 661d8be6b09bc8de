//! `global_defs`, and what stands outside any block.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of the whole daemon. Source: keepalived.conf(5), "Global definitions".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Globals {
    /// Name of this node in mail subjects. Default: none, the host name is used. `router_id`.
    pub router_id: Option<String>,
    /// Name of this instance, for pid files and log tags. Default: none. `instance`.
    pub instance: Option<String>,
    /// Network namespace to run in. Default: none, the current one. `net_namespace`.
    pub net_namespace: Option<String>,
    /// Whether pid files go to their own directory. Default: off. `use_pid_dir`.
    pub use_pid_dir: bool,
    /// What the processes call themselves. Default: nothing is said. `process_names`.
    pub process_names: ProcessNames,
    /// How long the parent waits for its children at stop before it kills them.
    ///
    /// Default: 5 s. `child_wait_time`.
    pub child_wait_time: Duration,
    /// Who gets alert mails. Default: nobody, no mail is sent. `notification_email`.
    pub notification_email: Vec<String>,
    /// Sender of alert mails. Default: none, user@host is used. `notification_email_from`.
    pub notification_email_from: Option<String>,
    /// The mail relay. Default: none. `smtp_server`.
    pub smtp_server: Option<SmtpServer>,
    /// Name sent in HELO. Default: none, the host name is used. `smtp_helo_name`.
    pub smtp_helo_name: Option<String>,
    /// Time limit of the connection to the mail relay. Default: 30 s. `smtp_connect_timeout`.
    pub smtp_connect_timeout: Duration,
    /// Whether every failed try of a check is logged, not only the deciding one.
    ///
    /// Default: off. Already copied into every [`Check`](super::Check).
    /// `checker_log_all_failures`.
    pub checker_log_all_failures: bool,
    /// Connection timeouts of IPVS. Default: left as they are. `lvs_timeouts`.
    pub lvs_timeouts: LvsTimeouts,
    /// Whether the IPVS table is emptied at start. Default: off. `lvs_flush`.
    pub lvs_flush: bool,
    /// What is deleted from the IPVS table at stop. Default: what we added, entry by entry.
    /// `lvs_flush_on_stop`.
    pub lvs_flush_on_stop: FlushOnStop,
    /// The IPVS connection synchronisation daemon. Default: none. `lvs_sync_daemon`.
    pub lvs_sync_daemon: Option<SyncDaemon>,
    /// Whether `notify_up` runs for real servers at start. Default: off. `rs_init_notifies`.
    pub rs_init_notifies: bool,
    /// Whether mails are sent only when a real server itself changes state, not when one of several
    /// checks does.
    ///
    /// Default: off. `no_checker_emails`.
    pub no_checker_emails: bool,
    /// Who runs scripts that name no user of their own.
    ///
    /// Default: none, which means `keepalived_script` if that user exists, else root.
    /// `script_user`.
    pub script_user: Option<ScriptUser>,
    /// Whether scripts run by root are refused when others could change them.
    ///
    /// Default: off. `enable_script_security`.
    pub script_security: bool,
    /// Command run once before anything starts. Default: none. `startup_script`.
    pub startup_script: Option<Script>,
    /// Time limit of [`Self::startup_script`]. Range 1..=1000 s, default 10 s.
    pub startup_script_timeout: Duration,
    /// Command run once after everything stopped. Default: none. `shutdown_script`.
    pub shutdown_script: Option<Script>,
    /// Time limit of [`Self::shutdown_script`]. Range 1..=1000 s, default 10 s.
    pub shutdown_script_timeout: Duration,
    /// Named pipe that receives all events. Default: none. `notify_fifo`.
    pub notify_fifo: Option<NotifyFifo>,
    /// Named pipe that receives the events of virtual and real servers. Default: none.
    /// `lvs_notify_fifo`.
    pub lvs_notify_fifo: Option<NotifyFifo>,
    /// Named pipe that receives the events of VRRP. Default: none. `vrrp_notify_fifo`.
    pub vrrp_notify_fifo: Option<NotifyFifo>,
    /// Nice value of the checker process. Range -20..=19, default 0. `checker_priority`.
    pub checker_priority: i32,
    /// Real-time priority of the checker process. Range 1..=99, default: none (not real-time).
    /// `checker_rt_priority`.
    pub checker_rt_priority: Option<u8>,
    /// Whether the memory of the checker process is locked. Default: off. `checker_no_swap`.
    pub checker_no_swap: bool,
    /// Processors that the checker may run on. Default: all. `checker_cpu_affinity`.
    pub checker_cpu_affinity: Vec<u32>,
    /// Longest run of the checker without a pause at real-time priority. Default: none is said;
    /// keepalived takes 10 ms. `checker_rlimit_rttime`.
    pub checker_rlimit_rttime: Option<Duration>,
    /// Whether the names of `.data` files have the instance in them. Default: off.
    /// `data_use_instance`.
    pub data_use_instance: bool,
    /// Where `.data` files go: a folder, if it ends in `/`, or the file of the VRRP process, from whose
    /// name those of the others are made. Default: none, usual names in the folder for temporary
    /// files. `state_dump_file`.
    pub state_dump_file: Option<PathBuf>,
    /// Umask of created files. Default: none, 0177 is used; the command line wins. `umask`.
    pub umask: Option<u32>,
    /// Whether a reload tests the new configuration first, and the file that gets the messages.
    ///
    /// Default: none. A bare `reload_check_config` is an empty path: no file. The director
    /// always tests first, so this only matters for the log file. `reload_check_config`.
    pub reload_check_config: Option<PathBuf>,
}

impl Default for Globals {
    fn default() -> Self {
        Self {
            router_id: None,
            instance: None,
            net_namespace: None,
            use_pid_dir: false,
            process_names: ProcessNames::default(),
            child_wait_time: Duration::from_secs(5),
            notification_email: Vec::new(),
            notification_email_from: None,
            smtp_server: None,
            smtp_helo_name: None,
            smtp_connect_timeout: Duration::from_secs(30),
            checker_log_all_failures: false,
            lvs_timeouts: LvsTimeouts::default(),
            lvs_flush: false,
            lvs_flush_on_stop: FlushOnStop::default(),
            lvs_sync_daemon: None,
            rs_init_notifies: false,
            no_checker_emails: false,
            script_user: None,
            script_security: false,
            startup_script: None,
            startup_script_timeout: Duration::from_secs(10),
            shutdown_script: None,
            shutdown_script_timeout: Duration::from_secs(10),
            notify_fifo: None,
            lvs_notify_fifo: None,
            vrrp_notify_fifo: None,
            checker_priority: 0,
            checker_rt_priority: None,
            checker_no_swap: false,
            checker_cpu_affinity: Vec::new(),
            checker_rlimit_rttime: None,
            data_use_instance: false,
            state_dump_file: None,
            umask: None,
            reload_check_config: None,
        }
    }
}

/// Names of processes, as ps(1) shows them. `None` leaves the usual one.
///
/// Source: keepalived.conf(5) `process_names`, `process_name`, `vrrp_process_name`,
/// `checker_process_name`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessNames {
    /// The parent; `keepalived` with a bare `process_names`.
    pub parent: Option<String>,
    /// The VRRP process; `keepalived_vrrp`.
    pub vrrp: Option<String>,
    /// The checker; `keepalived_ipvs`.
    pub checker: Option<String>,
}

/// Where alert mails are handed in. Source: keepalived.conf(5) `smtp_server`; TLS and login are
/// additions of lvskit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmtpServer {
    /// Host name or address, as written.
    pub host: String,
    /// TCP port. Default 25, or 465 with [`SmtpTls::Implicit`].
    pub port: u16,
    /// Whether mails go over TLS. Default: they do not. `smtp_tls`.
    pub tls: SmtpTls,
    /// File with certificates of authorities. Default: none, those of the system. `smtp_tls_ca`.
    pub ca: Option<PathBuf>,
    /// Who we are to the relay. Default: nobody in particular. Never without TLS. `smtp_login`.
    pub login: Option<SmtpLogin>,
}

/// How mails go over TLS. With it, the certificate must be one for the host of the relay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SmtpTls {
    /// Not at all, as in keepalived.
    #[default]
    Off,
    /// After a greeting in clear; a relay that cannot gets no mail. Source: RFC 3207.
    StartTls,
    /// From the first byte on. Source: RFC 8314.
    Implicit,
}

/// A user of the mail relay. Source: RFC 4954.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmtpLogin {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Passwords are not for logs.
impl std::fmt::Debug for SmtpLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("SmtpLogin");
        shown.field("user", &self.user).finish_non_exhaustive()
    }
}

/// IPVS connection timeouts; `None` leaves a value as it is.
///
/// Range 0..=2678400 s each. Source: keepalived.conf(5) `lvs_timeouts`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LvsTimeouts {
    /// Established TCP connections.
    pub tcp: Option<Duration>,
    /// TCP connections after a FIN.
    pub tcp_fin: Option<Duration>,
    /// UDP flows.
    pub udp: Option<Duration>,
}

/// What is deleted from the IPVS table at stop. Source: keepalived.conf(5) `lvs_flush_on_stop`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FlushOnStop {
    /// Our real servers, then our services, one by one. The default.
    #[default]
    No,
    /// Our services at once, each with all its destinations (`lvs_flush_on_stop VS`).
    OwnServices,
    /// The whole table, other people's entries included (bare `lvs_flush_on_stop`).
    All,
}

/// The IPVS connection synchronisation daemon. Source: keepalived.conf(5) `lvs_sync_daemon`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncDaemon {
    /// Interface that carries the messages.
    pub interface: String,
    /// VRRP instance whose state decides between sending and receiving. Default: none, both.
    /// `lvs_sync_daemon_interface` of an instance means that instance.
    pub instance: Option<String>,
    /// Synchronisation id. Default: the VRID of the instance; `None` without one, 0.
    pub sync_id: Option<u8>,
    /// Longest packet, in bytes. Range 1..=65507, default: none, the kernel's.
    pub max_len: Option<u16>,
    /// UDP port. Default: none, 8848.
    pub port: Option<u16>,
    /// TTL of sent packets. Default: none, 1.
    pub ttl: Option<u8>,
    /// Multicast group. Default: none, 224.0.0.81.
    pub group: Option<IpAddr>,
}

/// A named pipe for events and the command that is started to read it.
///
/// Source: keepalived.conf(5) `notify_fifo`, `notify_fifo_script`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyFifo {
    /// Path of the pipe.
    pub path: PathBuf,
    /// Owner of the pipe. Default: none, `script_user`.
    pub owner: Option<ScriptUser>,
    /// Command that reads the pipe; it gets the path as its last argument. Default: none.
    pub script: Option<Script>,
}

/// A command of a script keyword, split into arguments.
///
/// Source: keepalived.conf(5), "scripts".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Program and arguments. Never empty.
    pub argv: Vec<String>,
    /// Who runs it. Default: none, [`Globals::script_user`].
    pub user: Option<ScriptUser>,
}

/// A user and group by name or number. Source: keepalived.conf(5) `script_user`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptUser {
    /// User name or number.
    pub user: String,
    /// Group name or number. Default: none, the user's own group.
    pub group: Option<String>,
}

/// Client side TLS files. Source: keepalived.conf(5) `SSL`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsContext {
    /// Pass phrase of the private key. Default: none.
    pub password: Option<String>,
    /// File with certificates of authorities. Default: none.
    pub ca: Option<PathBuf>,
    /// File with our certificate. Default: none.
    pub certificate: Option<PathBuf>,
    /// File with our private key. Default: none.
    pub key: Option<PathBuf>,
}
