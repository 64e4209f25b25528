//! Reads what a path and its query ask for, by the table.
//!
//! ```text
//! /x/NAME[/VALUE][?parameter=value&parameter&NAME&NAME=VALUE...]
//! ```

use super::super::table::{self, ECHO, ENTRIES, Entry, Kind, PATH, Parameter, RULES};
use super::{After, Answer, Ask, Bad, Drip, End, Fault, Greeting, Source};

/// The longest piece of a request that a fault repeats, in characters.
const QUOTED_CHARS_MAX: usize = 60;

/// A behaviour that is asked for, and what it is given.
struct Given {
    entry: &'static Entry,
    /// As it was written, decoded.
    values: Vec<(&'static Parameter, String)>,
}

impl Ask {
    /// Reads the path and the query of a request, from `/x` on, as they stand in its head.
    ///
    /// # Errors
    /// Where there is no such behaviour, where a value is missing or not within its bounds, or where two cannot
    /// be had together.
    pub fn read(path_and_query: &str) -> Result<Ask, Fault> {
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, query),
            None => (path_and_query, ""),
        };
        let rest = path
            .strip_prefix(PATH)
            .and_then(|rest| rest.strip_prefix('/'));
        let (name, value) = match rest.unwrap_or_default().split_once('/') {
            Some((name, value)) => (name, decode(value)?),
            None => (rest.unwrap_or_default(), String::new()),
        };
        let name = decode(name)?;
        let entry = table::find(&name).ok_or_else(|| unknown_name(&name))?;
        let mut all = vec![Given::new(entry, value)?];
        for piece in query.split('&').filter(|piece| !piece.is_empty()) {
            let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
            add(&mut all, &decode(key)?, decode(value)?)?;
        }
        check_together(&all)?;
        let mut ask = Ask::default();
        for given in &all {
            given.apply(&mut ask)?;
        }
        check_meaning(&ask)?;
        Ok(ask)
    }
}

/// Takes in one `key=value` of the query: a parameter of the path's behaviour, which is the first of `all`, or another
/// behaviour.
fn add(all: &mut Vec<Given>, key: &str, value: String) -> Result<(), Fault> {
    let first = &mut all[0];
    let is_twice = if let Some(parameter) = first.entry.parameter(key) {
        let is_twice = first.values.iter().any(|(known, _)| known.name == key);
        first.values.push((parameter, value));
        is_twice
    } else if let Some(entry) = table::find(key) {
        let is_twice = all.iter().any(|given| given.entry.name == key);
        all.push(Given::new(entry, value)?);
        is_twice
    } else {
        return Err(unknown_key(first.entry, key));
    };
    if is_twice {
        return Err(fault(format!(
            "{} is there twice: write it once.",
            quote(key)
        )));
    }
    Ok(())
}

impl Given {
    /// A behaviour with its VALUE; an empty one is none.
    fn new(entry: &'static Entry, value: String) -> Result<Given, Fault> {
        let values = match entry.parameters.first() {
            _ if value.is_empty() => Vec::new(),
            Some(parameter) => vec![(parameter, value)],
            None => {
                let name = entry.name;
                return Err(fault(format!(
                    "{name} takes no value, but {} is there: write {PATH}/{name}, or {name} in the query.",
                    quote(&value)
                )));
            }
        };
        Ok(Given { entry, values })
    }

    /// What it is given by this name, or else the default.
    fn read<T>(&self, name: &str, read: impl Fn(&Kind, &str) -> Option<T>) -> Result<T, Fault> {
        let written = self.values.iter().find(|(known, _)| known.name == name);
        let parameter = self.entry.parameter(name);
        let default = parameter.and_then(|parameter| parameter.default);
        let text = written.map(|(_, text)| text.as_str()).or(default);
        let value = parameter
            .zip(text)
            .and_then(|(parameter, text)| read(&parameter.kind, text));
        value.ok_or_else(|| {
            let right = parameter.map_or_else(String::new, |it| it.kind.to_string());
            let (entry, example) = (self.entry.name, self.entry.examples[0]);
            fault(match text {
                Some(text) => {
                    format!(
                        "{name} of {entry} is {}; it has to be {right}.",
                        quote(text)
                    )
                }
                None => {
                    format!("{entry} lacks its {name}; it has to be {right}, as in {example}.")
                }
            })
        })
    }

    /// Whether this flag is there.
    fn has(&self, name: &str) -> Result<bool, Fault> {
        let is_there = self.values.iter().any(|(known, _)| known.name == name);
        if is_there {
            self.read(name, Kind::flag)
        } else {
            Ok(false)
        }
    }

    /// Writes it into `ask`.
    fn apply(&self, ask: &mut Ask) -> Result<(), Fault> {
        match self.entry.name {
            "greet" => {
                ask.greeting = Some(Greeting {
                    text: self.read("text", Kind::text)?,
                    glued: self.has("glued")?,
                });
            }
            "subprotocol" => ask.subprotocol = Some(self.read("name", Kind::text)?),
            "auth" => ask.credentials = Some(self.read("scheme", Kind::credentials)?),
            "status" => ask.answer = Answer::Status(self.read("code", Kind::status)?),
            "redirect" => ask.answer = Answer::Redirect(self.read("to", Kind::text)?),
            "slow-handshake" => ask.slow_handshake = self.read("duration", Kind::time)?,
            "upper" => ask.upper = true,
            "silent" => ask.source = Source::Silent,
            "count" => {
                ask.source = Source::Count {
                    n: self.read("n", Kind::number)?,
                    every: self.read("every", Kind::time)?,
                };
            }
            "huge" => {
                ask.source = Source::Huge {
                    bytes: self.read("size", Kind::size)?,
                };
            }
            "broadcast" => {
                ask.source = Source::Broadcast {
                    room: self.read("room", Kind::text)?,
                };
            }
            "whoami" => ask.source = Source::Whoami,
            "frames" => ask.source = Source::Frames,
            "fragment" => ask.fragment = Some(self.read("size", Kind::length)?),
            "coalesce" => ask.coalesce = Some(self.read("answers", Kind::number)?),
            "drip" => {
                ask.drip = Some(Drip {
                    bytes: self.read("bytes", Kind::length)?,
                    every: self.read("every", Kind::time)?,
                });
            }
            "delay" => {
                ask.delay = self.read("duration", Kind::time)?;
                ask.jitter = self.read("jitter", Kind::time)?;
            }
            "ping" => {
                let every = self.read("every", Kind::time)?;
                ask.ping = Some((every, self.read("payload", Kind::text)?));
            }
            "no-pong" => ask.no_pong = true,
            "time" => ask.time = true,
            "close" => {
                let close = End::Close {
                    code: self.read("code", Kind::close_code)?,
                    reason: self.read("reason", Kind::text)?,
                };
                ask.end = Some((close, self.read("after", Kind::after)?));
            }
            "reset" => ask.end = Some((End::Reset, self.read("after", Kind::after)?)),
            "half-close" => ask.end = Some((End::HalfClose, self.read("after", Kind::after)?)),
            "bad" => {
                let bad = End::Bad(self.read("what", Kind::bad)?);
                ask.end = Some((bad, self.read("after", Kind::after)?));
            }
            // An echo, which is what is asked for by default.
            _ => {}
        }
        Ok(())
    }
}

/// What cannot be had together, by the names alone.
fn check_together(all: &[Given]) -> Result<(), Fault> {
    let names = || all.iter().map(|given| given.entry.name);
    for rule in RULES {
        let mut both = names().filter(|name| rule.names.contains(name));
        if let (Some(one), Some(other)) = (both.next(), both.next()) {
            let because = rule.because;
            return Err(fault(format!(
                "{one} and {other} cannot be had together, since {because}: leave one out."
            )));
        }
    }
    let refusal = names().find(|name| matches!(*name, "status" | "redirect"));
    let needs_a_websocket = |given: &&Given| !given.entry.is_over_http && given.entry.name != ECHO;
    let other = all.iter().find(needs_a_websocket);
    if let Some((refusal, other)) = refusal.zip(other) {
        let other = other.entry.name;
        return Err(fault(format!(
            "{refusal} and {other} cannot be had together, since {refusal} opens no WebSocket: leave one out."
        )));
    }
    Ok(())
}

/// What cannot be had together, by the values.
fn check_meaning(ask: &Ask) -> Result<(), Fault> {
    let problem = match &ask.end {
        Some((_, After::Messages(1..))) if ask.source == Source::Silent => {
            "silent answers no message, so that none is the last: give after a time, such as after=2s."
        }
        Some((End::Bad(Bad::Accept), after)) if *after != After::Messages(0) => {
            "bad/accept is in the 101, before anything that after could count: leave after out."
        }
        Some((End::Close { code: None, reason }, _)) if !reason.is_empty() => {
            "a Close without a code has no reason: give it a code, or leave the reason out."
        }
        _ => {
            let is_glued = ask.greeting.as_ref().is_some_and(|greeting| greeting.glued);
            if !(is_glued && ask.drip.is_some()) {
                return Ok(());
            }
            "glued and drip cannot be had together, since what drips is not in one write: leave one out."
        }
    };
    Err(fault(problem.to_owned()))
}

/// Percent-decoding (RFC 3986, section 2.1): strict, since what is wrong is better told than guessed at.
fn decode(text: &str) -> Result<String, Fault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = behind;
            continue;
        }
        let digit = |index: usize| Some(char::from(*behind.get(index)?).to_digit(16)? as u8);
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err(fault(format!(
                "{} has a % without two hexadecimal digits behind it; write %25 for the character itself.",
                quote(text)
            )));
        };
        bytes.push(high << 4 | low);
        rest = &behind[2..];
    }
    String::from_utf8(bytes).map_err(|_| {
        fault(format!(
            "{} is no UTF-8 once it is decoded; percent-encode the UTF-8 bytes of a text.",
            quote(text)
        ))
    })
}

fn unknown_name(name: &str) -> Fault {
    let problem = if name.is_empty() {
        format!("A behaviour is asked for by its name: {PATH}/NAME, such as {PATH}/{ECHO}")
    } else if let Some(entry) = table::nearest(name) {
        format!(
            "There is no behaviour {}; the nearest is {}",
            quote(name),
            entry.written()
        )
    } else {
        format!("There is no behaviour {}, nor one like it", quote(name))
    };
    Fault {
        status: 404,
        text: format!("{problem}. GET {PATH} lists all there are.\n"),
    }
}

/// Names what there is in place of `key`, which goes neither with the behaviour of the path nor is one.
fn unknown_key(entry: &Entry, key: &str) -> Fault {
    let owners: Vec<_> = ENTRIES
        .iter()
        .filter(|entry| entry.parameter(key).is_some())
        .map(|entry| entry.name)
        .collect();
    let own: Vec<_> = entry.parameters.iter().map(|it| it.name).collect();
    let own = if own.is_empty() {
        "none".to_owned()
    } else {
        own.join(", ")
    };
    let known = entry.parameters.iter().map(|it| it.name);
    let meant = table::nearest_of(key, known.chain(ENTRIES.iter().map(|entry| entry.name)));
    let (name, key) = (entry.name, quote(key));
    let elsewhere = if !owners.is_empty() {
        format!(
            " It is one of {}: put that one into the path.",
            owners.join(", ")
        )
    } else if let Some(meant) = meant {
        format!(" Write {meant} if that is meant.")
    } else {
        String::new()
    };
    fault(format!(
        "{key} is no parameter of {name} (it has: {own}) and no behaviour (GET {PATH} lists them).{elsewhere}"
    ))
}

/// A value, a parameter or a combination that is not right.
fn fault(mut sentence: String) -> Fault {
    sentence.push('\n');
    Fault {
        status: 400,
        text: sentence,
    }
}

/// A piece of the request as a sentence can carry it: on one line, and not too long.
fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("\"{}\"...", text[..end].escape_debug()),
        None => format!("\"{}\"", text.escape_debug()),
    }
}
