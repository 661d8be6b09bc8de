//! `global_defs`, `SSL`, and the settings outside any block.

use std::path::PathBuf;
use std::time::Duration;

use crate::ast::{Block, Value};
use crate::config::{
    FlushOnStop, Globals, NotifyFifo, ProcessNames, Script, SmtpLogin, SmtpServer, SmtpTls,
    TlsContext,
};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;
use crate::report::Report;
use crate::source::Span;
use crate::tree::Word;

/// Globals, and what others inherit from them.
pub(super) struct Resolved {
    pub(super) globals: Globals,
    pub(super) alerts: Alerts,
}

/// Defaults of `smtp_alert`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Alerts {
    /// `smtp_alert_checker`, else `smtp_alert`.
    pub(super) checker: Option<bool>,
    /// `smtp_alert_vrrp`, else `smtp_alert`.
    pub(super) vrrp: Option<bool>,
}

/// A mail server that gets no time at all.
fn no_patience(block: &Block, report: &mut Report<'_>) {
    let keyword = "smtp_connect_timeout";
    let setting = block.setting(keyword);
    if let (Some(setting), Some(Duration::ZERO)) = (setting, block.time(keyword)) {
        let message = format!("`{keyword} 0` becomes 1");
        let diagnostic = report.warning(Code::OutOfRange, setting.span, message);
        report.push(diagnostic.help("the least is one second"));
    }
}

/// Everything in `global_defs`; several blocks count as one.
pub(super) fn globals(root: &Block, report: &mut Report<'_>) -> Resolved {
    let block = merged(root, BlockKind::GlobalDefs);
    no_patience(&block, report);
    let source = report.text();
    let text = |word: Word| word.value(source).into_owned();
    let word = |keyword: &str| block.word(keyword).map(text);
    let flag = |keyword: &str| block.flag(keyword);
    let on = |keyword: &str| block.bool(keyword).unwrap_or(false);
    let usual = Globals::default();
    let script = |keyword: &str| block.script(keyword).cloned();
    let time = |keyword: &str, usual: Duration| block.time(keyword).unwrap_or(usual);
    let lists = block
        .all("notification_email")
        .filter_map(|setting| match &setting.value {
            Some(Value::Words(words)) => Some(words),
            _ => None,
        });
    let globals = Globals {
        router_id: word("router_id"),
        instance: root.word("instance").map(text),
        net_namespace: root.word("net_namespace").map(text),
        use_pid_dir: root.flag("use_pid_dir"),
        process_names: process_names(&block, &text),
        child_wait_time: root
            .time("child_wait_time")
            .unwrap_or(usual.child_wait_time),
        notification_email: lists.flatten().copied().map(text).collect(),
        notification_email_from: word("notification_email_from"),
        smtp_server: smtp_server(&block, report, &text),
        smtp_helo_name: word("smtp_helo_name"),
        smtp_connect_timeout: time("smtp_connect_timeout", usual.smtp_connect_timeout)
            .max(Duration::from_secs(1)),
        checker_log_all_failures: on("checker_log_all_failures"),
        lvs_timeouts: match block.value("lvs_timeouts") {
            Some(Value::LvsTimeouts(timeouts)) => **timeouts,
            _ => usual.lvs_timeouts,
        },
        lvs_flush: flag("lvs_flush"),
        lvs_flush_on_stop: match last(&block, &["lvs_flush_on_stop", "lvs_flush_onstop"]) {
            Some(Value::Choice(_)) => FlushOnStop::OwnServices,
            Some(_) => FlushOnStop::All,
            None => FlushOnStop::No,
        },
        lvs_sync_daemon: match block.value("lvs_sync_daemon") {
            Some(Value::SyncDaemon(daemon)) => Some((**daemon).clone()),
            _ => None,
        },
        rs_init_notifies: on("rs_init_notifies"),
        no_checker_emails: on("no_checker_emails"),
        script_user: match block.value("script_user") {
            Some(Value::User(user)) => Some((**user).clone()),
            _ => None,
        },
        script_security: flag("enable_script_security"),
        startup_script: script("startup_script"),
        startup_script_timeout: time("startup_script_timeout", usual.startup_script_timeout),
        shutdown_script: script("shutdown_script"),
        shutdown_script_timeout: time("shutdown_script_timeout", usual.shutdown_script_timeout),
        notify_fifo: fifo(&block, "notify_fifo", script("notify_fifo_script"), &text),
        lvs_notify_fifo: fifo(
            &block,
            "lvs_notify_fifo",
            script("lvs_notify_fifo_script"),
            &text,
        ),
        vrrp_notify_fifo: fifo(
            &block,
            "vrrp_notify_fifo",
            script("vrrp_notify_fifo_script"),
            &text,
        ),
        checker_priority: block
            .int("checker_priority")
            .and_then(|nice| i32::try_from(nice).ok())
            .unwrap_or(usual.checker_priority),
        checker_rt_priority: block
            .int("checker_rt_priority")
            .and_then(|priority| u8::try_from(priority).ok()),
        checker_no_swap: flag("checker_no_swap"),
        checker_cpu_affinity: match block.value("checker_cpu_affinity") {
            Some(Value::Words(cpus)) => {
                let cpus = cpus.iter().map(|cpu| text(*cpu));
                cpus.filter_map(|cpu| cpu.parse().ok()).collect()
            }
            _ => Vec::new(),
        },
        checker_rlimit_rttime: match last(
            &block,
            &["checker_rlimit_rttime", "checker_rlimit_rtime"],
        ) {
            Some(Value::Int(micros)) => Some(Duration::from_micros(micros.unsigned_abs())),
            _ => None,
        },
        data_use_instance: on("data_use_instance"),
        state_dump_file: word("state_dump_file").map(PathBuf::from),
        umask: block.u32("umask"),
        reload_check_config: block.value("reload_check_config").map(|_| {
            word("reload_check_config")
                .map(PathBuf::from)
                .unwrap_or_default()
        }),
    };
    let alert = |keyword: &str| block.bool(keyword).or_else(|| block.bool("smtp_alert"));
    let checker = alert("smtp_alert_checker");
    let vrrp = alert("smtp_alert_vrrp");
    Resolved {
        globals,
        alerts: Alerts { checker, vrrp },
    }
}

fn process_names(block: &Block, text: &impl Fn(Word) -> String) -> ProcessNames {
    let name = |keywords: &[&str], usual: &str| match last(block, keywords) {
        Some(Value::Word(word)) => Some(text(*word)),
        _ => block.flag("process_names").then(|| usual.to_owned()),
    };
    ProcessNames {
        parent: name(&["process_name"], "keepalived"),
        vrrp: name(&["vrrp_process_name"], "keepalived_vrrp"),
        checker: name(
            &["checker_process_name", "lvs_process_name"],
            "keepalived_ipvs",
        ),
    }
}

fn smtp_server(
    block: &Block,
    report: &mut Report<'_>,
    text: &impl Fn(Word) -> String,
) -> Option<SmtpServer> {
    let Some(Value::HostPort(host, port)) = block.value("smtp_server") else {
        return None;
    };
    let (tls, usual_port) = match block.value("smtp_tls") {
        Some(Value::Choice("starttls")) => (SmtpTls::StartTls, 25),
        Some(Value::Choice("implicit")) => (SmtpTls::Implicit, 465),
        _ => (SmtpTls::Off, 25),
    };
    let mut login = match block.value("smtp_login") {
        Some(Value::Words(words)) => words.first().zip(words.get(1)),
        _ => None,
    };
    if let (Some(setting), Some(_), SmtpTls::Off) = (block.setting("smtp_login"), login, tls) {
        let message = "`smtp_login` is not used without `smtp_tls`: everybody on the way could \
                       read the password";
        let found = report.warning(Code::AuthenticationDropped, setting.span, message);
        report.push(found.help("write `smtp_tls starttls` or `smtp_tls implicit`"));
        login = None;
    }
    Some(SmtpServer {
        host: text(*host),
        port: port.unwrap_or(usual_port),
        tls,
        ca: block.word("smtp_tls_ca").map(text).map(PathBuf::from),
        login: login.map(|(user, password)| SmtpLogin {
            user: text(*user),
            password: text(*password),
        }),
    })
}

/// The `SSL` block.
pub(super) fn tls(root: &Block, report: &Report<'_>) -> Option<TlsContext> {
    root.children(BlockKind::Ssl).next()?;
    let block = merged(root, BlockKind::Ssl);
    let text = |word: Word| word.value(report.text()).into_owned();
    let path = |keyword: &str| block.word(keyword).map(text).map(PathBuf::from);
    Some(TlsContext {
        password: block.word("password").map(text),
        ca: path("ca"),
        certificate: path("certificate"),
        key: path("key"),
    })
}

fn fifo(
    block: &Block,
    keyword: &str,
    script: Option<Script>,
    text: &impl Fn(Word) -> String,
) -> Option<NotifyFifo> {
    match block.value(keyword) {
        Some(Value::Fifo(path, owner)) => {
            let owner = owner.as_deref().cloned();
            Some(NotifyFifo {
                path: text(*path).into(),
                owner,
                script,
            })
        }
        _ => None,
    }
}

/// The value of the last of several keywords that mean the same.
pub(super) fn last<'a>(block: &'a Block, keywords: &[&str]) -> Option<&'a Value> {
    let mut settings = block.settings.iter().rev();
    settings.find_map(|setting| match keywords.contains(&setting.keyword.name) {
        true => setting.value.as_ref(),
        false => None,
    })
}

/// All blocks of a kind as one.
pub(super) fn merged(root: &Block, kind: BlockKind) -> Block {
    let mut settings = Vec::new();
    for block in root.children(kind) {
        settings.extend(block.settings.iter().cloned());
    }
    Block {
        kind,
        head: Span::default(),
        name: Some(Value::None),
        settings,
        blocks: Vec::new(),
        misspelt: Vec::new(),
    }
}
