//! Typed calls on routes and rules.

use crate::codec::ParseError;
use crate::error::NetifError;
use crate::family::Family;
use crate::route::{self, Placement, Route, RouteFilter};
use crate::rtnetlink::{Ensured, Rtnetlink, absent};
use crate::rule::{self, Rule};

impl Rtnetlink {
    /// The routes of a family that pass `filter`.
    ///
    /// On a machine with a full table of the Internet, a filter by protocol or table makes this
    /// cheap.
    ///
    /// # Errors
    ///
    /// See [`NetifError`]; likewise below.
    pub fn routes(
        &mut self,
        family: Family,
        filter: RouteFilter,
    ) -> Result<Vec<Route>, NetifError> {
        let read = |message: &crate::codec::Message<'_>| -> Result<Option<Route>, ParseError> {
            Ok(Route::read(message)?.filter(|route| filter.admits(route)))
        };
        match self.netlink.dump(&route::list(family, filter), read) {
            // A table that nobody has used yet.
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(Vec::new()),
            result => result,
        }
    }

    /// Adds a route.
    ///
    /// # Errors
    ///
    /// `EEXIST`: there is the same, or with [`Placement::Add`] a similar one; `ENETUNREACH`: the
    /// router is not on a link; `EINVAL`: the preferred source is not ours.
    pub fn add_route(&mut self, route: &Route, placement: Placement) -> Result<(), NetifError> {
        self.netlink.request(route::add(route, placement))
    }

    /// Removes a route.
    ///
    /// # Errors
    ///
    /// `ESRCH` if there is none.
    pub fn delete_route(&mut self, route: &Route) -> Result<(), NetifError> {
        self.netlink.request(route::delete(route))
    }

    /// Makes a route be there.
    ///
    /// # Errors
    ///
    /// As [`add_route`](Self::add_route); `EEXIST` only if what is there differs.
    pub fn ensure_route(
        &mut self,
        route: &Route,
        placement: Placement,
    ) -> Result<Ensured, NetifError> {
        match self.add_route(route, placement) {
            Ok(()) => Ok(Ensured::Done),
            Err(error) if error.errno() == Some(libc::EEXIST) => {
                let filter = RouteFilter {
                    protocol: Some(route.protocol),
                    table: Some(route.table),
                };
                let routes = self.routes(route.family(), filter)?;
                if routes.iter().any(|found| route.matches(found)) {
                    Ok(Ensured::Already)
                } else {
                    Err(error)
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a route not be there. One by an interface that is gone is gone with it.
    pub fn ensure_no_route(&mut self, route: &Route) -> Result<Ensured, NetifError> {
        absent(self.delete_route(route), &[libc::ESRCH, libc::ENODEV])
    }

    /// The rules of a family, in the order in which they are asked.
    pub fn rules(&mut self, family: Family) -> Result<Vec<Rule>, NetifError> {
        self.netlink.dump(&rule::list(family), Rule::read)
    }

    /// Adds a rule.
    ///
    /// # Errors
    ///
    /// `EEXIST` if there is the same; one without priority is never the same on kernels that
    /// choose another for it.
    pub fn add_rule(&mut self, rule: &Rule) -> Result<(), NetifError> {
        self.netlink.request(rule::add(rule))
    }

    /// Removes the first rule that is as `rule` says.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none.
    pub fn delete_rule(&mut self, rule: &Rule) -> Result<(), NetifError> {
        self.netlink.request(rule::delete(rule))
    }

    /// Makes a rule be there, once.
    pub fn ensure_rule(&mut self, rule: &Rule) -> Result<Ensured, NetifError> {
        let rules = self.rules(rule.family)?;
        if rules.iter().any(|found| rule.matches(found)) {
            return Ok(Ensured::Already);
        }
        match self.add_rule(rule) {
            Ok(()) => Ok(Ensured::Done),
            Err(error) if error.errno() == Some(libc::EEXIST) => Ok(Ensured::Already),
            Err(error) => Err(error),
        }
    }

    /// Makes a rule not be there.
    pub fn ensure_no_rule(&mut self, rule: &Rule) -> Result<Ensured, NetifError> {
        absent(self.delete_rule(rule), &[libc::ENOENT, libc::ESRCH])
    }
}
