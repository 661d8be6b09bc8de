//! The kernel variables that a trace may set, as far as decisions depend on them.

use std::time::Duration;

use crate::trace::Fault;

/// Variables under `net.ipv4.vs`, at the kernel's defaults at first.
#[derive(Clone, Debug)]
pub(crate) struct Sysctls {
    pub(crate) lblc_expiration: Duration,
    pub(crate) lblcr_expiration: Duration,
    /// 0: a connection's port is never scheduled anew; bit 2: also in `FIN_WAIT` when one-way.
    pub(crate) conn_reuse_mode: i64,
    pub(crate) expire_nodest_conn: bool,
    pub(crate) expire_quiescent_template: bool,
    pub(crate) sloppy_tcp: bool,
    /// Variables whose value makes decisions depend on what a trace does not tell.
    undecidable: Vec<String>,
}

/// Variables that change no decision.
const WITHOUT_EFFECT: [&str; 17] = [
    "am_droprate",
    "amemthresh",
    "conntrack",
    "ignore_tunneled",
    "nat_icmp_send",
    "pmtu_disc",
    "run_estimation",
    "schedule_icmp",
    "sloppy_sctp",
    "snat_reroute",
    "sync_persist_mode",
    "sync_ports",
    "sync_qlen_max",
    "sync_refresh_period",
    "sync_retries",
    "sync_sock_size",
    "sync_version",
];

impl Default for Sysctls {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            lblc_expiration: DAY,
            lblcr_expiration: DAY,
            conn_reuse_mode: 1,
            expire_nodest_conn: false,
            expire_quiescent_template: false,
            sloppy_tcp: false,
            undecidable: Vec::new(),
        }
    }
}

impl Sysctls {
    /// Takes over a value.
    pub(crate) fn set(&mut self, name: &str, value: &serde_json::Value) -> Result<(), Fault> {
        let bad = || Fault::SysctlValue(name.to_owned());
        let number = match value {
            serde_json::Value::Number(number) => number.as_i64(),
            serde_json::Value::String(text) => text.trim().parse().ok(),
            serde_json::Value::Bool(value) => Some(i64::from(*value)),
            _ => None,
        };
        let seconds = |number| {
            u64::try_from(number)
                .map(Duration::from_secs)
                .map_err(|_| bad())
        };
        let Some(short) = name.strip_prefix("net.ipv4.vs.") else {
            self.mark(name, true);
            return Ok(());
        };
        if WITHOUT_EFFECT.contains(&short) {
            return Ok(());
        }
        let number = number.ok_or_else(bad)?;
        match short {
            "lblc_expiration" => self.lblc_expiration = seconds(number)?,
            "lblcr_expiration" => self.lblcr_expiration = seconds(number)?,
            "conn_reuse_mode" => self.conn_reuse_mode = number,
            "expire_nodest_conn" => self.expire_nodest_conn = number != 0,
            "expire_quiescent_template" => self.expire_quiescent_template = number != 0,
            "sloppy_tcp" => self.sloppy_tcp = number != 0,
            "cache_bypass" | "drop_entry" | "drop_packet" | "secure_tcp" => {
                self.mark(name, number != 0);
            }
            _ => self.mark(name, true),
        }
        Ok(())
    }

    /// A variable that makes decisions undecidable at present.
    pub(crate) fn undecidable(&self) -> Option<&str> {
        self.undecidable.first().map(String::as_str)
    }

    fn mark(&mut self, name: &str, undecidable: bool) {
        self.undecidable.retain(|other| other != name);
        if undecidable {
            self.undecidable.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbers_or_text() {
        let mut sysctls = Sysctls::default();
        sysctls
            .set("net.ipv4.vs.lblc_expiration", &600.into())
            .unwrap();
        sysctls
            .set("net.ipv4.vs.lblcr_expiration", &"100".into())
            .unwrap();
        assert_eq!(sysctls.lblc_expiration, Duration::from_secs(600));
        assert_eq!(sysctls.lblcr_expiration, Duration::from_secs(100));
        for value in [serde_json::Value::Null, (-1).into(), "x".into(), 1.5.into()] {
            let error = sysctls
                .set("net.ipv4.vs.lblc_expiration", &value)
                .unwrap_err();
            assert_eq!(
                error.to_string(),
                "bad value of `net.ipv4.vs.lblc_expiration`"
            );
        }
    }

    #[test]
    fn variables_that_take_the_ground_away_are_remembered_until_reset() {
        let mut sysctls = Sysctls::default();
        sysctls.set("net.ipv4.vs.sync_version", &1.into()).unwrap();
        sysctls.set("net.ipv4.vs.drop_packet", &0.into()).unwrap();
        assert_eq!(sysctls.undecidable(), None);
        sysctls.set("net.ipv4.vs.drop_packet", &2.into()).unwrap();
        assert_eq!(sysctls.undecidable(), Some("net.ipv4.vs.drop_packet"));
        sysctls.set("net.ipv4.vs.drop_packet", &0.into()).unwrap();
        assert_eq!(sysctls.undecidable(), None);
        sysctls.set("net.ipv4.vs.new_in_2031", &0.into()).unwrap();
        assert_eq!(sysctls.undecidable(), Some("net.ipv4.vs.new_in_2031"));
    }
}
