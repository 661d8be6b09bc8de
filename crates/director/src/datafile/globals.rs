//! The section `Global definitions`.

use std::fmt::{self, Display, Write as _};

use kconf_parser::Config;
use kconf_parser::config::{DynamicInterfaces, FlushOnStop, NotifyFifo, ScriptUser};

pub(super) fn text(config: &Config) -> String {
    let mut text = String::from("------< Global definitions >------\n");
    // Writing to a String cannot fail.
    let _ = daemon(&mut text, config);
    let _ = vrrp(&mut text, config);
    text
}

fn daemon(text: &mut String, config: &Config) -> fmt::Result {
    let globals = &config.globals;
    let mut line = |name: &str, value: &dyn Display| writeln!(text, " {name} = {value}");
    line(
        "Network namespace",
        &or(&globals.net_namespace, "(default)"),
    )?;
    if let Some(instance) = &globals.instance {
        line("Instance name", instance)?;
    }
    line("Router ID", &or(&globals.router_id, "(host name)"))?;
    if let Some(server) = &globals.smtp_server {
        line("Smtp server", &server.host)?;
        line("Smtp server port", &server.port)?;
        line(
            "Smtp server TLS",
            &format!("{:?}", server.tls).to_lowercase(),
        )?;
        if let Some(login) = &server.login {
            line("Smtp server user", &login.user)?;
        }
        line(
            "Smtp HELO name",
            &or(&globals.smtp_helo_name, "(host name)"),
        )?;
        let limit = globals.smtp_connect_timeout.as_secs();
        line("Smtp server connection timeout", &limit)?;
        let from = or(&globals.notification_email_from, "(user@host name)");
        line("Email notification from", &from)?;
    }
    for address in &globals.notification_email {
        line("Email notification to", address)?;
    }
    let is_loud = globals.checker_log_all_failures;
    line("Checkers log all failures", &is_loud)?;
    line("LVS flush", &globals.lvs_flush)?;
    let on_stop = match globals.lvs_flush_on_stop {
        FlushOnStop::No => "disabled",
        FlushOnStop::OwnServices => "VS",
        FlushOnStop::All => "full",
    };
    line("LVS flush on stop", &on_stop)?;
    let fifos = [
        ("Global", &globals.notify_fifo),
        ("LVS", &globals.lvs_notify_fifo),
        ("VRRP", &globals.vrrp_notify_fifo),
    ];
    for (name, fifo) in fifos {
        if let Some(fifo) = fifo {
            line(&format!("{name} notify fifo"), &described(fifo))?;
        }
    }
    let security = match globals.script_security {
        true => "enabled",
        false => "disabled",
    };
    line("Script security", &security)?;
    let user = globals.script_user.as_ref().map(name_of);
    line("Default script user", &or(&user, "(default)"))?;
    line("Checker process priority", &globals.checker_priority)?;
    line("Checker don't swap", &globals.checker_no_swap)?;
    let real_time = globals.checker_rt_priority.unwrap_or(0);
    line("Checker realtime priority", &real_time)?;
    line("rs_init_notifies", &u8::from(globals.rs_init_notifies))?;
    line("no_checker_emails", &u8::from(globals.no_checker_emails))?;
    line(
        "umask",
        &format!("{:#05o}", globals.umask.unwrap_or(0o177)).replace("0o", "0"),
    )
}

fn vrrp(text: &mut String, config: &Config) -> fmt::Result {
    let globals = &config.vrrp.globals;
    let mut line = |name: &str, value: &dyn Display| writeln!(text, " {name} = {value}");
    let dynamic = globals.dynamic_interfaces != DynamicInterfaces::No;
    line("Dynamic interfaces", &dynamic)?;
    line("No email faults", &globals.no_email_faults)?;
    let on_reload = globals.write_states_on_reload;
    line("FIFO write vrrp states on reload", &on_reload)?;
    line("VRRP IPv4 mcast group", &globals.multicast_group4)?;
    line("VRRP IPv6 mcast group", &globals.multicast_group6)?;
    let interval = globals.garp_interval.as_secs_f64();
    line("Gratuitous ARP interval", &format!("{interval:.6}"))?;
    let interval = globals.gna_interval.as_secs_f64();
    line("Gratuitous NA interval", &format!("{interval:.6}"))?;
    let delay = globals.startup_delay.as_secs_f64();
    line("VRRP startup delay", &format!("{delay:.6}"))?;
    line("VRRP process priority", &globals.priority)?;
    line("VRRP don't swap", &globals.no_swap)?;
    line("VRRP realtime priority", &globals.rt_priority.unwrap_or(0))?;
    let limit = globals.rlimit_rttime.map_or(0, |limit| limit.as_micros());
    line("VRRP realtime limit", &limit)?;
    line("Max auto priority", &globals.max_auto_priority.unwrap_or(0))
}

fn or(value: &Option<String>, usual: &str) -> String {
    value.clone().unwrap_or_else(|| usual.to_owned())
}

fn described(fifo: &NotifyFifo) -> String {
    let mut text = fifo.path.display().to_string();
    if let Some(owner) = &fifo.owner {
        text.push_str(&format!(", owner {}", name_of(owner)));
    }
    if let Some(script) = &fifo.script {
        text.push_str(&format!(", script {}", script.argv.join(" ")));
    }
    text
}

fn name_of(user: &ScriptUser) -> String {
    match &user.group {
        Some(group) => format!("{}:{group}", user.user),
        None => user.user.clone(),
    }
}
