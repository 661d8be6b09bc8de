//! `keepalived.data`: everything about every instance, for people.

use std::fmt::Write as _;

use kconf_parser::Config;
use vrrp_proto::{State, Status, Version};

use super::Survey;

pub(super) fn text(survey: &Survey, config: &Config) -> String {
    let mut text = String::from("------< VRRP Topology >------\n");
    for status in &survey.instances {
        // Writing to a String cannot fail.
        let _ = instance(&mut text, status, config);
    }
    if !survey.groups.is_empty() {
        text.push_str("------< VRRP Sync groups >------\n");
        for (name, state) in &survey.groups {
            let _ = writeln!(text, " VRRP Sync Group = {name}, {state}");
        }
    }
    text
}

fn instance(text: &mut String, status: &Status, config: &Config) -> std::fmt::Result {
    writeln!(text, " VRRP Instance = {}", status.name)?;
    let version = match status.version {
        Version::V2 => 2,
        Version::V3 => 3,
    };
    writeln!(text, "   VRRP Version = {version}")?;
    writeln!(text, "   State = {}", status.state)?;
    writeln!(text, "   Reason = {}", status.reason_text)?;
    if let Some(interface) = &status.interface {
        writeln!(text, "   Interface = {interface}")?;
    }
    if let Some(source) = status.source {
        writeln!(text, "   Using src_ip = {source}")?;
    }
    writeln!(text, "   Virtual Router ID = {}", status.vrid.as_u8())?;
    writeln!(text, "   Priority = {}", status.priority)?;
    writeln!(
        text,
        "   Effective priority = {}",
        status.effective_priority
    )?;
    let interval = status.advert_interval.as_duration().as_secs_f64();
    writeln!(text, "   Advert interval = {interval} sec")?;
    if let Some(master) = status.master {
        writeln!(text, "   Master router = {}", master.address)?;
        writeln!(text, "   Master priority = {}", master.priority)?;
    }
    let Some(configured) = config.vrrp.instance(status.name.as_str()) else {
        return Ok(());
    };
    let set = if status.state == State::Master {
        " set"
    } else {
        ""
    };
    writeln!(text, "   Virtual IP ({}):", configured.addresses.len())?;
    for address in &configured.addresses {
        writeln!(text, "     {}{set}", address.address)?;
    }
    if !configured.excluded_addresses.is_empty() {
        writeln!(text, "   Virtual IP Excluded :")?;
        for address in &configured.excluded_addresses {
            writeln!(text, "     {}{set}", address.address)?;
        }
    }
    Ok(())
}
