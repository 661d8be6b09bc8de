//! The virtual routers in the table of `lvsd status`.

use std::time::{Duration, SystemTime};

use comfy_table::{Cell, CellAlignment, Color};
use director::status::{VrrpInstanceStatus, VrrpState, VrrpStatus, unix_ms};

use super::{age, table};

/// A line for each instance, below a line of headings; then what needs a person. Empty without any.
pub(super) fn render(vrrp: &VrrpStatus, colour: bool, now: SystemTime) -> String {
    if vrrp.instances.is_empty() {
        return String::new();
    }
    let heads = ["instance", "state", "for", "priority", "master", "reason"];
    let mut table = table(heads.map(Cell::new), colour);
    for instance in &vrrp.instances {
        let (state, paint) = state(instance.state);
        let mut state = Cell::new(state);
        if colour {
            state = state.fg(paint);
        }
        let lasting = unix_ms(now).saturating_sub(instance.since_unix_ms);
        table.add_row([
            Cell::new(&instance.name),
            state,
            Cell::new(age(Duration::from_millis(lasting))),
            Cell::new(priority(instance)).set_alignment(CellAlignment::Right),
            Cell::new(master(instance)),
            Cell::new(&instance.reason),
        ]);
    }
    let mut text = format!("\n{}\n", table.trim_fmt());
    for instance in &vrrp.instances {
        if let Some(other) = &instance.second_master
            && let Some(suspicion) = &other.suspicion
        {
            let (name, address) = (&instance.name, other.address);
            text.push_str(&format!(
                "  {name}: {address} acts as master, too: {suspicion}\n"
            ));
        }
        if instance.faults.len() > 1 {
            let causes = instance.faults.join("; ");
            text.push_str(&format!("  {}: {causes}\n", instance.name));
        }
    }
    text
}

fn state(state: VrrpState) -> (&'static str, Color) {
    match state {
        VrrpState::Init => ("INIT", Color::DarkGrey),
        VrrpState::Backup => ("BACKUP", Color::Yellow),
        VrrpState::Master => ("MASTER", Color::Green),
        VrrpState::Fault => ("FAULT", Color::Red),
    }
}

fn priority(instance: &VrrpInstanceStatus) -> String {
    let (base, effective) = (instance.priority, instance.effective_priority);
    match base == effective {
        true => base.to_string(),
        false => format!("{effective} ({base})"),
    }
}

fn master(instance: &VrrpInstanceStatus) -> String {
    match (&instance.master, &instance.lower_master, instance.state) {
        (_, _, VrrpState::Master) => "here".to_owned(),
        (_, Some(other), _) | (Some(other), None, _) => {
            format!("{} ({})", other.address, other.priority)
        }
        (None, None, _) => "-".to_owned(),
    }
}
