//! What is said of it: lines for people, or an object a line.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::dial::Details;
use super::fault::{Fault, words};
use super::talk::{Echo, Goodbye, closed};
use super::{Form, Plan};

/// Says things, and remembers what the summary needs.
pub(super) struct Report<'a> {
    plan: &'a Plan,
    address: String,
    sent: u64,
    /// Whether the last message was neither answered nor given up.
    pending: bool,
    times: Times,
}

/// Round-trip times, in seconds.
#[derive(Default)]
struct Times {
    count: u64,
    min: f64,
    max: f64,
    sum: f64,
    squares: f64,
}

impl Times {
    fn add(&mut self, time: f64) {
        self.min = if self.count == 0 {
            time
        } else {
            self.min.min(time)
        };
        self.max = self.max.max(time);
        self.count += 1;
        self.sum += time;
        self.squares += time * time;
    }

    fn average(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// The standard deviation, which `ping` calls so.
    fn mdev(&self) -> f64 {
        let average = self.average();
        let variance = self.squares / self.count as f64 - average * average;
        variance.max(0.0).sqrt()
    }
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3} ms", seconds * 1e3)
}

impl<'a> Report<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        Report {
            plan,
            address: String::new(),
            sent: 0,
            pending: false,
            times: Times::default(),
        }
    }

    /// Says one thing, in one of two forms.
    fn say(&self, text: impl FnOnce() -> String, object: impl FnOnce() -> Value) -> io::Result<()> {
        let line = match self.plan.form {
            Form::Text => text(),
            Form::Json => object().to_string(),
            Form::Quiet => return Ok(()),
        };
        writeln!(io::stdout(), "{line}")
    }

    pub(super) fn opened(&mut self, details: &Details) -> io::Result<()> {
        self.address = details.address.to_string();
        let url = &self.plan.target.url;
        self.say(
            || self.opened_text(details),
            || json!({"event": "opened", "url": url, "by": details}),
        )
    }

    fn opened_text(&self, details: &Details) -> String {
        let named = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
        let (url, address, size) = (&self.plan.target.url, &self.address, self.plan.size);
        let mut out = format!("PING {url} ({address}) with {size} bytes of text\n");
        let time = milliseconds(details.connect_seconds);
        out += &format!("connect      {time}\n");
        if let Some(tls) = &details.tls {
            let time = milliseconds(tls.seconds);
            let agreed = [&*tls.version, &tls.cipher, &tls.group].join(", ");
            out += &format!("tls          {time}, {agreed}, ALPN {}\n", named(&tls.alpn));
            if let Some(it) = &tls.certificate {
                // Whoever made it chose what is in it.
                let [subject, names, issuer] =
                    [&it.subject, &it.names.join(", "), &it.issuer].map(|it| words(it.as_bytes()));
                out += &format!("certificate  {subject}, for {names}; issued by {issuer}\n");
                let (until, left) = (&it.expires, it.days_left);
                out += &format!("             until {until}, {left} days left\n");
            }
        }
        let time = milliseconds(details.upgrade_seconds);
        let [subprotocol, extensions, server] =
            [&details.subprotocol, &details.extensions, &details.server].map(named);
        out += &format!("upgrade      {time}, subprotocol {subprotocol}, ");
        out + &format!("extensions {extensions}, server {server}")
    }

    pub(super) fn sent(&mut self) {
        self.sent += 1;
        self.pending = true;
    }

    pub(super) fn echo(&mut self, echo: &Echo) -> io::Result<()> {
        if echo.number == self.sent {
            self.pending = false;
        }
        let (seq, bytes, seconds) = (echo.number, echo.bytes, echo.time.as_secs_f64());
        self.times.add(seconds);
        let (address, time) = (&self.address, milliseconds(seconds));
        self.say(
            || format!("{bytes} bytes from {address}: seq={seq} time={time}"),
            || json!({"event": "echo", "seq": seq, "bytes": bytes, "seconds": seconds}),
        )
    }

    /// No echo in time; perhaps something else.
    pub(super) fn lost(&mut self, seq: u64, instead: Option<String>) -> io::Result<()> {
        self.pending = false;
        let why = instead.map_or_else(
            || format!("no echo within {:?}", self.plan.timeout),
            |instead| format!("not an echo: `{instead}`"),
        );
        self.complain(
            &format!("seq={seq}: {why}"),
            &json!({"event": "lost", "seq": seq, "why": why}),
        )
    }

    pub(super) fn fault(&self, fault: &Fault) -> io::Result<()> {
        let step = fault.step.as_str();
        self.complain(
            &format!("{step}: {fault}"),
            &json!({"event": "fault", "step": step, "why": fault.to_string()}),
        )
    }

    /// Whoever asked for lines of JSON reads those; all others read standard error.
    fn complain(&self, why: &str, object: &Value) -> io::Result<()> {
        match self.plan.form {
            Form::Json => writeln!(io::stdout(), "{object}"),
            _ => writeln!(
                io::stderr(),
                "ringback ping: {}: {why}",
                self.plan.target.url
            ),
        }
    }

    /// What was sent a moment ago had no time to be answered.
    pub(super) fn interrupted(&mut self) {
        self.sent -= u64::from(self.pending);
    }

    pub(super) fn closed(&self, goodbye: &Result<Goodbye, Fault>) -> io::Result<()> {
        let Goodbye { code, reason, time } = match goodbye {
            Err(fault) => return self.fault(fault),
            Ok(goodbye) => goodbye,
        };
        let seconds = time.as_secs_f64();
        self.say(
            || {
                format!(
                    "close        {}, {}",
                    milliseconds(seconds),
                    closed(*code, reason)
                )
            },
            || json!({"event": "closed", "code": code, "reason": reason, "seconds": seconds}),
        )
    }

    /// The summary. Whether all was answered, and anything.
    pub(super) fn conclude(&self) -> io::Result<bool> {
        let (sent, answered) = (self.sent, self.times.count);
        let lost = sent.saturating_sub(answered);
        let percent = lost as f64 * 100.0 / sent.max(1) as f64;
        let times = &self.times;
        let rtt = [times.min, times.average(), times.max, times.mdev()];
        self.say(
            || {
                let out = format!("{sent} sent, {answered} answered, {percent:.0} % lost");
                if answered == 0 {
                    return out;
                }
                let [min, average, max, mdev] = rtt.map(|it| format!("{:.3}", it * 1e3));
                out + &format!("\nrtt min/avg/max/mdev = {min}/{average}/{max}/{mdev} ms")
            },
            || {
                let [min, avg, max, mdev] = rtt;
                let rtt = json!({"min": min, "avg": avg, "max": max, "mdev": mdev});
                let rtt = (answered > 0).then_some(rtt);
                json!({"event": "summary", "sent": sent, "answered": answered, "lost": lost, "rtt_seconds": rtt})
            },
        )?;
        Ok(answered > 0 && lost == 0)
    }
}
