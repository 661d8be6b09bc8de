//! What happens when: a server fails, is seen to be removed, comes back, is seen to be added.
//!
//! # Design
//! Time and looks at the director come in, acts go out; nothing here sleeps or opens anything. The
//! phases in which the spread of the load is measured begin when the director is *seen* to have
//! changed its table, and end *before* the demo touches a server. So no request of the time
//! between, when the two may disagree, is measured.

use std::time::Duration;

use super::config::NAMES;
use super::watch::View;

/// How long the director may take to serve and to check all servers once.
const START_LIMIT: Duration = Duration::from_secs(30);

/// When things happen, counted from the moment at which all is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// How long all servers work before one fails.
    healthy: Duration,
    /// How long a server stays away, if it was removed by then.
    away: Duration,
    /// When the demo ends; `None` for never, and then the next server fails.
    end: Option<Duration>,
}

impl Plan {
    /// For a demo of this length, or one without end.
    pub(crate) fn new(length: Option<Duration>) -> Self {
        match length {
            Some(length) => Self {
                healthy: length * 3 / 10,
                away: length * 3 / 10,
                end: Some(length),
            },
            None => Self {
                healthy: Duration::from_secs(15),
                away: Duration::from_secs(15),
                end: None,
            },
        }
    }
}

/// A time in which the table does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// All servers take part.
    All,
    /// All but this one.
    Without(usize),
}

/// What the demo has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Tell the user.
    Say(Event),
    /// End this server.
    Stop(usize),
    /// Start this server again.
    Restart(usize),
    /// Count the load for this phase from now on.
    Measure(Option<Phase>),
}

/// What the user is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The director serves, and has checked all servers.
    Ready,
    /// A server has just been stopped.
    Stopped(usize),
    /// The director has removed it.
    Removed {
        /// Which one.
        server: usize,
        /// How long after it stopped.
        after: Duration,
        /// What the check found.
        reason: String,
    },
    /// A server has just been started again.
    Restarted(usize),
    /// The director has added it.
    Returned {
        /// Which one.
        server: usize,
        /// How long after it started.
        after: Duration,
    },
}

/// The story so far.
#[derive(Debug)]
pub(crate) struct Story {
    plan: Plan,
    stage: Stage,
    ready_at: Option<Duration>,
    removals: Vec<Duration>,
    returns: Vec<Duration>,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    Healthy {
        since: Duration,
        next: usize,
    },
    Dying {
        server: usize,
        since: Duration,
    },
    Away {
        server: usize,
        since: Duration,
    },
    Returning {
        server: usize,
        since: Duration,
    },
    /// The one failure of a demo with an end has been told.
    Told,
}

impl Story {
    /// At its beginning.
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            plan,
            stage: Stage::Starting,
            ready_at: None,
            removals: Vec::new(),
            returns: Vec::new(),
            ended: false,
        }
    }

    /// Time has passed, and perhaps a look at the director is there. `now` counts from the start of
    /// the demo.
    ///
    /// # Errors
    ///
    /// When the director cannot serve, or does not within a limit.
    pub(crate) fn handle(
        &mut self,
        now: Duration,
        view: Option<&View>,
    ) -> anyhow::Result<Vec<Act>> {
        let mut acts = Vec::new();
        if let Some(trouble) = view.and_then(|view| view.trouble.as_ref()) {
            anyhow::bail!("the director cannot serve: {trouble}");
        }
        let in_table = |server: usize| {
            view.and_then(|view| view.servers.get(server))
                .map(|s| s.in_table)
        };
        match self.stage {
            Stage::Starting => {
                if view.is_some_and(is_ready) {
                    self.ready_at = Some(now);
                    self.stage = Stage::Healthy {
                        since: now,
                        next: 1,
                    };
                    acts.extend([Act::Say(Event::Ready), Act::Measure(Some(Phase::All))]);
                }
                anyhow::ensure!(
                    now < START_LIMIT,
                    "the director is not ready after {now:.0?}"
                );
            }
            Stage::Healthy {
                since,
                next: server,
            } if now >= since + self.plan.healthy => {
                self.stage = Stage::Dying { server, since: now };
                acts.extend([
                    Act::Measure(None),
                    Act::Stop(server),
                    Act::Say(Event::Stopped(server)),
                ]);
            }
            Stage::Dying { server, since } if in_table(server) == Some(false) => {
                let after = now.saturating_sub(since);
                let reason = view
                    .and_then(|view| view.servers.get(server))
                    .map_or_else(String::new, |server| server.reason.clone());
                self.removals.push(after);
                self.stage = Stage::Away { server, since };
                acts.extend([
                    Act::Say(Event::Removed {
                        server,
                        after,
                        reason,
                    }),
                    Act::Measure(Some(Phase::Without(server))),
                ]);
            }
            Stage::Away { server, since } if now >= since + self.plan.away => {
                self.stage = Stage::Returning { server, since: now };
                acts.extend([
                    Act::Measure(None),
                    Act::Restart(server),
                    Act::Say(Event::Restarted(server)),
                ]);
            }
            Stage::Returning { server, since } if in_table(server) == Some(true) => {
                let after = now.saturating_sub(since);
                self.returns.push(after);
                self.stage = match self.plan.end {
                    Some(_) => Stage::Told,
                    None => Stage::Healthy {
                        since: now,
                        next: (server + 1) % NAMES.len(),
                    },
                };
                acts.extend([
                    Act::Say(Event::Returned { server, after }),
                    Act::Measure(Some(Phase::All)),
                ]);
            }
            _ => {}
        }
        self.ended = matches!(
            (self.ready_at, self.plan.end), (Some(ready), Some(end)) if now >= ready + end
        );
        Ok(acts)
    }

    /// Whether the time is over.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// How long each removal took.
    pub(crate) fn removals(&self) -> &[Duration] {
        &self.removals
    }

    /// How long each return took.
    pub(crate) fn returns(&self) -> &[Duration] {
        &self.returns
    }

    /// What has begun and was not seen to end.
    pub(crate) fn open_end(&self) -> Option<String> {
        let name = |server: usize| NAMES.get(server).copied().unwrap_or("?");
        match self.stage {
            Stage::Starting => Some("the director was never ready".to_owned()),
            Stage::Dying { server, .. } => Some(format!(
                "server {} failed and was not removed",
                name(server)
            )),
            Stage::Returning { server, .. } => Some(format!(
                "server {} came back and was not added",
                name(server)
            )),
            Stage::Healthy { .. } if self.plan.end.is_some() => Some("no server failed".to_owned()),
            Stage::Away { server, .. } if self.plan.end.is_some() => {
                Some(format!("server {} did not come back", name(server)))
            }
            Stage::Healthy { .. } | Stage::Away { .. } | Stage::Told => None,
        }
    }
}

fn is_ready(view: &View) -> bool {
    view.serving
        && view.servers.len() == NAMES.len()
        && view
            .servers
            .iter()
            .all(|server| server.in_table && server.checked == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::watch::ServerView;

    fn view(in_table: [bool; 3]) -> View {
        let server = |in_table| ServerView {
            in_table,
            weight: 1,
            checked: Some(in_table),
            reason: "connection refused".into(),
            conns: 0,
        };
        View {
            trouble: None,
            serving: true,
            servers: in_table.map(server).to_vec(),
        }
    }

    const ALL: [bool; 3] = [true, true, true];
    const NO_B: [bool; 3] = [true, false, true];

    fn at(story: &mut Story, seconds: u64, in_table: [bool; 3]) -> Vec<Act> {
        story
            .handle(Duration::from_secs(seconds), Some(&view(in_table)))
            .unwrap()
    }

    #[test]
    fn a_story_with_an_end() {
        let mut story = Story::new(Plan::new(Some(Duration::from_secs(30))));
        let secs = Duration::from_secs;
        assert_eq!(story.handle(secs(1), None).unwrap(), []);
        assert_eq!(
            at(&mut story, 2, ALL),
            [Act::Say(Event::Ready), Act::Measure(Some(Phase::All))]
        );
        assert_eq!(at(&mut story, 10, ALL), []);
        assert_eq!(
            at(&mut story, 11, ALL),
            [
                Act::Measure(None),
                Act::Stop(1),
                Act::Say(Event::Stopped(1))
            ]
        );
        assert_eq!(story.handle(secs(12), None).unwrap(), []);
        let reason = "connection refused".to_owned();
        assert_eq!(
            at(&mut story, 13, NO_B),
            [
                Act::Say(Event::Removed {
                    server: 1,
                    after: secs(2),
                    reason
                }),
                Act::Measure(Some(Phase::Without(1)))
            ]
        );
        assert_eq!(
            at(&mut story, 20, NO_B),
            [
                Act::Measure(None),
                Act::Restart(1),
                Act::Say(Event::Restarted(1))
            ]
        );
        assert_eq!(
            story.open_end().unwrap(),
            "server b came back and was not added"
        );
        assert_eq!(
            at(&mut story, 21, ALL),
            [
                Act::Say(Event::Returned {
                    server: 1,
                    after: secs(1)
                }),
                Act::Measure(Some(Phase::All))
            ]
        );
        assert_eq!((story.open_end(), story.has_ended()), (None, false));
        assert_eq!(at(&mut story, 32, ALL), []);
        assert!(story.has_ended());
    }

    #[test]
    fn without_an_end_one_server_after_the_other_fails() {
        let mut story = Story::new(Plan::new(None));
        let mut stopped = Vec::new();
        let mut table = ALL;
        for second in 0..400 {
            for act in at(&mut story, second, table) {
                match act {
                    Act::Stop(server) => {
                        stopped.push(server);
                        table[server] = false;
                    }
                    Act::Restart(server) => table[server] = true,
                    _ => {}
                }
            }
        }
        assert_eq!(stopped[..4], [1, 2, 0, 1]);
        assert!(!story.has_ended());
    }

    #[test]
    fn a_removal_that_is_not_seen_is_an_open_end() {
        let mut story = Story::new(Plan::new(Some(Duration::from_secs(10))));
        for second in 0..20 {
            at(&mut story, second, ALL);
        }
        assert!(story.has_ended());
        assert_eq!(
            story.open_end().unwrap(),
            "server b failed and was not removed"
        );
    }

    #[test]
    fn a_director_that_cannot_serve_ends_the_story() {
        let mut story = Story::new(Plan::new(None));
        let trouble = Some("[127.0.0.1]:tcp:80: permission denied".into());
        let view = View {
            trouble,
            ..view(ALL)
        };
        assert!(story.handle(Duration::ZERO, Some(&view)).is_err());
        assert!(story.handle(START_LIMIT, None).is_err());
    }
}
