//! The telling: lines as things happen, and on a terminal a live table below them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::config::NAMES;
use super::story::Event;
use super::summary::Summary;
use super::watch::View;

/// How often a line with the counts comes where there is no table.
const LINE_PERIOD: Duration = Duration::from_secs(5);

/// Tells the user what happens.
#[derive(Debug)]
pub(crate) struct Narrator {
    live: bool,
    to_stderr: bool,
    /// Lines of the table on the screen.
    drawn: usize,
    next_line: Duration,
}

impl Narrator {
    /// `live` draws a table; `to_stderr` leaves standard output to others.
    pub(crate) fn new(live: bool, to_stderr: bool) -> Self {
        Self {
            live,
            to_stderr,
            drawn: 0,
            next_line: LINE_PERIOD,
        }
    }

    /// What will run, and where.
    pub(crate) fn introduce(&mut self, file: &Path, text: &str, service: SocketAddr) {
        let indented: String = text
            .lines()
            .map(|line| {
                if line.is_empty() {
                    "\n".to_owned()
                } else {
                    format!("    {line}\n")
                }
            })
            .collect();
        self.print(&format!(
            "Three web servers are running. This is {}:\n\n{indented}\n\
             A director runs on it, without root and without the kernel's IPVS. Try\n\n    \
             curl http://{service}/\n\n",
            file.display()
        ));
    }

    /// Something has happened.
    pub(crate) fn tell(&mut self, now: Duration, event: &Event) {
        let text = words(event);
        let line = format!("[{:5.1}s] {text}\n", now.as_secs_f64());
        self.print(&line);
    }

    /// Shows the state: as a table, or now and then as a line.
    pub(crate) fn show(&mut self, now: Duration, view: &View, answers: Option<[u64; 3]>) {
        if self.live {
            let table = table(view, answers).to_string();
            self.print(&format!("{table}\n"));
            self.drawn = table.lines().count();
        } else if now >= self.next_line {
            self.next_line = now + LINE_PERIOD;
            let line = format!("[{:5.1}s] {}\n", now.as_secs_f64(), state(view, answers));
            self.print(&line);
        }
    }

    /// Leaves the table where it is; what follows comes below it.
    pub(crate) fn finish_table(&mut self) {
        self.drawn = 0;
    }

    /// The end.
    pub(crate) fn summarise(&mut self, summary: &Summary) {
        let mut text = String::new();
        for phase in &summary.phases {
            let mut table = plain_table(&["server", "weight", "requests", "share by weight"]);
            for server in &phase.servers {
                table.add_row(vec![
                    server.name.clone(),
                    server.weight.to_string(),
                    server.requests.to_string(),
                    format!("{:.1}", server.expected),
                ]);
            }
            let title = match phase.phase.as_str() {
                "all" => "with all servers",
                other => other,
            };
            text.push_str(&format!(
                "\n{} requests {title}:\n{table}\n",
                phase.requests
            ));
        }
        text.push('\n');
        if let (Some(requests), Some(failed)) = (summary.requests, summary.failed_requests) {
            text.push_str(&format!("{requests} requests answered, {failed} failed.\n"));
        }
        let times = |times: &[f64]| {
            times
                .iter()
                .map(|time| format!("{time:.1} s"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        if !summary.removed_after_seconds.is_empty() {
            let times = times(&summary.removed_after_seconds);
            text.push_str(&format!("Removed after {times}.\n"));
        }
        if !summary.returned_after_seconds.is_empty() {
            let times = times(&summary.returned_after_seconds);
            text.push_str(&format!("Added again after {times}.\n"));
        }
        for problem in &summary.problems {
            text.push_str(&format!("Problem: {problem}.\n"));
        }
        self.print(&text);
    }

    /// Writes `text` in the place of the table. A reader that has gone away is no reason to stop.
    fn print(&mut self, text: &str) {
        if self.to_stderr {
            let _ = std::io::stderr().write_all(text.as_bytes());
            return;
        }
        let mut out = String::new();
        if self.drawn > 0 {
            // Cursor up, then clear to the end of the screen.
            out.push_str(&format!("\x1b[{}A\x1b[J", self.drawn));
            self.drawn = 0;
        }
        out.push_str(text);
        let mut stdout = std::io::stdout();
        let _ = stdout.write_all(out.as_bytes());
        let _ = stdout.flush();
    }
}

fn words(event: &Event) -> String {
    let name = |server: &usize| NAMES.get(*server).copied().unwrap_or("?");
    match event {
        Event::Ready => "the director serves, and has found all servers well".to_owned(),
        Event::Stopped(server) => format!("server {} dies", name(server)),
        Event::Removed {
            server,
            after,
            reason,
        } => {
            let name = name(server);
            format!(
                "the director has removed server {name} after {:.1} s: {reason}",
                after.as_secs_f64()
            )
        }
        Event::Restarted(server) => format!("server {} is back", name(server)),
        Event::Returned { server, after } => {
            let after = after.as_secs_f64();
            format!(
                "the director has added server {} after {after:.1} s",
                name(server)
            )
        }
    }
}

fn table(view: &View, answers: Option<[u64; 3]>) -> Table {
    let mut table = plain_table(&[
        "server",
        "weight",
        "state",
        "connections",
        "requests",
        "last check",
    ]);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    for (index, server) in view.servers.iter().enumerate() {
        let answers = answers.and_then(|answers| answers.get(index).copied());
        table.add_row(vec![
            NAMES.get(index).copied().unwrap_or("?").to_owned(),
            server.weight.to_string(),
            if server.in_table {
                "in the table"
            } else {
                "removed"
            }
            .to_owned(),
            server.conns.to_string(),
            answers.map_or_else(|| "-".to_owned(), |answers| answers.to_string()),
            server.reason.clone(),
        ]);
    }
    table
}

fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_header(header.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// `a 5 (120), b removed (30), c 1 (24)`: weights, and in brackets the requests of the load.
fn state(view: &View, answers: Option<[u64; 3]>) -> String {
    let servers = view.servers.iter().enumerate().map(|(index, server)| {
        let name = NAMES.get(index).copied().unwrap_or("?");
        let weight = if server.in_table {
            format!("weight {}", server.weight)
        } else {
            "removed".to_owned()
        };
        match answers.and_then(|answers| answers.get(index).copied()) {
            Some(answers) => format!("{name} {weight}, {answers} requests"),
            None => format!("{name} {weight}, {} connections", server.conns),
        }
    });
    servers.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::watch::ServerView;

    fn view() -> View {
        let server = |in_table, weight| ServerView {
            in_table,
            weight,
            checked: Some(in_table),
            reason: "connection refused".into(),
            conns: 7,
        };
        let servers = vec![server(true, 5), server(false, 3), server(true, 1)];
        View {
            trouble: None,
            serving: true,
            servers,
        }
    }

    #[test]
    fn a_line_has_all_servers() {
        assert_eq!(
            state(&view(), Some([120, 30, 24])),
            "a weight 5, 120 requests; b removed, 30 requests; c weight 1, 24 requests"
        );
        assert_eq!(
            state(&view(), None),
            "a weight 5, 7 connections; b removed, 7 connections; c weight 1, 7 connections"
        );
    }

    #[test]
    fn times_are_told_in_seconds() {
        let after = Duration::from_millis(852);
        let reason = "connection refused".to_owned();
        let removed = Event::Removed {
            server: 1,
            after,
            reason,
        };
        assert_eq!(
            words(&removed),
            "the director has removed server b after 0.9 s: connection refused"
        );
        let returned = Event::Returned { server: 1, after };
        assert_eq!(
            words(&returned),
            "the director has added server b after 0.9 s"
        );
    }

    #[test]
    fn the_table_has_all_servers() {
        let text = table(&view(), Some([120, 30, 24])).to_string();
        for word in ["in the table", "removed", "120", "connection refused"] {
            assert!(text.contains(word), "{text}");
        }
    }
}
