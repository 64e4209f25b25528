//! Every option, said in each of the three ways.

use super::*;

/// A value for each option that is not its default, as a variable has it and as the file does.
const SAID: [(&str, &str, &str); 51] = [
    (
        "listen",
        "127.0.0.1:1,127.0.0.1:2",
        "['127.0.0.1:1', '127.0.0.1:2']",
    ),
    ("protocol", "tcp", "'tcp'"),
    ("no-http", "true", "true"),
    ("max-connections", "7", "7"),
    ("congestion-control", "reno", "'reno'"),
    ("socket-buffers", "8KiB", "'8KiB'"),
    ("engine", "uring", "'uring'"),
    ("workers", "2", "2"),
    ("balance", "on", "'on'"),
    ("pin", "false", "false"),
    ("max-message-size", "1000", "1000"),
    ("handshake-timeout", "1s", "'1s'"),
    ("idle-timeout", "off", "'off'"),
    ("stall-timeout", "2s", "'2s'"),
    ("drain-timeout", "0", "0"),
    ("drain-delay", "5s", "'5s'"),
    ("drain-spread", "1s", "'1s'"),
    ("drain-code", "1012", "1012"),
    ("buffer-memory", "64MiB", "'64MiB'"),
    (
        "allow-origin",
        "https://a.example, null",
        "['https://a.example', 'null']",
    ),
    ("allow-host", "a.example", "['a.example']"),
    ("path", "/echo/", "['/echo']"),
    ("auth-file", "secrets", "'secrets'"),
    (
        "trusted-proxy",
        "10.0.0.0/8,::1",
        "['10.0.0.0/8', '::1/128']",
    ),
    ("proxy-protocol-from", "10.0.0.1", "['10.0.0.1/32']"),
    ("max-connections-per-source", "7", "7"),
    ("handshakes-per-source", "20/s", "'20/s'"),
    ("max-message-rate", "600/m", "'600/m'"),
    ("max-bandwidth", "64KiB/s", "'65536/s'"),
    ("greeting", "hi, you", "'hi, you'"),
    ("prefix", ": ", "': '"),
    ("tutorial", "true", "true"),
    ("greeting-after", "101", "101"),
    ("subprotocol", "a, b", "['a', 'b']"),
    ("deflate", "off", "'off'"),
    ("deflate-validate", "never", "'never'"),
    ("close-reasons", "off", "'off'"),
    ("no-behaviours", "true", "true"),
    ("no-socket-io", "true", "true"),
    ("socket-io-path", "/chat/io/", "'/chat/io'"),
    ("socket-io-ping-interval", "1s", "'1s'"),
    ("socket-io-ping-timeout", "2s", "'2s'"),
    ("socket-io-max-payload", "64KiB", "65536"),
    ("socket-io-connect-timeout", "3s", "'3s'"),
    ("log-format", "json", "'json'"),
    (
        "log-filter",
        "warn,ringback::http=debug",
        "'warn,ringback::http=debug'",
    ),
    ("access-log", "on", "'on'"),
    ("admin", "localhost:9100", "'127.0.0.1:9100'"),
    ("uring-incremental", "on", "'on'"),
    ("uring-entries", "64", "64"),
    ("uring-min-wait", "20us", "\"20us\""),
];

#[test]
fn variable_and_key_say_the_same_as_the_flag() {
    for (option, word, toml) in SAID {
        let variable = format!("RINGBACK_{}", option.replace('-', "_").to_uppercase());
        let by_variable = Start {
            environment: &[(&variable, word)],
            ..PLAIN
        }
        .config();
        let by_key = file(&format!("{option} = {toml}"));
        assert_ne!(by_variable, flags(&[]), "{option}");
        assert_eq!(by_variable, by_key, "{option}");
        let flag = match (option, word) {
            ("pin", _) => "--no-pin".to_owned(),
            ("tutorial" | "no-http" | "no-behaviours" | "no-socket-io", _) => format!("--{option}"),
            _ => format!("--{option}={word}"),
        };
        assert_eq!(by_variable, flags(&[&flag]), "{option}");
    }
}

#[test]
fn every_option_has_been_said() {
    let tried = |flag: &str| {
        SAID.iter()
            .any(|(option, _, _)| flag.split(' ').next() == Some(option))
    };
    let untried: Vec<String> = option_table()
        .into_iter()
        .map(|row| row.flag)
        // None of TLS can stand alone: `tls.rs` tries them.
        .filter(|flag| !tried(&flag[2..]) && !flag.starts_with("--tls-"))
        .collect();
    assert_eq!(
        untried,
        [
            "--no-pin",
            "--config FILE",
            "--uring-buffers N",
            "--uring-buffer-size SIZE"
        ]
    );
}
