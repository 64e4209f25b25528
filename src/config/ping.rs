//! `ringback ping`: its options, and what they mean.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::ping::{Form, Plan, SIZE_MIN, Target, Trust};

use super::ConfigError;
use super::error::quote;
use super::options::{option, switch};
use super::units::{Refusal, duration, size, timeout};

/// The largest message: it is kept in memory.
const SIZE_MAX: u64 = 256 << 20;

/// Fields of the request that are the client's own.
const OWN_FIELDS: [&str; 6] = [
    "connection",
    "upgrade",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-version",
];

const URL_REMEDY: &str = "write ws://HOST:PORT/PATH, or wss:// with TLS";

pub(super) fn command() -> Command {
    let url = Arg::new("url")
        .value_name("URL")
        .help("ws://, wss://, http:// or https://")
        .default_value("ws://localhost:3000/");
    let count = option("count", "N")
        .short('c')
        .help("How many messages; without it they go on until SIGINT");
    let once = switch("once")
        .help("One message, and not a word if it comes back: for probes")
        .conflicts_with_all(["count", "json"]);
    let interval = option("interval", "DURATION")
        .short('i')
        .help("From one message to the next")
        .default_value("1s");
    let timeout = option("timeout", "DURATION")
        .help("For each step of the handshake, and for each echo")
        .default_value("5s");
    let size = option("size", "SIZE")
        .short('s')
        .help("Of each message, at least 8 bytes")
        .default_value("32");
    let header = option("header", "NAME: VALUE")
        .short('H')
        .help("Further field of the request, such as \"Origin: https://example.org\"; repeatable")
        .action(ArgAction::Append);
    let connect_to = option("connect-to", "HOST:PORT")
        .help("Connect there, whatever the URL says; Host and TLS keep the URL's name");
    let ca = option("ca", "FILE").help("Believe the authorities in this file (PEM), and no others");
    let insecure = switch("insecure")
        .help("Believe any certificate")
        .conflicts_with("ca");
    Command::new("ping")
        .about("Send messages to any WebSocket echo server, and time the echoes")
        .args([url, count, once, interval, timeout, size])
        .arg(switch("json").help("An object a line"))
        .args([header, connect_to, ca, insecure])
        .after_help(
            "Exit status: 0 all came back, 1 something did not or nobody is there, 2 an option is wrong.",
        )
}

pub(super) fn plan(said: &ArgMatches) -> Result<Plan, ConfigError> {
    let text = |name: &str| said.get_one::<String>(name).map(String::as_str);
    let is_once = said.get_flag("once");
    let form = if is_once {
        Form::Quiet
    } else if said.get_flag("json") {
        Form::Json
    } else {
        Form::Text
    };
    let trust = match text("ca") {
        _ if said.get_flag("insecure") => Trust::Anyone,
        Some(file) => Trust::File(file.into()),
        None => Trust::Machine,
    };
    let url = text("url").unwrap_or_default();
    let target = target(url).map_err(|refusal| {
        // What stands in front of the host may be a secret.
        let shown = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
        let problem = format!("{} {}", quote(shown), refusal.problem);
        ConfigError::new("URL", problem, refusal.remedy)
    })?;
    Ok(Plan {
        target,
        connect_to: read(said, "connect-to", place)?,
        headers: headers(said.get_many("header").unwrap_or_default())?,
        trust,
        size: read(said, "size", message_size)?.unwrap_or(SIZE_MIN),
        count: if is_once {
            Some(1)
        } else {
            read(said, "count", count)?
        },
        interval: read(said, "interval", duration)?.unwrap_or_default(),
        timeout: read(said, "timeout", patience)?.unwrap_or_default(),
        form,
    })
}

/// What an option means, if it was given or has a default.
fn read<T>(
    said: &ArgMatches,
    name: &str,
    meaning: impl Fn(&str) -> Result<T, Refusal>,
) -> Result<Option<T>, ConfigError> {
    let Some(text) = said.get_one::<String>(name) else {
        return Ok(None);
    };
    let meant = meaning(text).map_err(|refusal| {
        let problem = format!("{} {}", quote(text), refusal.problem);
        ConfigError::new(format!("--{name}"), problem, refusal.remedy)
    })?;
    Ok(Some(meant))
}

fn count(text: &str) -> Result<u64, Refusal> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(Refusal::new("is no number of messages", "write 1 or more")),
    }
}

fn patience(text: &str) -> Result<Duration, Refusal> {
    match timeout(text)? {
        Duration::ZERO => Err(Refusal::new(
            "leaves no time to answer",
            "write seconds, such as 5s",
        )),
        time => Ok(time),
    }
}

fn message_size(text: &str) -> Result<usize, Refusal> {
    let bytes = size(text)?;
    if bytes > SIZE_MAX {
        let problem = "is more than is kept in memory";
        return Err(Refusal::new(problem, "write at most 256MiB"));
    }
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if bytes < SIZE_MIN {
        let problem = "is too little to know an echo by";
        return Err(Refusal::new(problem, format!("write {SIZE_MIN} or more")));
    }
    Ok(bytes)
}

fn place(text: &str) -> Result<(String, u16), Refusal> {
    let remedy = "write HOST:PORT, such as 127.0.0.1:3000 or [::1]:3000";
    let authority: Option<Authority> = text.parse().ok().filter(|_| !text.contains('@'));
    authority
        .and_then(|it| Some((host(&it), it.port_u16()?)))
        .ok_or_else(|| Refusal::new("is no host with a port", remedy))
}

/// The host, without the brackets of an IPv6 address.
fn host(authority: &Authority) -> String {
    let host = authority.host();
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    inner.unwrap_or(host).to_owned()
}

fn target(url: &str) -> Result<Target, Refusal> {
    let wrong = |problem: &str| Refusal::new(problem, URL_REMEDY);
    let uri: Uri = url.parse().map_err(|_| wrong("is no URL"))?;
    let secure = match uri.scheme_str() {
        Some("ws" | "http") => false,
        Some("wss" | "https") => true,
        Some(_) => return Err(wrong("is no URL of a WebSocket")),
        None => return Err(wrong("has no scheme")),
    };
    let authority = uri.authority().filter(|it| !it.host().is_empty());
    let authority = authority.ok_or_else(|| wrong("has no host"))?;
    if authority.as_str().contains('@') {
        let problem = "has a name and perhaps a password in it";
        let remedy = "write --header 'Authorization: Basic ...' instead, with both in base64";
        return Err(Refusal::new(problem, remedy));
    }
    let port = authority.port_u16();
    if port.is_none() && authority.as_str() != authority.host() {
        return Err(wrong("has no right port"));
    }
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok(Target {
        url: url.to_owned(),
        secure,
        host: host(authority),
        port: port.unwrap_or(if secure { 443 } else { 80 }),
        authority: authority.to_string(),
        path: format!("{slash}{path}"),
    })
}

fn headers<'a>(fields: impl Iterator<Item = &'a String>) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    for field in fields {
        let (name, value) = header(field).map_err(|refusal| {
            // A value may be a secret.
            let name = field.split(':').next().unwrap_or_default();
            let problem = format!("{} {}", quote(name), refusal.problem);
            ConfigError::new("--header", problem, refusal.remedy)
        })?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn header(field: &str) -> Result<(HeaderName, HeaderValue), Refusal> {
    let remedy = "write it as NAME: VALUE";
    let wrong = |problem: &str| Refusal::new(problem, remedy);
    let (name, value) = field.split_once(':').ok_or_else(|| wrong("has no colon"))?;
    let name: HeaderName = name.parse().map_err(|_| wrong("is no name of a field"))?;
    if OWN_FIELDS.contains(&name.as_str()) {
        return Err(Refusal::new("is made by the handshake", "leave it out"));
    }
    let mut value: HeaderValue = value
        .trim()
        .parse()
        .map_err(|_| wrong("has a value with control characters"))?;
    value.set_sensitive(true);
    Ok((name, value))
}
