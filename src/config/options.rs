//! The options, once: the flags, and by their names the variables and the keys of the file.

use std::ffi::OsString;
use std::fmt;

use clap::builder::OsStringValueParser;
use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::error::quote;
use super::{ConfigError, ParseStop, ping};

/// The commit is told by the build script, for a release build.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("SOURCE_COMMIT"),
    ")"
);

const EXAMPLES: &str = "\
Examples:
  ringback --listen 0.0.0.0:3000 --max-message-size 1MiB
  ringback --tutorial
  ringback --listen tls://localhost:3443 --tls-self-signed localhost

Every option is also a variable (RINGBACK_IDLE_TIMEOUT=30s) and a key of the
file that --config names (idle-timeout = \"30s\"). A flag overrides a variable,
a variable the file. Lists are repeated flags or separated by commas.
Sizes: 65536, 64KiB, 10kB. Durations: 1500ms, 30s, 2m.";

/// The options of the server, in the order of the help.
pub(super) fn options() -> Vec<Arg> {
    let sections: [(&'static str, Vec<Arg>); 10] = [
        ("Listening", listening()),
        ("TLS", tls()),
        ("Workers", workers()),
        ("Limits", limits()),
        ("Who may come", super::guests::options()),
        ("Answers", answers()),
        ("Ordinary HTTP and what lives on it", http()),
        ("Configuration", configuration()),
        ("Log and admin listener", super::admin::options()),
        ("io_uring", uring()),
    ];
    let headed = |(heading, args): (&'static str, Vec<Arg>)| {
        args.into_iter().map(move |arg| arg.help_heading(heading))
    };
    sections.into_iter().flat_map(headed).collect()
}

fn listening() -> Vec<Arg> {
    vec![
        option("listen", "ADDR")
            .help(
                "Address and port to listen on; localhost is 127.0.0.1 and, where the host has \
                 it, ::1; [::] is all of IPv6 and IPv4; port 0 is any free one; tls:// in front \
                 speaks TLS there (wss:// and https://); repeatable",
            )
            .action(ArgAction::Append)
            .default_value("localhost:3000"),
        option("protocol", "websocket|tcp")
            .help("tcp sends bytes back as they come, without WebSocket (RFC 862)")
            .default_value("websocket"),
        option("max-connections", "N")
            .help("Connections served at once, over all workers")
            .default_value("unlimited"),
        option("congestion-control", "NAME")
            .help("TCP congestion control, such as cubic or bbr, instead of the system's choice"),
        option("socket-buffers", "SIZE|auto")
            .help(
                "What the kernel may keep of each connection in each direction, about, and no more than \
                 net.core.wmem_max and rmem_max; auto is what it finds best, which may be megabytes",
            )
            .default_value("auto"),
    ]
}

fn tls() -> Vec<Arg> {
    vec![
        option("tls-cert", "FILE")
            .help(
                "Certificate of this server in PEM, followed by those that lead to its issuer; repeatable: \
                 a client gets the one for the name that it asks for, or the first. It is read again when \
                 it changes",
            )
            .action(ArgAction::Append),
        option("tls-key", "FILE")
            .help("Private key of the certificate in the same place, in PEM; repeatable")
            .action(ArgAction::Append),
        option("tls-client-ca", "FILE").help(
            "Certificates in PEM of those who issue certificates to clients: whoever shows none of \
             theirs is refused",
        ),
        option("tls-self-signed", "NAME")
            .help(
                "Make a certificate for this name or address at start, to try TLS out: its \
                 fingerprint is in the log; repeatable",
            )
            .action(ArgAction::Append),
    ]
}

fn workers() -> Vec<Arg> {
    vec![
        option("engine", "auto|uring|epoll|tokio-uring")
            .help("How the kernel is asked; auto is the first of uring and epoll that works")
            .default_value("auto"),
        option("workers", "N")
            .help("Threads that serve; auto is one for each CPU they may use")
            .default_value("auto"),
        option("balance", "on|off")
            .help(
                "Whether workers hand new connections to whoever has the fewest, at some cost for each; \
                 else each serves those that the kernel gives it",
            )
            .default_value("off"),
        switch("pin")
            .help("Keep each worker on its own CPU; the default where every CPU has its worker")
            .conflicts_with("no-pin"),
        switch("no-pin").help("Let the kernel move workers between CPUs"),
    ]
}

fn limits() -> Vec<Arg> {
    vec![
        option("max-message-size", "SIZE")
            .help(
                "Largest message accepted; memory does not depend on it. Compressed text is measured \
                 inflated, compressed binary as it comes",
            )
            .default_value("unlimited"),
        option("handshake-timeout", "DURATION")
            .help("Time from the connection to the end of its request head")
            .default_value("10s"),
        option("idle-timeout", "DURATION")
            .help("Silence before a connection is given up, pinged at half of it; or off")
            .default_value("60s"),
        option("stall-timeout", "DURATION")
            .help(
                "Time without any acknowledged byte after which a peer that is owed some is \
                 given up",
            )
            .default_value("30s"),
        option("drain-timeout", "DURATION")
            .help("Time that connections have to finish once the server is told to stop")
            .default_value("10s"),
        option("drain-delay", "DURATION")
            .help(
                "Time in which /readyz says that the server goes down, and all else is served as ever, before it does: \
                 until whoever sends newcomers has noticed",
            )
            .default_value("0"),
        option("drain-spread", "DURATION")
            .help(
                "Part of --drain-timeout over which Closes are spread, so that not all peers come again at once; 0 is \
                 all at once",
            )
            .default_value("0"),
        option("drain-code", "1001|1012")
            .help("Close code for peers when the server goes down: it goes away, or it restarts")
            .default_value("1001"),
        option("buffer-memory", "SIZE")
            .help(
                "Memory for what waits for slow peers or for the rest of a frame, over all \
                 connections",
            )
            .default_value("256MiB"),
    ]
}

fn answers() -> Vec<Arg> {
    vec![
        option("greeting", "TEXT").help("Text message sent on connect; empty sends none"),
        option("prefix", "TEXT").help(
            "Text put in front of every message, which is then answered as text; empty leaves \
             messages as they are",
        ),
        switch("tutorial").help(
            "The server of the Node tutorial: --greeting \"Hi there\" --prefix \"Received: \"",
        ),
        option("greeting-after", "101|turn|DURATION")
            .help(
                "When to greet: with the 101, in the next turn of the event loop, or this much \
                 later; some clients lose a message that comes in one segment with the 101",
            )
            .default_value("20ms"),
        option("subprotocol", "NAME")
            .help(
                "Subprotocol to accept, the first that the client offers; * is any, empty none; \
                 repeatable",
            )
            .action(ArgAction::Append)
            .default_value("*"),
        option("deflate", "on|off")
            .help(
                "Whether compressed messages are agreed to (permessage-deflate), as long as there is no \
                 prefix",
            )
            .default_value("on"),
        option("deflate-validate", "text|never")
            .help(
                "Which compressed messages are inflated to be checked: text, or none, which are then \
                 echoed whatever they are",
            )
            .default_value("text"),
        option("close-reasons", "on|off")
            .help("Whether a Close of the server's own says in words why")
            .default_value("on"),
    ]
}

fn http() -> Vec<Arg> {
    vec![
        switch("no-http").help(
            "Answer no ordinary HTTP, and nothing that lives on it (the page, /healthz, /readyz, /x, \
             Socket.IO): whoever asks is told to upgrade",
        ),
        switch("no-behaviours")
            .help("Answer WebSockets at /x like all others, and offer no /http and no /sse"),
        switch("no-socket-io").help("Speak no Socket.IO and no Engine.IO"),
        option("socket-io-path", "PATH")
            .help("Where Socket.IO is spoken")
            .default_value("/socket.io/"),
        option("socket-io-ping-interval", "DURATION")
            .help("How often a Socket.IO client is asked whether it is there")
            .default_value("25s"),
        option("socket-io-ping-timeout", "DURATION")
            .help("How long the server waits for its answer")
            .default_value("20s"),
        option("socket-io-max-payload", "SIZE")
            .help("Largest payload of a Socket.IO message, or of a request that carries some")
            .default_value("1MB"),
        option("socket-io-connect-timeout", "DURATION")
            .help("Time that a Socket.IO client has to join a namespace")
            .default_value("45s"),
    ]
}

fn configuration() -> Vec<Arg> {
    vec![
        option("config", "FILE")
            .help("TOML file with these same options")
            .value_parser(OsStringValueParser::new()),
    ]
}

/// What only a measurement should change: in `--help`, not in `-h`.
fn uring() -> Vec<Arg> {
    let buffers = option("uring-buffers", "N")
        .help("Provided buffers of each worker, a power of two")
        .default_value("auto");
    let buffer_size = option("uring-buffer-size", "SIZE")
        .help("Size of each of them")
        .default_value("auto");
    let incremental = option("uring-incremental", "auto|on|off")
        .help("Whether several receives share a buffer (Linux 6.12)")
        .default_value("auto");
    let entries = option("uring-entries", "N")
        .help("Submission queue entries of each worker, a power of two")
        .default_value("512");
    let min_wait = option("uring-min-wait", "DURATION")
        .help("Wait so long for 64 events to act on together (Linux 6.12); 0 acts on the first at once")
        .default_value("0");
    [buffers, buffer_size, incremental, entries, min_wait]
        .map(|arg| arg.hide_short_help(true))
        .into()
}

/// An option with a value. Numbers below zero reach our own checks, which say more.
pub(super) fn option(name: &'static str, value: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .allow_negative_numbers(true)
}

pub(super) fn switch(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

/// The whole command line.
pub(super) fn command() -> Command {
    let serve = Command::new("serve")
        .about("Serve: the same as ringback alone")
        .args(options())
        .after_help(EXAMPLES);
    let probe = Command::new("probe")
        .about("Tell which engines and kernel features there are, without listening")
        .arg(switch("json").help("As JSON"));
    let shell = Arg::new("shell").value_name("SHELL").default_value("bash");
    let completions = Command::new("completions")
        .about("Write completions for a shell")
        .arg(shell.help("bash, zsh, fish, elvish or powershell"));
    let of = Arg::new("command").value_name("COMMAND");
    let man = Command::new("man")
        .about("Write the manual page, of ringback or of one of its commands")
        .arg(of.help("One of them"));
    Command::new("ringback")
        .version(VERSION)
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .args(options())
        .after_help(EXAMPLES)
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommand(serve)
        .subcommand(probe)
        .subcommand(ping::command())
        .subcommand(completions)
        .subcommand(man)
        .subcommand(super::admin::command())
}

/// Reads the command line. Values are still text.
pub(super) fn matches(args: impl IntoIterator<Item = OsString>) -> Result<ArgMatches, ParseStop> {
    command()
        .try_get_matches_from(args)
        .map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ParseStop::Show(error),
            _ => ParseStop::Error(misuse(&error)),
        })
}

/// What other servers call the parts of `--listen`, as a flag, a variable or a key.
pub(super) fn names_an_address(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_lowercase();
    ["port", "p", "host", "bind", "address", "addr"].contains(&name.as_str())
}

/// One sentence for what clap says on several lines.
fn misuse(error: &clap::Error) -> ConfigError {
    let context = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let argument = context(ContextKind::InvalidArg);
    let option = argument.split([' ', '=']).next().unwrap_or_default();
    let command = context(ContextKind::InvalidSubcommand);
    let help = "see ringback --help";
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let suggested = context(ContextKind::SuggestedArg);
            let remedy = if names_an_address(&argument) {
                "write --listen 127.0.0.1:3000 for this machine, --listen [::]:3000 for all"
                    .to_owned()
            } else if suggested.is_empty() {
                help.to_owned()
            } else {
                format!("write {suggested} if that is meant")
            };
            ConfigError::new(quote(&argument), "is no option", remedy)
        }
        ErrorKind::ArgumentConflict if !option.is_empty() => {
            let other = context(ContextKind::PriorArg);
            if other.is_empty() || other == argument {
                ConfigError::new(option, "is given more than once", "give it once")
            } else {
                let problem = format!("does not go with {other}");
                ConfigError::new(option, problem, "leave out one of the two")
            }
        }
        ErrorKind::ArgumentConflict
            if matches!(command.as_str(), "serve" | "probe" | "ping" | "status") =>
        {
            ConfigError::new(
                quote(&command),
                "stands behind an option",
                "write the command first",
            )
        }
        ErrorKind::ArgumentConflict | ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand => {
            let remedy = "write serve, probe, ping, status, or options that start with --";
            ConfigError::new(
                quote(&format!("{argument}{command}")),
                "is no command",
                remedy,
            )
        }
        ErrorKind::InvalidValue if !option.is_empty() => ConfigError::new(
            option,
            "has no value",
            format!("write {}", argument.replace(['<', '>'], "")),
        ),
        ErrorKind::TooManyValues => {
            let value = quote(&context(ContextKind::InvalidValue));
            ConfigError::new(
                option,
                format!("takes no value, not even {value}"),
                "write it alone",
            )
        }
        ErrorKind::InvalidUtf8 => {
            ConfigError::new("the command line", "is not all UTF-8", "write UTF-8 text")
        }
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            ConfigError::new(
                "the command line",
                first.trim_start_matches("error: "),
                help,
            )
        }
    }
}

/// One option as the README's table has it. `Display` writes the row in Markdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionRow {
    /// The flag with the name of its value, such as `--listen ADDR`.
    pub flag: String,
    /// What holds where nothing is said; empty: nothing, or what the meaning tells.
    pub default: String,
    /// The help.
    pub meaning: String,
}

impl fmt::Display for OptionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |text: &str| text.replace('|', "\\|");
        let default = match self.default.as_str() {
            "" => String::new(),
            default => format!("`{}`", cell(default)),
        };
        write!(
            f,
            "| `{}` | {default} | {} |",
            cell(&self.flag),
            cell(&self.meaning)
        )
    }
}

/// Every option of the server, in the order of the help: what the README's table must say.
pub fn option_table() -> Vec<OptionRow> {
    let words = |values: Vec<String>| values.join(" ");
    options()
        .iter()
        .map(|arg| {
            let value = arg
                .get_value_names()
                .unwrap_or_default()
                .iter()
                .map(|name| format!(" {name}"));
            let defaults = arg.get_default_values().iter();
            OptionRow {
                flag: format!("--{}{}", arg.get_id(), words(value.collect())),
                default: words(
                    defaults
                        .map(|text| text.to_string_lossy().into_owned())
                        .collect(),
                ),
                meaning: arg.get_help().map(ToString::to_string).unwrap_or_default(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_the_command_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_table_has_every_option_of_the_help_with_its_default() {
        let help = command().render_long_help().to_string();
        let table = option_table();
        for row in &table {
            assert!(help.contains(row.flag.split(' ').next().unwrap()), "{row}");
            assert!(
                !row.meaning.is_empty() && !row.meaning.ends_with('.'),
                "{row}"
            );
        }
        let flags = help
            .lines()
            .filter(|line| line.trim_start().starts_with("--"))
            .count();
        assert_eq!(flags, table.len());
        let row = |flag: &str| {
            table
                .iter()
                .find(|row| row.flag == flag)
                .unwrap()
                .to_string()
        };
        assert!(
            row("--idle-timeout DURATION").starts_with("| `--idle-timeout DURATION` | `60s` | S")
        );
        assert!(
            row("--engine auto|uring|epoll|tokio-uring")
                .starts_with("| `--engine auto\\|uring\\|epoll\\|tokio-uring` |")
        );
        assert!(row("--pin").starts_with("| `--pin` |  | Keep"));
    }
}
