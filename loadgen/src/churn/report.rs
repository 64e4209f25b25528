//! From what churn found to its document.

use super::Churn;
use super::findings::Findings;
use crate::result::figures::{Backlog, Sessions};
use crate::result::latency::Latency;
use crate::result::load::{Load, SessionLoad};
use crate::result::{Checks, Document, Outcome, Status};
use crate::run::conduct::Course;
use crate::run::result::{self, Due, Readings};
use crate::run::series::Series;
use crate::run::window::Observed;

/// Sums up.
pub(super) fn document(
    churn: &Churn,
    observed: &Observed,
    course: &Course<'_>,
    findings: &Findings,
) -> Document {
    let series = course.series.as_ref();
    let window = series.map(Series::window);
    let readings = series.zip(window.as_ref()).map(|(series, window)| {
        let read = Readings::of("session", series, window, course, observed);
        let end = findings.backlog_end;
        Readings {
            charged: read.charged + findings.failed,
            send_lag: read.due.map(|_| &findings.lateness),
            due: read.due.map(|due| Due {
                lost: end + findings.failed,
                backlog: Backlog {
                    max: due.backlog.max.max(end),
                    end,
                },
                ..due
            }),
            sessions: Some(Sessions {
                connect: Latency::of(&findings.connect),
                handshake: Latency::of(&findings.handshake),
                handshake_resumed: findings
                    .tls
                    .as_ref()
                    .map(|_| Latency::of(&findings.handshake_resumed)),
                first_echo: Latency::of(&findings.first_echo),
                late: read.due.map(|_| findings.late),
                closes: findings.closes,
                failed: findings.failed,
                failures: findings.failures(),
            }),
            ..read
        }
    });
    let checks = Checks {
        sessions_verified: findings.verified,
        ..Checks::default()
    };
    let ending = ending(observed, course, findings);
    let load = load(churn, observed, findings);
    result::document(Outcome::Churn, ending, load, checks, readings)
}

/// How it ended, and the sentence that says so.
fn ending(
    observed: &Observed,
    course: &Course<'_>,
    findings: &Findings,
) -> (Status, Option<String>) {
    let failed = |error: String| (Status::Failed, Some(error));
    if let Some(fault) = &findings.fault {
        return failed(fault.clone());
    }
    if course.interrupted {
        let error = "interrupted: the figures are partial";
        return (Status::Interrupted, Some(error.to_owned()));
    }
    let window = course.series.as_ref().map(Series::window);
    if window.as_ref().is_none_or(|window| window.messages == 0) {
        return failed(match findings.failures().first() {
            Some(most) => format!(
                "no session ended well within the window; of {} that failed, {} so: {}",
                findings.failed, most.count, most.sentence
            ),
            None => "no session ended within the window; measure for longer".to_owned(),
        });
    }
    let is_gone = window.is_some_and(|window| window.server.is_none());
    if is_gone && !observed.server_pids.is_empty() {
        return failed("a process of --server-pid ended while it was loaded".to_owned());
    }
    (Status::Ok, None)
}

fn load(churn: &Churn, observed: &Observed, findings: &Findings) -> Load {
    let options = &churn.options;
    let addresses = churn.dialer.addresses();
    let kinds = options.load.exchange.kinds(None);
    Load {
        addresses: addresses.iter().map(ToString::to_string).collect(),
        tls: findings.tls.clone(),
        keep_going: options.keep_going,
        sessions: Some(SessionLoad {
            messages: options.messages,
            sessions_max: options.sessions,
            first: options.first_session,
            timeout_seconds: options.session_timeout.as_secs_f64(),
        }),
        cpus: options.place.cpus(),
        engine: "epoll".to_owned(),
        engine_reason: "churn has no other".to_owned(),
        server_pids: observed.server_pids.clone(),
        ..options
            .timing
            .describe(options.load.describe(kinds, churn.seed))
    }
}
