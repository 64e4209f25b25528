//! What is said of it: lines for people, or an object a line.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::fault::Fault;
use super::talk::{Echo, Goodbye};
use super::{Form, Plan};

/// What there is to tell of a connection that is being opened: an object, and lines.
#[derive(Default)]
pub(super) struct Told {
    pub(super) by: Value,
    pub(super) text: String,
}

impl Told {
    /// A line of what a step took, and what came of it.
    pub(super) fn line(&mut self, step: &str, time: Duration, what: &str) {
        let time = time.as_secs_f64() * 1e3;
        self.text += &format!("\n{step:<12} {time:.3} ms{what}");
    }
}

/// Says things, and counts what the summary tells.
pub(super) struct Report<'a> {
    pub(super) plan: &'a Plan,
    sent: u64,
    /// Whether the last that was sent was neither answered nor given up.
    pub(super) is_pending: bool,
    answered: u64,
    /// Of the times of all answers, in seconds: the least, the greatest, the sum, and the sum of their squares.
    times: [f64; 4],
}

impl<'a> Report<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        Report {
            plan,
            sent: 0,
            is_pending: false,
            answered: 0,
            times: [f64::INFINITY, 0.0, 0.0, 0.0],
        }
    }

    /// Says it in one of two forms.
    pub(super) fn say(&self, object: &Value, text: &str) {
        match self.plan.form {
            Form::Json => written(writeln!(io::stdout(), "{object}")),
            Form::Text => written(writeln!(io::stdout(), "{text}")),
            Form::Quiet => {}
        }
    }

    /// Whoever asked for JSON reads that; all others read standard error.
    fn complain(&self, object: &Value, why: &str) {
        let url = &self.plan.target.url;
        written(match self.plan.form {
            Form::Json => writeln!(io::stdout(), "{object}"),
            _ => writeln!(io::stderr(), "ringback ping: {url}: {why}"),
        });
    }

    pub(super) fn fault(&self, Fault { step, why }: &Fault) {
        let step = format!("{step:?}").to_lowercase();
        let object = json!({"event": "fault", "step": step, "why": why});
        self.complain(&object, &format!("{step}: {why}"));
    }

    pub(super) fn sent(&mut self, seq: u64) {
        (self.sent, self.is_pending) = (seq, true);
    }

    /// The last message has come back, or an earlier one, which is late.
    pub(super) fn echo(&mut self, from: SocketAddr, echo: &Echo) {
        let Echo {
            seq,
            bytes,
            seconds,
        } = *echo;
        self.is_pending &= seq != self.sent;
        self.answered += 1;
        let [least, most, sum, squares] = self.times;
        let (least, most) = (least.min(seconds), most.max(seconds));
        self.times = [least, most, sum + seconds, squares + seconds * seconds];
        let time = seconds * 1e3;
        self.say(
            &json!({"event": "echo", "seq": seq, "bytes": bytes, "seconds": seconds}),
            &format!("{bytes} bytes from {from}: seq={seq} time={time:.3} ms"),
        );
    }

    /// No echo in time; perhaps something else.
    pub(super) fn lost(&mut self, instead: Option<String>) {
        self.is_pending = false;
        let (seq, span) = (self.sent, self.plan.timeout);
        let none = || format!("no echo within {span:?}");
        let why = instead.map_or_else(none, |it| format!("not an echo: `{it}`"));
        let object = json!({"event": "lost", "seq": seq, "why": why});
        self.complain(&object, &format!("seq={seq}: {why}"));
    }

    /// What was sent a moment ago had no time to be answered.
    pub(super) fn interrupted(&mut self) {
        self.sent -= u64::from(self.is_pending);
    }

    pub(super) fn closed(&self, goodbye: &Goodbye, time: Duration) {
        let Goodbye { code, reason } = goodbye;
        let seconds = time.as_secs_f64();
        self.say(
            &json!({"event": "closed", "code": code, "reason": reason, "seconds": seconds}),
            &format!("close        {:.3} ms, {goodbye}", seconds * 1e3),
        );
    }

    /// The summary; `mdev` is the standard deviation, which `ping` calls so. Whether all was answered, and anything.
    pub(super) fn conclude(&self) -> bool {
        let (sent, answered) = (self.sent, self.answered);
        let lost = sent.saturating_sub(answered);
        let percent = lost as f64 * 100.0 / sent.max(1) as f64;
        let mut text = format!("{sent} sent, {answered} answered, {percent:.0} % lost");
        let mut rtt = Value::Null;
        if answered > 0 {
            let [min, max, sum, squares] = self.times;
            let avg = sum / answered as f64;
            let mdev = (squares / answered as f64 - avg * avg).max(0.0).sqrt();
            rtt = json!({"min": min, "avg": avg, "max": max, "mdev": mdev});
            let [min, avg, max, mdev] = [min, avg, max, mdev].map(|it| format!("{:.3}", it * 1e3));
            text += &format!("\nrtt min/avg/max/mdev = {min}/{avg}/{max}/{mdev} ms");
        }
        let counts = json!({"event": "summary", "sent": sent, "answered": answered, "lost": lost, "rtt_seconds": rtt});
        self.say(&counts, &text);
        answered > 0 && lost == 0
    }
}

/// Ends the process where nobody reads what it says, as in `ringback ping URL | head -1`.
fn written(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        if error.kind() != io::ErrorKind::BrokenPipe {
            let _ = writeln!(io::stderr(), "ringback ping: {error}");
        }
        std::process::exit(1);
    }
}
