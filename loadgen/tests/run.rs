//! `ringload run` as a user meets it, against a fake server, on every engine the machine has.

mod support;

use serde_json::Value;
use support::client::{engines, number, ringload, run, run_each, stderr, whole};
use support::{Habit, Script, serve};

#[test]
fn right_echoes_are_counted_timed_and_accounted() {
    let pid = std::process::id();
    for (arguments, size) in [
        ("--size 32", 32),
        ("--size 32 --text --in-flight 4", 32),
        ("--size 1 --protocol tcp", 1),
        ("--size 5000 --in-flight 3 --protocol tcp", 5000),
        ("--size 0 --in-flight 2", 0),
        ("--size 125", 125),
        ("--size 126 --text", 126),
        ("--size 65535", 65_535),
        ("--size 300KiB --in-flight 2 --threads 2", 300 << 10),
    ] {
        let arguments = format!(
            "--connections 3 --warmup 50ms --duration 200ms --server-pid {pid} {arguments}"
        );
        for (server, outcome) in run_each(Script::default(), &arguments) {
            outcome.expect_ok();
            server.log_without_complaints();
            let document = &outcome.document;
            assert_eq!(document["schema"], "ringload/3");
            assert_eq!(document["load"]["loop"], "closed");
            let messages = whole(document, "/result/completed");
            assert!(messages > 0);
            assert_eq!(whole(document, "/load/message/bytes_min"), size);
            assert_eq!(whole(document, "/load/message/bytes_max"), size);
            assert_eq!(
                whole(document, "/result/traffic/payload_bytes"),
                messages * size
            );
            assert!(whole(document, "/checks/messages_verified") >= messages);
            assert_eq!(whole(document, "/checks/messages_unanswered"), 0);
            expect_order(document, "latency");
            assert!(document["result"]["uncorrected_latency"].is_null());
            assert!(number(document, "/result/generator/cpu_ns_each") > 0.0);
            assert!(number(document, "/result/server/cpu_ns_each") > 0.0);
            assert!(whole(document, "/result/server/memory/rss_bytes") > 0);
        }
    }
}

fn expect_order(document: &Value, distribution: &str) {
    let at = |name: &str| whole(document, &format!("/result/{distribution}/{name}"));
    assert!(at("count") > 0 && at("min_ns") > 0);
    let order = [
        "min_ns",
        "p50_ns",
        "p90_ns",
        "p99_ns",
        "p99_9_ns",
        "p99_99_ns",
        "max_ns",
    ];
    assert!(order.is_sorted_by_key(|name| at(name)), "{distribution}");
    let histogram = &document["result"][distribution]["histogram_v2_deflate_base64"];
    assert!(histogram.as_str().unwrap().starts_with("HISTFAAA"));
}

/// The slices of the window are the window.
#[test]
fn the_series_adds_up_to_the_window() {
    for arguments in ["--in-flight 2", "--rate 800", "--duplex --size 1000"] {
        let arguments = format!("--connections 3 --warmup 100ms --duration 1s {arguments}");
        for (_, outcome) in run_each(Script::default(), &arguments) {
            outcome.expect_ok();
            let document = &outcome.document;
            let series = document["result"]["series"].as_array().unwrap();
            assert!((1..=600).contains(&series.len()), "{} slices", series.len());
            let messages: u64 = series.iter().map(|slice| whole(slice, "/completed")).sum();
            let seconds: f64 = series.iter().map(|slice| number(slice, "/seconds")).sum();
            let window_seconds = number(document, "/result/window_seconds");
            assert_eq!(messages, whole(document, "/result/completed"));
            assert!(
                (seconds - window_seconds).abs() < 0.01,
                "{seconds} of {window_seconds}"
            );
            let last = number(series.last().unwrap(), "/until_seconds");
            assert!(
                (last - window_seconds).abs() < 0.01,
                "{last} of {window_seconds}"
            );
            let ends = series.iter().map(|slice| number(slice, "/until_seconds"));
            assert!(ends.is_sorted());
        }
    }
}

/// Far more than a socket holds: sends stop half-way and go on when there is room.
#[test]
fn messages_larger_than_any_socket_buffer_echo() {
    let arguments = "--connections 1 --in-flight 2 --size 8MiB --warmup 0s --duration 2s";
    for (server, outcome) in run_each(Script::default(), arguments) {
        outcome.expect_ok();
        server.log_without_complaints();
        assert!(whole(&outcome.document, "/checks/messages_verified") >= 2);
    }
}

#[test]
fn a_seed_replays_payloads() {
    let seeds = ["1", "1", "2"].map(|seed| {
        let server = support::Server::websocket(Habit::CorruptFirst(3));
        let output = ringload(&format!(
            "run {} --engine epoll --seed {seed} --connections 1 --warmup 0s --json -",
            server.url()
        ));
        assert_eq!(output.status.code(), Some(1));
        server.log().alterations[0].right.clone()
    });
    assert_eq!(seeds[0], seeds[1]);
    assert_ne!(seeds[0], seeds[2]);
}

#[test]
fn bad_arguments_exit_with_2_and_say_what_is_right() {
    let mut complaints = Vec::new();
    for (arguments, phrase) in [
        ("run", "URL"),
        ("run http://127.0.0.1:1", "ws://"),
        ("run ws://", "host"),
        ("run ws://127.0.0.1:99999", "port"),
        ("run ws://127.0.0.1:1 tcp://127.0.0.1:1", "tcp://"),
        ("run ws://127.0.0.1:1 --protocol udp", "possible values"),
        ("run ws://127.0.0.1:1 --connections 0", "at least 1"),
        ("run ws://127.0.0.1:1 --connections many", "invalid digit"),
        (
            "run ws://127.0.0.1:1 --connections 4000000000 --size 0",
            "open files",
        ),
        ("run ws://127.0.0.1:1 --size 5parsecs", "such as 32, 64KiB"),
        (
            "run ws://127.0.0.1:1 --size 9..3",
            "put the smaller size first",
        ),
        ("run ws://127.0.0.1:1 --size 1,,2", "such as 32, 64KiB"),
        ("run ws://127.0.0.1:1 --size 2GiB", "1GiB"),
        (
            "run ws://127.0.0.1:1 --size log-normal:1KiB",
            "log-normal:MEDIAN,SIGMA",
        ),
        (
            "run ws://127.0.0.1:1 --size file:/nowhere",
            "cannot read /nowhere",
        ),
        (
            "run ws://127.0.0.1:1 --size file:/dev/null",
            "has no sizes; write one in each line",
        ),
        ("run tcp://127.0.0.1:1 --size 0", "at least 1"),
        (
            "run ws://127.0.0.1:1 --text --binary",
            "cannot be used with",
        ),
        ("run ws://127.0.0.1:1 --text --mixed", "cannot be used with"),
        ("run ws://127.0.0.1:1 --fragments 0", "at least 1"),
        ("run ws://127.0.0.1:1 --fragments 1000000000000", "at most"),
        (
            "run ws://127.0.0.1:1 --slow-readers 18446744073709551615",
            "open files",
        ),
        ("run ws://127.0.0.1:1 --start-at inf", "1970"),
        ("run ws://127.0.0.1:1 --start-at NaN", "1970"),
        (
            "run tcp://127.0.0.1:1 --fragments 2",
            "a TCP echo has neither",
        ),
        ("run ws://127.0.0.1:1 --ping-every 0s", "such as 5s"),
        (
            "run ws://127.0.0.1:1 --ping-every soon",
            "write ms, s, m or h",
        ),
        (
            "run tcp://127.0.0.1:1 --ping-every 1s",
            "a TCP echo has neither",
        ),
        (
            "run ws://127.0.0.1:1 --verify some",
            "possible values: full, sample",
        ),
        ("run ws://127.0.0.1:1 --threads 0", "at least 1"),
        (
            "run ws://127.0.0.1:1 --threads two",
            "a number of threads, or auto",
        ),
        (
            "run ws://127.0.0.1:1 --threads 2 --connections 1",
            "each thread needs one",
        ),
        ("run ws://127.0.0.1:1 --cpu 1023", "does not allow"),
        ("run ws://127.0.0.1:1 --cpu 3-1", "1 or 0,2-3"),
        (
            "run ws://127.0.0.1:1 --server-pid 2147483647",
            "cannot be read",
        ),
        ("run ws://127.0.0.1:1 --server-pid 0", "1.."),
        ("run ws://127.0.0.1:1 --engine kqueue", "possible values"),
        ("run ws://127.0.0.1:1 --seed x", "invalid digit"),
        ("run ws://127.0.0.1:1 --in-flight 0", "at least 1"),
        (
            "run ws://127.0.0.1:1 --in-flight 2 --rate 5",
            "cannot be used with",
        ),
        (
            "run ws://127.0.0.1:1 --in-flight 2 --duplex",
            "cannot be used with",
        ),
        (
            "run ws://127.0.0.1:1 --rate 5 --duplex",
            "cannot be used with",
        ),
        ("run ws://127.0.0.1:1 --rate 0", "above 0"),
        ("run ws://127.0.0.1:1 --rate=-1", "such as 500, 50k or 1.5M"),
        (
            "run ws://127.0.0.1:1 --rate fast",
            "such as 500, 50k or 1.5M",
        ),
        ("run ws://127.0.0.1:1 --rate 1k..2k", "write it as"),
        ("run ws://127.0.0.1:1 --rate 1k/0s", "such as 10s"),
        ("run ws://127.0.0.1:1 --rate 1k/1s,0/1s", "above 0"),
        ("run ws://127.0.0.1:1 --arrivals poisson", "--rate"),
        (
            "run ws://127.0.0.1:1 --rate 5 --arrivals chaos",
            "possible values: even, poisson",
        ),
        ("run ws://127.0.0.1:1 --duration 0s", "such as 5s"),
        ("run ws://127.0.0.1:1 --duration 1fortnight", "unit"),
        ("run ws://127.0.0.1:1 --warmup=-1s", "write ms, s, m or h"),
        ("run ws://127.0.0.1:1 --start-at noon", "invalid float"),
        (
            "run ws://127.0.0.1:1 --in-flight 100000 --size 1MiB",
            "at most 4GiB",
        ),
        ("run ws://127.0.0.1:1 --header nonsense", "NAME: VALUE"),
        ("run tcp://127.0.0.1:1 --header A:b", "needs WebSocket"),
        ("run ws://127.0.0.1:1 --subprotocol a,b", "subprotocol"),
        ("run tcp://127.0.0.1:1 --subprotocol a", "needs WebSocket"),
        ("run tcp://127.0.0.1:1 --deflate", "needs WebSocket"),
        ("run wss://127.0.0.1:1 --tls-ca /nowhere", "/nowhere"),
        ("run wss://127.0.0.1:1 --tls-ca /dev/null", "certificate"),
        (
            "run wss://127.0.0.1:1 --tls-ca /dev/null --tls-insecure",
            "cannot be used with",
        ),
        ("run ws://127.0.0.1:1 --tls-insecure", "wss://"),
        ("run ws://127.0.0.1:1 --unheard-of", "unexpected argument"),
        ("ride ws://127.0.0.1:1", "unrecognized subcommand"),
    ] {
        let output = ringload(arguments);
        let told = stderr(&output);
        let code = output.status.code();
        if code != Some(2) || !told.contains(phrase) || !output.stdout.is_empty() {
            complaints.push(format!("{arguments}: {code:?}, without {phrase:?}: {told}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_table_and_the_files_are_written() {
    let address = serve(Habit::Right);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let output = ringload(&format!(
        "run ws://{address}/ --duration 300ms --warmup 0s --connections 2 --histogram {} --csv {} \
         --hdr-log {} --json {}",
        at("latency.hgrm").display(),
        at("series.csv").display(),
        at("latency.hlog").display(),
        at("result.json").display(),
    ));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    for name in [
        "can be compared",
        "throughput",
        "latency",
        "generator",
        "messages/s",
        "p99.99",
    ] {
        assert!(table.contains(name), "{name} is not in {table}");
    }
    let read = |name: &str| std::fs::read_to_string(at(name)).unwrap();
    let percentiles = read("latency.hgrm");
    assert!(percentiles.contains("1/(1-Percentile)"), "{percentiles}");
    assert!(percentiles.contains("1.000000000000"), "{percentiles}");
    let document: Value = serde_json::from_str(&read("result.json")).unwrap();
    let slices = document["result"]["series"].as_array().unwrap().len();
    // A heading, and a row for each slice.
    let csv = read("series.csv");
    assert_eq!(csv.lines().count(), slices + 1, "{csv}");
    let log = read("latency.hlog");
    assert!(log.contains("HISTFAAA"), "{log}");
}

#[test]
fn quiet_says_nothing() {
    for engine in engines() {
        let address = serve(Habit::Right);
        let output = ringload(&format!(
            "run ws://{address} --engine {engine} --duration 50ms --warmup 0s --connections 1 --quiet"
        ));
        assert_eq!(output.status.code(), Some(0));
        assert_eq!((output.stdout.len(), output.stderr.len()), (0, 0));
    }
}

#[test]
fn a_window_without_an_answer_is_a_failure() {
    for engine in engines() {
        let address = serve(Habit::Late(400));
        let url = format!("ws://{address}/");
        let outcome = run(&url, engine, "--connections 1 --warmup 0s --duration 100ms");
        outcome.expect_failure(&["no message was answered within the window"]);
    }
}

#[test]
fn commands_that_went_to_ringbench_say_so_in_one_line() {
    for command in ["suite", "report", "selftest"] {
        let output = ringload(&format!("{command} --help"));
        let said = format!(
            "ringload: {command} is a command of ringbench now: write ringbench {command}\n"
        );
        assert_eq!((output.status.code(), stderr(&output)), (Some(2), said));
    }
}
