//! From what churn found to its document.

use super::Churn;
use super::findings::Findings;
use crate::result::figures::{Figures, Sessions};
use crate::result::latency::Latency;
use crate::result::load::{Load, SessionLoad};
use crate::result::{Checks, Document, Outcome, Status};
use crate::run::INTERRUPTED;
use crate::run::conduct::{self, Course};
use crate::run::result::{self, Own};
use crate::run::window::Observed;

/// Sums up.
pub(super) fn document(
    churn: &Churn,
    observed: &Observed,
    course: &Course<'_>,
    findings: &Findings,
) -> Document {
    let resumed = findings.tls.as_ref().map(|_| &findings.handshake_resumed);
    let schedule = churn.schedule.as_ref();
    let sessions = Sessions {
        connect: Latency::of(&findings.connect),
        handshake: Latency::of(&findings.handshake),
        handshake_resumed: resumed.map(Latency::of),
        first_echo: Latency::of(&findings.first_echo),
        late: schedule.map(|_| findings.late),
        closes: findings.closes,
        failed: findings.failed,
        failures: findings.failures(),
    };
    let own = Own {
        figures: Figures {
            sessions: Some(sessions),
            ..Figures::default()
        },
        failed: Some(findings.failed),
        send_lag: schedule.map(|_| &findings.send_lag),
        lost: findings.backlog_end + findings.failed,
        backlog_end: Some(findings.backlog_end),
    };
    let checks = Checks {
        sessions_verified: findings.verified,
        ..Checks::default()
    };
    let load = load(churn, observed, findings);
    let ending = ending(course, findings);
    result::document(Outcome::Churn, ending, load, checks, course, own)
}

/// How it ended, and the sentence that says so.
fn ending(course: &Course<'_>, findings: &Findings) -> (Status, Option<String>) {
    if findings.fault.is_none() && course.interrupted {
        return (Status::Interrupted, Some(INTERRUPTED.to_owned()));
    }
    conduct::ending(if findings.fault.is_some() {
        findings.fault.clone()
    } else if course.completed() == 0 {
        Some(match findings.failures().first() {
            Some(most) => format!(
                "no session ended well within the window; of {} that failed, {} so: {}",
                findings.failed, most.count, most.sentence
            ),
            None => "no session ended within the window; measure for longer".to_owned(),
        })
    } else if course.has_lost_server() {
        Some("a process of --server-pid ended while it was loaded".to_owned())
    } else {
        None
    })
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
