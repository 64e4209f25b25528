//! What is meant by what is said.

use std::net::SocketAddr;

use super::*;
use crate::engine::Goodbye;
use crate::http::Settings;
use crate::protocol::CloseCode;
use crate::protocol::policy::{GreetingAfter, Inflate};

fn addresses(config: &Config) -> Vec<String> {
    config
        .listen
        .iter()
        .map(|listen| listen.address.to_string())
        .collect()
}

#[test]
fn defaults() {
    let loopback = |text: &str, optional| Listen {
        address: text.parse::<SocketAddr>().unwrap(),
        optional,
        only_v6: true,
        tls: false,
    };
    let expected = Config {
        listen: vec![
            loopback("127.0.0.1:3000", false),
            loopback("[::1]:3000", true),
        ],
        listen_is_named: false,
        engine: EngineChoice::Auto,
        workers: NonZeroUsize::new(4).unwrap(),
        balance: false,
        pin: true,
        protocol: Protocol::WebSocket,
        http: Some(Settings::default()),
        tls: None,
        connections_max: None,
        drain_timeout: Duration::from_secs(10),
        drain_delay: Duration::ZERO,
        goodbye: Goodbye::default(),
        buffer_memory_bytes: 256 << 20,
        uring: UringTuning {
            buffers: None,
            buffer_bytes: None,
            incremental: None,
            entries: 512,
            min_wait: Duration::ZERO,
        },
        congestion_control: None,
        socket_buffer_bytes: None,
        log_format: LogFormat::Text,
        log_filter: Filter::default(),
        access_log: false,
        admin: None,
        said: Said::default(),
        policy: Policy::default(),
        guests: Guests::default(),
    };
    assert_eq!(flags(&[]), expected);
    assert_eq!(flags(&["serve"]), expected);
}

#[test]
fn this_machine_has_a_config() {
    let command = parse(["ringback".into()], &[], |_| unreachable!()).unwrap();
    let Command::Serve(config) = command else {
        panic!("{command:?}")
    };
    assert_eq!(
        config.workers,
        std::thread::available_parallelism().unwrap()
    );
}

#[test]
fn every_option_as_a_flag() {
    let config = flags(&[
        "serve",
        "--listen=0.0.0.0:80",
        "--listen=[::1]:0,localhost:81",
        "--engine=epoll",
        "--workers=3",
        "--balance=on",
        "--pin",
        "--no-http",
        "--max-connections=10000",
        "--drain-timeout=1500ms",
        "--drain-delay=2s",
        "--drain-spread=1s",
        "--drain-code=1012",
        "--buffer-memory=1MiB",
        "--uring-buffers=64",
        "--uring-buffer-size=32KiB",
        "--uring-incremental=off",
        "--uring-entries=256",
        "--uring-min-wait=50us",
        "--congestion-control=bbr",
        "--socket-buffers=64KiB",
        "--log-format=json",
        "--log-filter=warn",
        "--admin=unix:/run/admin",
        "--max-message-size=64KiB",
        "--handshake-timeout=5s",
        "--idle-timeout=2m",
        "--stall-timeout=3s",
        "--close-reasons=off",
        "--deflate=on",
        "--deflate-validate=never",
        "--greeting=hello",
        "--greeting-after=101",
        "--prefix=> ",
        "--subprotocol=chat",
        "--subprotocol=*",
    ]);
    assert_eq!(
        addresses(&config),
        ["0.0.0.0:80", "[::1]:0", "127.0.0.1:81", "[::1]:81"]
    );
    assert_eq!(
        Config {
            listen: Vec::new(),
            ..config
        },
        Config {
            listen: Vec::new(),
            tls: None,
            listen_is_named: true,
            engine: EngineChoice::Named(EngineName::Epoll),
            workers: NonZeroUsize::new(3).unwrap(),
            balance: true,
            pin: true,
            protocol: Protocol::WebSocket,
            http: None,
            connections_max: NonZeroUsize::new(10_000),
            drain_timeout: Duration::from_millis(1500),
            drain_delay: Duration::from_secs(2),
            goodbye: Goodbye {
                code: CloseCode::SERVICE_RESTART,
                spread: Duration::from_secs(1),
            },
            buffer_memory_bytes: 1 << 20,
            uring: UringTuning {
                buffers: Some(64),
                buffer_bytes: Some(32_768),
                incremental: Some(false),
                entries: 256,
                min_wait: Duration::from_micros(50),
            },
            congestion_control: Some("bbr".into()),
            socket_buffer_bytes: Some(65_536),
            log_format: LogFormat::Json,
            log_filter: Filter::read("warn").unwrap(),
            access_log: false,
            admin: Address::read("unix:/run/admin"),
            said: Said::default(),
            policy: Policy {
                message_bytes_max: Some(65_536),
                handshake_timeout: Duration::from_secs(5),
                idle_timeout: Some(Duration::from_secs(120)),
                stall_timeout: Duration::from_secs(3),
                close_reasons: false,
                greeting: Some("hello".into()),
                greeting_after: GreetingAfter::Handshake,
                prefix: Some("> ".into()),
                deflate: Some(Inflate::Never),
                subprotocols: vec!["chat".into(), "*".into()],
                ..Policy::default()
            },
            guests: Guests::default(),
        }
    );
}

#[test]
fn flag_over_variable_over_file_over_default() {
    let drain = |args: &[&str], environment: &[(&str, &str)], file: &str| {
        Start {
            machine: FOUR,
            args,
            environment,
            file,
        }
        .config()
        .drain_timeout
        .as_secs()
    };
    let variable = ("RINGBACK_DRAIN_TIMEOUT", "3s");
    let config = ("RINGBACK_CONFIG", "ringback.toml");
    let file = "drain-timeout = '2s'";
    assert_eq!(drain(&[], &[], file), 10);
    assert_eq!(drain(&[], &[config], file), 2);
    assert_eq!(drain(&["--config=ringback.toml"], &[], file), 2);
    assert_eq!(
        drain(
            &["--config=ringback.toml"],
            &[("RINGBACK_CONFIG", "absent")],
            file
        ),
        2
    );
    assert_eq!(drain(&[], &[config, variable], file), 3);
    assert_eq!(drain(&["--drain-timeout=4s"], &[config, variable], file), 4);
    assert_eq!(
        drain(&["serve", "--drain-timeout=4s"], &[config, variable], file),
        4
    );
}

#[test]
fn a_list_replaces_the_lists_below_it() {
    let start = Start {
        args: &[
            "--config=ringback.toml",
            "--listen=127.0.0.1:1",
            "--listen=127.0.0.1:2",
        ],
        environment: &[
            ("RINGBACK_LISTEN", "127.0.0.1:3"),
            ("RINGBACK_SUBPROTOCOL", "b"),
        ],
        file: "listen = ['127.0.0.1:4']\nsubprotocol = ['a']",
        ..PLAIN
    };
    let config = start.config();
    assert_eq!(addresses(&config), ["127.0.0.1:1", "127.0.0.1:2"]);
    assert_eq!(config.policy.subprotocols, ["b"]);
}

#[test]
fn pinned_where_every_cpu_has_its_worker() {
    let pin = |machine, args: &[&str]| {
        Start {
            machine,
            args,
            ..PLAIN
        }
        .config()
        .pin
    };
    assert!(pin(machine(4, 4), &[]));
    assert!(!pin(machine(1, 1), &[]), "one worker gains nothing");
    assert!(
        !pin(machine(2, 64), &[]),
        "a quota of two CPUs says nothing of which"
    );
    assert!(!pin(machine(4, 0), &[]), "unknown mask");
    assert!(!pin(FOUR, &["--workers=2"]));
    assert!(pin(FOUR, &["--workers=2", "--pin"]));
    assert!(!pin(FOUR, &["--no-pin"]));
    assert!(pin(FOUR, &["--workers=1", "--pin"]));
    let start = Start {
        environment: &[("RINGBACK_PIN", "yes")],
        args: &["--no-pin"],
        ..PLAIN
    };
    assert!(!start.config().pin);
    assert_eq!(
        flags_error(&["--workers=5", "--pin"]),
        "--pin: 5 workers do not fit on 4 CPUs one by one; use fewer workers, or --no-pin."
    );
}

#[test]
fn words_for_none() {
    assert_eq!(flags(&["--idle-timeout=0"]).policy.idle_timeout, None);
    assert_eq!(flags(&["--idle-timeout=off"]).policy.idle_timeout, None);
    assert_eq!(file("idle-timeout = 0").policy.idle_timeout, None);
    assert_eq!(flags(&["--drain-timeout=0"]).drain_timeout, Duration::ZERO);
    assert_eq!(flags(&["--greeting="]).policy.greeting, None);
    for none in [
        flags(&["--subprotocol="]),
        file("subprotocol = []"),
        file("subprotocol = ''"),
    ] {
        assert_eq!(none.policy.subprotocols, [""; 0]);
    }
    let start = Start {
        args: &[
            "--config=ringback.toml",
            "--max-message-size=unlimited",
            "--max-connections=unlimited",
        ],
        file: "max-message-size = '1MiB'\nmax-connections = 5",
        ..PLAIN
    };
    assert_eq!(start.config(), flags(&[]));
}

#[test]
fn when_to_greet() {
    let after = |text: &str| flags(&["--greeting-after", text]).policy.greeting_after;
    assert_eq!(after("101"), GreetingAfter::Handshake);
    assert_eq!(after("turn"), GreetingAfter::Turn);
    assert_eq!(after("0"), GreetingAfter::Turn);
    assert_eq!(after("1s"), GreetingAfter::Delay(Duration::from_secs(1)));
}

#[test]
fn variables_of_others() {
    let environment = [
        ("PATH", "/bin"),
        ("RINGBAC", "x"),
        ("MY_RINGBACK_LISTEN", "x"),
        ("RINGBACK_SERVICE_HOST", "10.0.0.1"),
        ("RINGBACK_SERVICE_PORT", "3000"),
        ("RINGBACK_SERVICE_PORT_WS", "3000"),
        ("RINGBACK_PORT", "tcp://10.0.0.1:3000"),
        ("RINGBACK_PORT_3000_TCP", "tcp://10.0.0.1:3000"),
        ("RINGBACK_PORT_3000_TCP_PROTO", "tcp"),
        ("RINGBACK_PORT_3000_TCP_PORT", "3000"),
        ("RINGBACK_PORT_3000_TCP_ADDR", "10.0.0.1"),
        ("RINGBACK_EU_PORT_53_UDP_ADDR", "10.0.0.2"),
        ("RINGBACK_EU_SERVICE_HOST", "10.0.0.2"),
    ];
    assert_eq!(
        Start {
            environment: &environment,
            ..PLAIN
        }
        .config(),
        flags(&[])
    );
}

#[test]
fn probe_looks_at_nothing_else() {
    let start = Start {
        environment: &[("RINGBACK_NONSENSE", "x")],
        ..PLAIN
    };
    let probe = |args| Start { args, ..start }.parse().unwrap();
    assert_eq!(probe(&["probe"]), Command::Probe { json: false });
    assert_eq!(probe(&["probe", "--json"]), Command::Probe { json: true });
}

#[test]
fn help_and_version() {
    let shown = |args: &[&str]| match (Start { args, ..PLAIN }).parse() {
        Err(ParseStop::Show(text)) => text.to_string(),
        other => panic!("{other:?}"),
    };
    let help = shown(&["--help"]);
    assert_eq!(help.matches("\n  ringback --").count(), 3, "{help}");
    assert!(help.contains("--uring-entries") && !shown(&["-h"]).contains("--uring-entries"));
    assert!(shown(&["serve", "--help"]).contains("--listen"));
    let version = shown(&["--version"]);
    let start = format!("ringback {} (commit ", env!("CARGO_PKG_VERSION"));
    assert!(
        version.starts_with(&start) && version.ends_with(")\n"),
        "{version}"
    );
}
