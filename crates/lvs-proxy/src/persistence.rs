//! Persistence: templates that send a client's next flows to the same destination.
//!
//! | event | effect on the template |
//! | --- | --- |
//! | a flow of the client is scheduled without a usable template | made, with the service's timeout |
//! | a flow is bound under it | controls one more; its timer starts again |
//! | a flow ends | controls one less; the timer runs on |
//! | timer fires, it controls flows | runs again for [`REARM`], and its timeout is [`REARM`] from then on |
//! | timer fires, it controls nothing | gone |
//! | its destination is not in the service any more | set aside at the next flow: listed, but never used |
//! | its destination refused a flow | leads to the one that was chosen instead |
//!
//! A usable template decides even when its destination has weight 0 or is overloaded.
//!
//! # Design
//! Pure: addresses and times come in, what to unbind goes out. Deadlines are kept in an ordered set beside the
//! templates, so that neither a new flow nor a timer walks over all of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use lvs_sched::DestinationId;

/// The timeout of a template that outlived its timer because flows were under it still.
pub(crate) const REARM: Duration = Duration::from_secs(60);

/// How much of a client's address makes two clients the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Granularity {
    /// A mask, with holes if the operator likes; default all ones. Source: `IPVS_SVC_ATTR_NETMASK`.
    V4(Ipv4Addr),
    /// A prefix length; default 128, more is taken as 128.
    V6(u8),
}

/// Names a template as long as it lives; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TemplateId(pub(crate) u64);

/// A client's standing assignment to a destination.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// The masked address of the clients it is for.
    pub(crate) client: IpAddr,
    pub(crate) destination: DestinationId,
    /// When its timer fires.
    pub(crate) expires: Duration,
    /// A connection of it has been established, or a UDP server has answered.
    pub(crate) assured: bool,
    /// Void: waits for its flows to end.
    pub(crate) aside: bool,
    timeout: Duration,
    controlled: u32,
}

/// The templates of one service.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    by_client: HashMap<IpAddr, TemplateId>,
    templates: BTreeMap<TemplateId, Template>,
    deadlines: BTreeSet<(Duration, TemplateId)>,
    last_id: u64,
}

impl Granularity {
    /// The part of the address that counts; an address of the other family stays as it is.
    pub(crate) fn mask(self, client: IpAddr) -> IpAddr {
        match (self, client) {
            (Self::V4(mask), IpAddr::V4(client)) => (client & mask).into(),
            (Self::V6(prefix), IpAddr::V6(client)) => {
                let host_bits = 128 - u32::from(prefix.min(128));
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                Ipv6Addr::from_bits(client.to_bits() & mask).into()
            }
            (_, client) => client,
        }
    }
}

impl Templates {
    /// The template for clients of this masked address, unless it is void.
    pub(crate) fn find(&self, client: IpAddr) -> Option<(TemplateId, DestinationId)> {
        let id = *self.by_client.get(&client)?;
        self.templates
            .get(&id)
            .map(|template| (id, template.destination))
    }

    /// Makes a template; one that stood for the same clients is set aside.
    ///
    /// The caller binds it to its destination.
    pub(crate) fn insert(
        &mut self,
        client: IpAddr,
        destination: DestinationId,
        timeout: Duration,
        now: Duration,
    ) -> TemplateId {
        self.last_id += 1;
        let id = TemplateId(self.last_id);
        let expires = now + timeout;
        let template = Template {
            client,
            destination,
            expires,
            timeout,
            assured: false,
            aside: false,
            controlled: 0,
        };
        self.templates.insert(id, template);
        self.deadlines.insert((expires, id));
        if let Some(void) = self.by_client.insert(client, id)
            && let Some(void) = self.templates.get_mut(&void)
        {
            void.aside = true;
        }
        id
    }

    /// Lets a template lead to another destination, with `timeout` from its next flow on.
    ///
    /// The caller unbinds the old destination and binds the new one. Making a new template instead would let
    /// those of a client whose servers all refuse pile up.
    pub(crate) fn redirect(
        &mut self,
        id: TemplateId,
        destination: DestinationId,
        timeout: Duration,
    ) {
        if let Some(template) = self.templates.get_mut(&id) {
            template.destination = destination;
            template.timeout = timeout;
            template.assured = false;
        }
    }

    /// A flow is under this template from now on.
    pub(crate) fn control(&mut self, id: TemplateId, now: Duration) {
        if let Some(template) = self.templates.get_mut(&id) {
            template.controlled = template.controlled.saturating_add(1);
            self.deadlines.remove(&(template.expires, id));
            template.expires = now + template.timeout;
            self.deadlines.insert((template.expires, id));
        }
    }

    /// A flow under this template has gone.
    pub(crate) fn release(&mut self, id: TemplateId) {
        if let Some(template) = self.templates.get_mut(&id) {
            template.controlled = template.controlled.saturating_sub(1);
        }
    }

    /// A flow under this template has been established.
    pub(crate) fn assure(&mut self, id: TemplateId) {
        if let Some(template) = self.templates.get_mut(&id) {
            template.assured = true;
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do next.
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Fires what is due. Returns one destination whose template went, for the caller to unbind; to be called
    /// until it returns none.
    #[must_use]
    pub(crate) fn handle_timeout(&mut self, now: Duration) -> Option<DestinationId> {
        while let Some(&(at, id)) = self.deadlines.first() {
            if at > now {
                return None;
            }
            self.deadlines.pop_first();
            let Some(template) = self.templates.get_mut(&id) else {
                continue;
            };
            if template.controlled > 0 {
                template.timeout = REARM;
                template.expires = now + REARM;
                self.deadlines.insert((template.expires, id));
                continue;
            }
            let (client, destination) = (template.client, template.destination);
            self.templates.remove(&id);
            if self.by_client.get(&client) == Some(&id) {
                self.by_client.remove(&client);
            }
            return Some(destination);
        }
        None
    }

    /// The templates made after the one numbered `cursor`, oldest first, those set aside too; 0 for all.
    pub(crate) fn after(&self, cursor: u64) -> impl Iterator<Item = (TemplateId, &Template)> {
        let first = TemplateId(cursor.saturating_add(1));
        self.templates.range(first..).map(|(id, t)| (*id, t))
    }
}

#[cfg(test)]
mod tests {
    use lvs_sched::{DestinationConfig, Pool, SchedulerFlags, SchedulerKind};
    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn destinations() -> [DestinationId; 2] {
        let mut pool = Pool::new(SchedulerKind::RoundRobin, SchedulerFlags::default(), s(0));
        [1, 2].map(|last| {
            pool.add(
                Ipv4Addr::new(10, 0, 0, last).into(),
                80,
                DestinationConfig::default(),
            )
            .expect("a new one")
        })
    }

    fn client(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 168, 7, last).into()
    }

    #[test]
    fn granularity_masks_both_families_and_their_ends() {
        let mask = |mask: [u8; 4], of: &str| {
            Granularity::V4(mask.into())
                .mask(of.parse().expect("address"))
                .to_string()
        };
        assert_eq!(mask([255, 255, 255, 0], "192.168.7.9"), "192.168.7.0");
        assert_eq!(mask([255, 0, 0, 255], "192.168.7.9"), "192.0.0.9");
        assert_eq!(mask([0, 0, 0, 0], "192.168.7.9"), "0.0.0.0");
        assert_eq!(mask([255; 4], "2001:db8::1"), "2001:db8::1");
        let prefix = |length: u8| {
            Granularity::V6(length)
                .mask("2001:db8:1:2:3:4:5:6".parse().expect("address"))
                .to_string()
        };
        assert_eq!(prefix(64), "2001:db8:1:2::");
        assert_eq!(prefix(0), "::");
        assert_eq!(prefix(128), "2001:db8:1:2:3:4:5:6");
        assert_eq!(prefix(255), "2001:db8:1:2:3:4:5:6");
    }

    #[test]
    fn the_timer_starts_again_with_each_flow_and_not_at_its_end() {
        let [server, _] = destinations();
        let mut templates = Templates::default();
        let id = templates.insert(client(1), server, s(30), s(0));
        templates.control(id, s(0));
        templates.control(id, s(10));
        assert_eq!(templates.poll_timeout(), Some(s(40)));
        templates.release(id);
        templates.release(id);
        assert_eq!(templates.poll_timeout(), Some(s(40)));
        assert_eq!(templates.handle_timeout(s(39)), None);
        assert_eq!(templates.handle_timeout(s(40)), Some(server));
        assert_eq!(templates.find(client(1)), None);
        assert_eq!(templates.poll_timeout(), None);
    }

    #[test]
    fn one_that_outlives_its_timer_lives_in_minutes() {
        let [server, _] = destinations();
        let mut templates = Templates::default();
        let id = templates.insert(client(1), server, s(300), s(0));
        templates.control(id, s(0));
        assert_eq!(templates.handle_timeout(s(300)), None);
        assert_eq!(templates.poll_timeout(), Some(s(360)));
        // A new flow renews it for 60 s only.
        templates.control(id, s(310));
        assert_eq!(templates.poll_timeout(), Some(s(370)));
        templates.release(id);
        templates.release(id);
        assert_eq!(templates.handle_timeout(s(370)), Some(server));
    }

    #[test]
    fn a_void_template_waits_aside_for_its_flows() {
        let [old, new] = destinations();
        let mut templates = Templates::default();
        let void = templates.insert(client(1), old, s(30), s(0));
        templates.control(void, s(0));
        let id = templates.insert(client(1), new, s(30), s(1));
        templates.control(id, s(1));
        templates.release(id);
        assert_eq!(templates.find(client(1)), Some((id, new)));
        let aside = |(_, t): &(TemplateId, &Template)| t.aside;
        assert_eq!(templates.after(0).filter(aside).count(), 1);
        assert_eq!(
            templates
                .after(void.0)
                .map(|(id, _)| id)
                .collect::<Vec<_>>(),
            [id]
        );
        assert_eq!(templates.handle_timeout(s(31)), Some(new));
        assert_eq!(templates.handle_timeout(s(31)), None);
        assert_eq!(templates.find(client(1)), None);
        templates.release(void);
        assert_eq!(templates.handle_timeout(s(90)), None);
        assert_eq!(templates.handle_timeout(s(91)), Some(old));
    }

    #[derive(Clone, Debug)]
    enum Operation {
        Flow(u8),
        End(usize),
        Pass(u64),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            (0u8..4).prop_map(Operation::Flow),
            (0usize..64).prop_map(Operation::End),
            (0u64..50).prop_map(Operation::Pass),
        ]
    }

    proptest! {
        /// A client with flows never loses its template, and every template goes once all is quiet.
        #[test]
        fn flows_hold_their_template(operations in prop::collection::vec(operation(), 0..120)) {
            let [server, _] = destinations();
            let mut templates = Templates::default();
            let mut flows: Vec<(u8, TemplateId)> = Vec::new();
            let (mut now, mut made, mut gone) = (s(0), 0, 0);
            for operation in operations {
                match operation {
                    Operation::Flow(last) => {
                        let id = templates.find(client(last)).map(|(id, _)| id).unwrap_or_else(|| {
                            made += 1;
                            templates.insert(client(last), server, s(45), now)
                        });
                        templates.control(id, now);
                        flows.push((last, id));
                    }
                    Operation::End(which) if !flows.is_empty() => {
                        let (_, id) = flows.swap_remove(which % flows.len());
                        templates.release(id);
                    }
                    Operation::End(_) => {}
                    Operation::Pass(seconds) => {
                        now += s(seconds);
                        while templates.handle_timeout(now).is_some() {
                            gone += 1;
                        }
                        prop_assert!(templates.poll_timeout().is_none_or(|at| at > now && at <= now + s(60)));
                    }
                }
                for (last, id) in &flows {
                    prop_assert_eq!(templates.find(client(*last)), Some((*id, server)));
                }
            }
            for (_, id) in flows {
                templates.release(id);
            }
            for _ in 0..2 {
                now += s(60);
                while templates.handle_timeout(now).is_some() {
                    gone += 1;
                }
            }
            prop_assert_eq!(gone, made);
            prop_assert_eq!(templates.poll_timeout(), None);
        }
    }
}
