//! Who may come, and how much each may send.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgAction};
use ipnet::IpNet;

use crate::protocol::Moment;
use crate::protocol::guests::{self, Fault, Limits, Pace, Rate, Secrets, Sources};

use super::ConfigError;
use super::error::quote;
use super::file;
use super::layers::Given;
use super::meaning::Said;
use super::options::option;
use super::units::{Refusal, rate, size_rate};

/// Whoever may write to a file with this mode besides its owner and its group.
const WRITABLE_BY_ALL: u32 = 0o002;

/// Who may come, as it was said. What is to be read from files has not been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guests {
    rules: guests::Guests,
    limits: Limits,
    /// Where secrets are.
    auth_file: Option<PathBuf>,
}

impl Guests {
    /// The option that binds requests of HTTP, if one was given.
    pub(super) fn needs_http(&self) -> Option<&'static str> {
        let rules = &self.rules;
        let given = [
            ("allow-origin", !rules.origins.is_empty()),
            ("allow-host", !rules.hosts.is_empty()),
            ("path", !rules.paths.is_empty()),
            ("auth-file", self.auth_file.is_some()),
            ("trusted-proxy", !rules.proxies.is_empty()),
            ("max-message-rate", rules.pace.messages.is_some()),
        ];
        given.into_iter().find(|it| it.1).map(|(option, _)| option)
    }

    /// What all connections are held to, by this clock; none: nothing was asked for. Reads the file of secrets.
    ///
    /// # Errors
    /// Where that cannot be, or is not safe.
    pub fn policy(
        &self,
        clock: fn() -> Moment,
    ) -> Result<Option<Arc<guests::Guests>>, ConfigError> {
        let is_limited = self.limits != Limits::default();
        let guests = guests::Guests {
            secrets: self.secrets()?,
            sources: is_limited.then(|| Arc::new(Sources::new(self.limits, clock))),
            ..self.rules.clone()
        };
        let asks_for_something = guests != guests::Guests::default();
        Ok(asks_for_something.then(|| Arc::new(guests)))
    }

    /// The secrets as they are in their file now; none: there is no such file.
    ///
    /// # Errors
    /// Where they cannot be read, or are not safe.
    pub fn secrets(&self) -> Result<Option<Secrets>, ConfigError> {
        self.auth_file.as_deref().map(secrets_in).transpose()
    }
}

/// The options, in the order of the help.
pub(super) fn options() -> Vec<Arg> {
    let mut all = vec![
        option("allow-origin", "ORIGIN")
            .help(
                "Origin whose pages may ask, such as https://app.example.org, https://*.example.org or null; \
                 others get 403, programs without an origin may always; repeatable; none given allows all",
            )
            .action(ArgAction::Append),
        option("allow-host", "HOST")
            .help(
                "Name by which the server may be called, such as echo.example.org or *.example.org, with a port or \
                 any; requests for others get 421; repeatable; none given allows all",
            )
            .action(ArgAction::Append),
        option("path", "PATH")
            .help(
                "Path at which WebSockets are echoed, with or without a slash at its end; at others they get 404; \
                 repeatable; none given echoes everywhere. /x and Socket.IO have paths of their own",
            )
            .action(ArgAction::Append),
        option("auth-file", "FILE").help(
            "Names and SHA-256 of secrets, a line name:hash for each; whoever shows none gets 401, but /healthz \
             and /readyz are open",
        ),
        option("trusted-proxy", "CIDR")
            .help(
                "Address or network of proxies that are believed what they say of their clients in Forwarded or \
                 X-Forwarded-For, and X-Forwarded-Proto; repeatable",
            )
            .action(ArgAction::Append),
        option("proxy-protocol-from", "CIDR")
            .help(
                "Address or network of load balancers whose connections begin with a header of the PROXY protocol, \
                 version 1 or 2, before any TLS; without one they are closed; repeatable",
            )
            .action(ArgAction::Append),
    ];
    all.extend(limits());
    all
}

fn limits() -> [Arg; 4] {
    [
        option("max-connections-per-source", "N").help(
            "Connections at once from one IPv4 address or one IPv6 network of 64 bits, with sessions of Socket.IO that \
             poll and requests by way of --trusted-proxy; more get 429, or are closed",
        ),
        option("handshakes-per-source", "RATE").help(
            "How fast connections and sessions may come from one, such as 20/s or 600/m, as many of them at once; more \
             get 429, or are closed",
        ),
        option("max-message-rate", "RATE").help(
            "How fast messages are taken in from each connection, or session of Socket.IO, such as 100/s; whoever sends \
             faster is read from more slowly",
        ),
        option("max-bandwidth", "SIZE/s").help("The same in bytes, such as 1MiB/s"),
    ]
    .map(|arg| arg.default_value("unlimited"))
}

/// Reads the options of who may come.
pub(super) fn guests(say: &Said<'_>) -> Result<Guests, ConfigError> {
    let auth_file = say.get("auth-file");
    let auth_file = auth_file.map(|given| given.read(|path| Ok(PathBuf::from(path))));
    Ok(Guests {
        rules: guests::Guests {
            origins: all(say.get("allow-origin"), rule)?,
            hosts: all(say.get("allow-host"), rule)?,
            paths: all(say.get("path"), path)?,
            proxies: all(say.get("trusted-proxy"), network)?,
            balancers: all(say.get("proxy-protocol-from"), network)?,
            pace: Pace {
                messages: say
                    .required("max-message-rate")
                    .read(unless_unlimited(often))?,
                bytes: say.required("max-bandwidth").read(unless_unlimited(much))?,
            },
            ..guests::Guests::default()
        },
        limits: Limits {
            connections_max: say
                .required("max-connections-per-source")
                .read(unless_unlimited(count))?,
            handshakes: say
                .required("handshakes-per-source")
                .read(unless_unlimited(often))?,
        },
        auth_file: auth_file.transpose()?,
    })
}

/// Every value of a list that may be left out, but not be empty: that would let everyone in.
fn all<T>(
    given: Option<&Given>,
    meaning: impl Fn(&str) -> Result<T, Refusal>,
) -> Result<Vec<T>, ConfigError> {
    let Some(given) = given else {
        return Ok(Vec::new());
    };
    let words = given.words()?;
    if words.is_empty() {
        let remedy = "list those that are allowed, or leave it out to allow all";
        return Err(ConfigError::new(
            given.source.as_str(),
            "is an empty list",
            remedy,
        ));
    }
    let read = |word: &String| meaning(word).map_err(|refusal| given.refuse(word, refusal));
    words.iter().map(read).collect()
}

fn rule<T: FromStr<Err = Fault>>(text: &str) -> Result<T, Refusal> {
    text.parse()
        .map_err(|Fault { problem, remedy }| Refusal::new(problem, remedy))
}

/// A path without a slash at its end.
fn path(text: &str) -> Result<String, Refusal> {
    let is_right = |byte: u8| byte.is_ascii_graphic() && !b"?#\"<>".contains(&byte);
    if !text.starts_with('/') || !text.bytes().all(is_right) {
        let remedy = "write one such as /echo, without a query";
        return Err(Refusal::new("is no path", remedy));
    }
    Ok(text.strip_suffix('/').unwrap_or(text).to_owned())
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, Refusal> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    let network = address.or_else(|_| text.parse::<IpNet>());
    let network = network.map_err(|_| {
        let remedy = "write an address or a network, such as 10.0.0.0/8 or 2001:db8::/32";
        Refusal::new("is no network", remedy)
    })?;
    if network.trunc() != network {
        let remedy = format!("write {} for the network", network.trunc());
        return Err(Refusal::new("is an address within a network", remedy));
    }
    Ok(network)
}

fn unless_unlimited<T>(
    meaning: impl Fn(&str) -> Result<T, Refusal>,
) -> impl Fn(&str) -> Result<Option<T>, Refusal> {
    move |text| match text {
        "unlimited" => Ok(None),
        _ => meaning(text).map(Some),
    }
}

fn count(text: &str) -> Result<NonZeroU32, Refusal> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    number.ok_or_else(|| {
        let remedy = "write a number such as 100, or unlimited";
        Refusal::new("is no number above zero", remedy)
    })
}

fn often(text: &str) -> Result<Rate, Refusal> {
    rate(text).map(|(count, span)| Rate::new(count, span))
}

fn much(text: &str) -> Result<Rate, Refusal> {
    size_rate(text).map(|bytes: NonZeroU64| Rate::new(bytes, Duration::from_secs(1)))
}

fn secrets_in(path: &Path) -> Result<Secrets, ConfigError> {
    const SOURCE: &str = "--auth-file";
    let shown = quote(&path.to_string_lossy());
    let unreadable = |error: io::Error| {
        let reason = error.to_string();
        let reason = reason.split(" (os error").next().unwrap_or_default();
        let problem = format!("{shown} cannot be read ({reason})");
        ConfigError::new(SOURCE, problem, "name a file that this user may read")
    };
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & WRITABLE_BY_ALL != 0 {
        let problem = format!("{shown} may be written by everyone, who could let himself in");
        return Err(ConfigError::new(
            SOURCE,
            problem,
            "take that away: chmod o-w",
        ));
    }
    let text = file::read(path).map_err(unreadable)?;
    Secrets::read(&text).map_err(|(line, Fault { problem, remedy })| {
        let line = line.map(|line| format!("line {line} of "));
        let problem = format!("{}{shown} {problem}", line.unwrap_or_default());
        ConfigError::new(SOURCE, problem, remedy)
    })
}
