//! The sentence for each mistake. A table holds a case a line, its cells between ` | `.

use super::*;
use crate::protocol::policy::TEXT_BYTES_MAX;

/// The cells of every row.
fn rows<const CELLS: usize>(table: &str) -> impl Iterator<Item = [&str; CELLS]> {
    table.lines().filter(|line| !line.is_empty()).map(|line| {
        let cells: Vec<&str> = line.split(" | ").collect();
        cells.try_into().unwrap_or_else(|cells| panic!("{cells:?}"))
    })
}

const IMPOSSIBLE_VALUES: &str = "
listen | localhost | `localhost` has no port; write localhost:3000.
listen | 127.0.0.1:1,, | has an empty value; give it one, or leave the option out.
engine | kqueue | `kqueue` is none of its values; write auto, uring, epoll or tokio-uring.
engine |  | has an empty value; give it one, or leave the option out.
workers | 0 | `0` is not above zero; write a number from 1 to 1024, or auto.
workers | 1025 | `1025` is too large; write a number from 1 to 1024, or auto.
workers | 18446744073709551616 | `18446744073709551616` is too large; write a number from 1 to 1024, or auto.
workers | two | `two` is not a whole number above zero; write a number from 1 to 1024, or auto.
protocol | udp | `udp` is none of its values; write websocket or tcp.
max-connections | 0 | `0` is not above zero; write a number such as 10000, or unlimited.
max-connections | -1 | `-1` is not a whole number above zero; write a number such as 10000, or unlimited.
drain-spread | 11s | `11s` is longer than --drain-timeout; write a shorter time: whoever is told last needs some to finish.
drain-code | 1000 | `1000` is none of its values; write 1001 or 1012.
drain-timeout | 30 | `30` lacks a unit; write 30s for seconds or 30ms for milliseconds.
socket-io-path | // | `//` is the path of the echo and of the page; write a path such as /socket.io/, of letters, digits, and any of -._~/.
allow-origin | app.example | `app.example` has no scheme; write scheme and host, such as https://app.example.org, https://*.example.org or http://localhost:8080, or null.
allow-host | https://a | `https://a` is no host alone; write it without a scheme and without a path, such as echo.example.org.
path | echo | `echo` is no path; write one such as /echo, without a query.
path | /echo?a | `/echo?a` is no path; write one such as /echo, without a query.
trusted-proxy | proxy | `proxy` is no network; write an address or a network, such as 10.0.0.0/8 or 2001:db8::/32.
trusted-proxy | 10.1.2.3/8 | `10.1.2.3/8` is an address within a network; write 10.0.0.0/8 for the network.
max-connections-per-source | 0 | `0` is no number above zero; write a number such as 100, or unlimited.
handshakes-per-source | 20 | `20` is no rate; write one such as 20/s, 600/m or 1000/h, or unlimited.
max-message-rate | 0/s | `0/s` is no rate; write one such as 20/s, 600/m or 1000/h, or unlimited.
max-bandwidth | 64KiB | `64KiB` is no bandwidth; write a size in a second, such as 64KiB/s or 1MB/s, or unlimited.
buffer-memory | 1000kB | `1000kB` is too little for 4 workers; write at least 1024KiB.
buffer-memory | 2TiB | `2TiB` is too large; write at most 1TiB.
uring-buffers | 48 | `48` is not a power of two; write a power of two from 1 to 32768, or auto.
uring-buffers | 65536 | `65536` is too large; write a power of two from 1 to 32768, or auto.
uring-buffer-size | 1kB | `1kB` is out of range; write a size from 1KiB to 16MiB, or auto.
uring-buffer-size | 8GiB | `8GiB` is out of range; write a size from 1KiB to 16MiB, or auto.
uring-incremental | maybe | `maybe` is none of its values; write auto, on or off.
uring-entries | 0 | `0` is not a power of two; write a power of two from 1 to 512.
uring-min-wait | 1s | `1s` is too long; write at most 10ms, or 0.
uring-min-wait | 500ns | `500ns` is too short; write at least 1us, or 0.
uring-min-wait | 50 | `50` lacks a unit; write 50s for seconds or 50ms for milliseconds.
uring-entries | 1024 | `1024` is too large; write a power of two from 1 to 512.
congestion-control | b b r | `b b r` is no name of a congestion control; write one that `sysctl net.ipv4.tcp_available_congestion_control` lists.
congestion-control | abcdefghijklmnop | `abcdefghijklmnop` is no name of a congestion control; write one that `sysctl net.ipv4.tcp_available_congestion_control` lists.
socket-buffers | 100 | `100` is out of range; write a size from 1KiB to 16MiB, or auto.
balance | yes | `yes` is none of its values; write on or off.
log-format | xml | `xml` is none of its values; write text or json.
max-message-size | 0 | `0` leaves no message; write a size such as 1MiB, or unlimited.
max-message-size | 16EiB | `16EiB` is too large; write a size below 8EiB.
max-message-size | big | `big` is not a size; write bytes or a size such as 64KiB, 1MiB or 10kB.
handshake-timeout | 0s | `0s` leaves no time to connect; write one such as 10s.
handshake-timeout | 1us | `1us` is too short; write at least 10ms, or rather seconds.
idle-timeout | 1us | `1us` is too short; write at least 10ms, or rather seconds.
max-message-size | 64K | `64K` may mean two sizes; write 64KiB (by 1024) or 64kB (by 1000).
handshake-timeout | 30M | `30M` is longer than a week; write at most 7d (`m` is a minute, `M` a month).
stall-timeout | 0s | `0s` leaves no time to read; write one such as 30s.
deflate | true | `true` is none of its values; write on or off.
deflate-validate | binary | `binary` is none of its values; write text or never.
close-reasons | true | `true` is none of its values; write on or off.
idle-timeout | soon | `soon` is not a duration; write a number with its unit, such as 1500ms, 30s, 2m or 1h.
greeting-after | 20 | `20` lacks a unit; write 20s for seconds or 20ms for milliseconds, or 101, or turn.
subprotocol | a b | `a b` is no subprotocol; write a token without spaces such as chat.v1, or * for any.
";

#[test]
fn impossible_values() {
    for [option, value, sentence] in rows(IMPOSSIBLE_VALUES) {
        let flag = format!("--{option}");
        assert_eq!(flags_error(&[&flag, value]), format!("{flag}: {sentence}"));
        let variable = format!("RINGBACK_{}", option.replace('-', "_").to_uppercase());
        assert_eq!(
            variable_error(&variable, value),
            format!("{variable}: {sentence}")
        );
        let key = format!("{option} = {value:?}");
        assert_eq!(
            file_error(&key),
            format!("`{option}` in ringback.toml: {sentence}")
        );
    }
}

#[test]
fn impossible_switches() {
    let sentence = "`maybe` is none of its values; write true, false, yes, no, on, off, 1 or 0.";
    for variable in ["RINGBACK_PIN", "RINGBACK_TUTORIAL"] {
        assert_eq!(
            variable_error(variable, "maybe"),
            format!("{variable}: {sentence}")
        );
    }
}

#[test]
fn texts_have_their_bound() {
    let longest = "é".repeat(TEXT_BYTES_MAX / 2);
    assert_eq!(
        flags(&["--greeting", &longest]).policy.greeting.as_ref(),
        Some(&longest)
    );
    for option in ["--greeting", "--prefix"] {
        assert_eq!(
            flags_error(&[option, &format!("{longest}.")]),
            format!("{option}: has a text of 4097 bytes; write at most 4096.")
        );
    }
}

#[test]
fn what_tcp_cannot_do() {
    for (args, culprit) in [
        (&["--greeting=x"][..], "--greeting"),
        (&["--prefix=x"], "--prefix"),
        (&["--tutorial"], "--tutorial"),
        (&["--tutorial", "--greeting="], "--tutorial"),
        (&["--subprotocol=*"], "--subprotocol"),
        (&["--max-message-size=1MiB"], "--max-message-size"),
    ] {
        let args = [&["--protocol=tcp"], args].concat();
        assert_eq!(
            flags_error(&args),
            format!("{culprit}: does not go with --protocol tcp; leave out one of the two.")
        );
    }
    let both = Start {
        args: &["--config=ringback.toml"],
        environment: &[("RINGBACK_PROTOCOL", "tcp")],
        file: "greeting = 'x'",
        ..PLAIN
    };
    assert_eq!(
        both.error(),
        "`greeting` in ringback.toml: does not go with RINGBACK_PROTOCOL tcp; \
         leave out one of the two."
    );
    let plain = flags(&["--protocol=tcp", "--greeting="]);
    assert_eq!((plain.protocol, plain.http), (Protocol::Tcp, None));
}

const UNKNOWN_VARIABLES: &str = "
RINGBACK_LISTENS | x | write RINGBACK_LISTEN if that is meant
RINGBACK_IDLE_TIME_OUT | x | write RINGBACK_IDLE_TIMEOUT if that is meant
RINGBACK_listen | x | write RINGBACK_LISTEN if that is meant
RINGBACK_NO_PIN | 1 | write RINGBACK_PIN=false
RINGBACK_PORT | 3000 | write RINGBACK_LISTEN, which takes address and port
RINGBACK_ |  | see ringback --help for all there are
";

#[test]
fn unknown_variables() {
    for [name, value, remedy] in rows(UNKNOWN_VARIABLES) {
        let sentence = format!("{name}: is no variable of Ringback; {remedy}.");
        assert_eq!(variable_error(name, value), sentence);
    }
}

const UNUSABLE_KEYS: &str = r#"
listens = [] | `listens` | is no option; write listen if that is meant.
port = 3000 | `port` | is no option; write listen, which takes address and port.
no-pin = true | `no-pin` | is no option; write pin = false.
server.x = 1 | `server` | is no option; see ringback --help for all there are.
"a\nb" = 1 | `a\nb` | is no option; see ringback --help for all there are.
config = 'x' | `config` | names another file; name one file, by --config or RINGBACK_CONFIG.
listen = [] | `listen` | lists no address; list one such as "127.0.0.1:3000", or leave it out.
listen = [3000] | `listen` | lists a value of type integer; write a list of texts in quotes.
listen = true | `listen` | is of type boolean; write a list of texts in quotes.
pin = 'yes' | `pin` | is of type string; write true or false, without quotes.
greeting = true | `greeting` | is of type boolean; write one text in quotes.
engine = ['uring'] | `engine` | is of type array; write one text in quotes.
idle-timeout = 1.5 | `idle-timeout` | is of type float; write one text in quotes.
drain-timeout = 2026-01-01 | `drain-timeout` | is of type datetime; write one text in quotes.
idle-timeout = 30 | `idle-timeout` | `30` lacks a unit; write 30s for seconds or 30ms for milliseconds.
"#;

#[test]
fn unusable_keys() {
    for [line, key, sentence] in rows(UNUSABLE_KEYS) {
        assert_eq!(
            file_error(line),
            format!("{key} in ringback.toml: {sentence}")
        );
    }
}

#[test]
fn a_file_that_is_not_toml() {
    for file in [
        "pin = true\nidle-timeout = 30s\n",
        "pin = true\npin = true",
        "\nlisten =",
    ] {
        let error = file_error(file);
        let start = "--config: `ringback.toml` is not TOML in line 2 (";
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn a_file_that_cannot_be_read() {
    for (option, error) in [
        ("--config", flags_error(&["--config", "absent.toml"])),
        (
            "RINGBACK_CONFIG",
            variable_error("RINGBACK_CONFIG", "absent.toml"),
        ),
    ] {
        let start = format!("{option}: `absent.toml` cannot be read (");
        assert!(error.starts_with(&start), "{error}");
    }
}

const MISUSES: &str = "
--listne | `--listne`: is no option; write --listen if that is meant.
--listen 127.0.0.1:1 --zzz | `--zzz`: is no option; see ringback --help.
--port 3000 | `--port`: is no option; write --listen 127.0.0.1:3000 for this machine, --listen [::]:3000 for all.
-p 3000 | `-p`: is no option; write --listen 127.0.0.1:3000 for this machine, --listen [::]:3000 for all.
--pin --no-pin | --pin: does not go with --no-pin; leave out one of the two.
--no-pin --workers 2 --pin | --no-pin: does not go with --pin; leave out one of the two.
--pin --pin | --pin: is given more than once; give it once.
probe --pin | `--pin`: is no option; see ringback --help.
srve | `srve`: is no command; write serve, probe, ping, status, or options that start with --.
serve x | `x`: is no command; write serve, probe, ping, status, or options that start with --.
--listen | --listen: has no value; write --listen ADDR.
--engine | --engine: has no value; write --engine auto|uring|epoll|tokio-uring.
--engine --pin | --engine: has no value; write --engine auto|uring|epoll|tokio-uring.
--config= | --config: names no file; write the path of a TOML file.
--pin=false | --pin: takes no value, not even `false`; write it alone.
--workers 1 --workers 2 | --workers: is given more than once; give it once.
--pin serve | `serve`: stands behind an option; write the command first.
--listen 127.0.0.1:1 127.0.0.1:2 | `127.0.0.1:2`: is no command; write serve, probe, ping, status, or options that start with --.
";

#[test]
fn misuse_of_the_command_line() {
    for [words, sentence] in rows(MISUSES) {
        let args: Vec<&str> = words.split(' ').collect();
        assert_eq!(flags_error(&args), sentence);
    }
    assert_eq!(
        flags_error(&["--a\nb"]),
        "`--a\\nb`: is no option; see ringback --help."
    );
    let sentence = "RINGBACK_CONFIG: names no file; write the path of a TOML file.";
    assert_eq!(variable_error("RINGBACK_CONFIG", ""), sentence);
}

#[test]
fn arguments_that_are_not_text() {
    use std::os::unix::ffi::OsStringExt;
    let bad = OsString::from_vec(b"--greeting=\xff".to_vec());
    let stop = parse(["ringback".into(), bad], &[], |_| unreachable!()).unwrap_err();
    let ParseStop::Error(error) = stop else {
        panic!("{stop:?}")
    };
    assert_eq!(
        error.to_string(),
        "the command line: is not all UTF-8; write UTF-8 text."
    );
}
