//! What the operator sees: the admin listener, what it tells of the options, and what of the log is wanted.

use clap::{Arg, ArgMatches};

use super::layers::{Given, Layers, Level};
use super::meaning::Said;
use super::options::{self, option, switch};
use super::units::Refusal;
use super::{Command, ConfigError};
use crate::admin::{Address, Told};
use crate::log::Filter;
use crate::status::DEFAULT_ADDRESS;

/// The options whose values the operator is told. One that is not here is hidden: whoever adds an option decides, and
/// until then it is a secret.
const SHOWN: &[&str] = &[
    "access-log",
    "admin",
    "allow-host",
    "allow-origin",
    "auth-file",
    "balance",
    "buffer-memory",
    "close-reasons",
    "config",
    "congestion-control",
    "deflate",
    "deflate-validate",
    "drain-code",
    "drain-delay",
    "drain-spread",
    "drain-timeout",
    "engine",
    "greeting",
    "greeting-after",
    "handshake-timeout",
    "handshakes-per-source",
    "idle-timeout",
    "listen",
    "log-filter",
    "log-format",
    "max-bandwidth",
    "max-connections",
    "max-connections-per-source",
    "max-message-rate",
    "max-message-size",
    "no-behaviours",
    "no-http",
    "no-pin",
    "no-socket-io",
    "path",
    "pin",
    "prefix",
    "protocol",
    "socket-buffers",
    "proxy-protocol-from",
    "socket-io-connect-timeout",
    "socket-io-max-payload",
    "socket-io-path",
    "socket-io-ping-interval",
    "socket-io-ping-timeout",
    "stall-timeout",
    "subprotocol",
    "tls-cert",
    "tls-client-ca",
    "tls-key",
    "tls-self-signed",
    "trusted-proxy",
    "tutorial",
    "uring-buffer-size",
    "uring-buffers",
    "uring-entries",
    "uring-incremental",
    "uring-min-wait",
    "workers",
];

/// The options that are known to be secrets, so that each option is in one of the two lists.
#[cfg(test)]
const HIDDEN: &[&str] = &[];

/// What an operator sees by.
pub(super) fn options() -> Vec<Arg> {
    vec![
        option("log-format", "text|json")
            .help("Form of the log on standard error")
            .default_value("text"),
        option("log-filter", "FILTER")
            .help(
                "What of the log is wanted: error, warn, info, debug or off, and others for parts, as in \
                 warn,ringback::connection=info",
            )
            .default_value("info"),
        option("access-log", "on|off")
            .help(
                "Whether the log has a line for every connection that ends and every request of HTTP, as many as there are; \
                 those for which there is no room, since nobody reads so fast, are left out and counted",
            )
            .default_value("off"),
        option("admin", "ADDR|unix:PATH").help(
            "Where to tell the operator how things stand (/metrics, /connections, /config, /healthz, /readyz), by HTTP without \
             any password: an address that only the operator reaches",
        ),
    ]
}

/// `ringback status`.
pub(super) fn command() -> clap::Command {
    clap::Command::new("status")
        .about("Tell how a running server is; exits with 0 if it serves, with 1 if it does not or is not there")
        .arg(
            option("admin", "ADDR|unix:PATH")
                .help("Its admin listener; also RINGBACK_ADMIN; else 127.0.0.1:9100"),
        )
        .arg(switch("json").help("As JSON"))
}

/// Reads where the admin listener is to be.
pub(super) fn admin(say: &Said<'_>) -> Result<Option<Address>, ConfigError> {
    say.get("admin")
        .map(|given| given.read(address))
        .transpose()
}

fn address(text: &str) -> Result<Address, Refusal> {
    let remedy = "write one such as 127.0.0.1:9100 or unix:/run/ringback/admin";
    Address::read(text).ok_or_else(|| Refusal::new("is no address of a listener", remedy))
}

/// Reads whom `ringback status` is to ask: by the flag, by the variable that the server itself has, or by custom.
pub(super) fn status(
    matches: &ArgMatches,
    environment: &[(String, String)],
) -> Result<Command, ConfigError> {
    let variable = environment
        .iter()
        .find(|(name, _)| name == "RINGBACK_ADMIN");
    let given = match (matches.get_one::<String>("admin"), variable) {
        (Some(text), _) => Given::new(vec![text.clone()], Level::Flag, "--admin".to_owned()),
        (None, Some((name, text))) => {
            Given::new(vec![text.clone()], Level::Environment, name.clone())
        }
        (None, None) => {
            let text = DEFAULT_ADDRESS.to_owned();
            Given::new(vec![text], Level::Default, "--admin".to_owned())
        }
    };
    Ok(Command::Status {
        address: given.read(address)?,
        json: matches.get_flag("json"),
    })
}

/// Reads what of the log is wanted.
pub(super) fn log_filter(text: &str) -> Result<Filter, Refusal> {
    Filter::read(text).ok_or_else(|| {
        Refusal::new(
            "is no filter of the log",
            "write a level (error, warn, info, debug, off), and behind commas others for parts, such as \
             info,ringback::http=debug",
        )
    })
}

/// Every option that has a value, with that and where it came from.
pub(super) fn told(layers: &Layers) -> Vec<Told> {
    let names = options::options();
    let names = names.iter().map(|arg| arg.get_id().as_str());
    let told = |name: &str| {
        let given = layers.get(name)?;
        let is_shown = SHOWN.contains(&name);
        Some(Told {
            option: name.to_owned(),
            values: is_shown.then(|| given.values.clone()),
            from: if given.level == Level::Default {
                "default".to_owned()
            } else {
                given.source.clone()
            },
        })
    };
    names.filter_map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_is_shown_or_hidden_by_decision() {
        let known: Vec<_> = SHOWN.iter().chain(HIDDEN).copied().collect();
        for option in options::options() {
            let name = option.get_id().as_str();
            let count = known.iter().filter(|it| **it == name).count();
            assert_eq!(count, 1, "--{name} is to be in SHOWN or in HIDDEN");
        }
        assert_eq!(
            known.len(),
            options::options().len(),
            "one is no option any more"
        );
    }

    #[test]
    fn what_nobody_has_decided_on_is_hidden() {
        let said = |value: &str| Given::new(vec![value.to_owned()], Level::Flag, "--it".to_owned());
        let layers = Layers::from([("listen".to_owned(), said("[::]:80"))]);
        let all = told(&layers);
        assert_eq!(all[0].values.as_deref(), Some(&["[::]:80".to_owned()][..]));
        assert_eq!(all[0].from, "--it");
        assert!(!SHOWN.contains(&"a-new-one"));
    }
}
