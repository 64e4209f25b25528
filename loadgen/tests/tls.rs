//! `ringload run` through TLS, against a server that runs in this process and that ringload must
//! first be given a reason to trust.

#[path = "../src/link/rehearsal.rs"]
#[allow(dead_code, reason = "the unit tests use the rest")]
mod rehearsal;
mod relay;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;

use base64::Engine as _;
use rustls::version::TLS12;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use sha1::{Digest, Sha1};
use tempfile::NamedTempFile;

use rehearsal::Authority;
use relay::Relay;

/// What the server does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Echoes.
    Right,
    /// Drops the connection instead of the reply with this number, without a close_notify.
    Cut(u64),
    /// Sends a close_notify instead of the reply with this number.
    Farewell(u64),
    /// Answers the upgrade with a redirect.
    Redirect,
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// Serves `wss://` on a free port of 127.0.0.1 until the test ends.
fn serve(config: ServerConfig, habit: Habit) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = Arc::new(config);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            // A client that goes away in the middle is no concern of the server's.
            thread::spawn(move || drop(echo(StreamOwned::new(connection, stream), habit)));
        }
    });
    address
}

fn echo(mut stream: Stream, habit: Habit) -> std::io::Result<()> {
    let head = read_head(&mut stream)?;
    let value = |name: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    if habit == Habit::Redirect {
        stream.write_all(
            b"HTTP/1.1 307 Elsewhere\r\nLocation: wss://other.example/\r\n\
              Content-Length: 0\r\n\r\n",
        )?;
        return stream.flush();
    }
    let key = value("Sec-WebSocket-Key").unwrap_or_default();
    let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = base64::engine::general_purpose::STANDARD.encode(digest);
    // The last one offered, to whoever has said who it is.
    let subprotocol = match (value("Sec-WebSocket-Protocol"), value("X-Who")) {
        (Some(offered), Some("a tester")) => {
            let last = offered.rsplit(", ").next().unwrap_or_default();
            format!("Sec-WebSocket-Protocol: {last}\r\n")
        }
        _ => String::new(),
    };
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{subprotocol}\r\n"
    )?;
    for number in 0.. {
        let (first, payload) = read_frame(&mut stream)?;
        match habit {
            Habit::Cut(n) if n == number => return Ok(()),
            Habit::Farewell(n) if n == number => {
                stream.conn.send_close_notify();
                return stream.flush();
            }
            _ => {}
        }
        let mut reply = vec![first];
        match payload.len() {
            short @ 0..=125 => reply.push(short as u8),
            middle @ 126..=0xffff => {
                reply.push(126);
                reply.extend_from_slice(&(middle as u16).to_be_bytes());
            }
            long => {
                reply.push(127);
                reply.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        reply.extend_from_slice(&payload);
        stream.write_all(&reply)?;
        if first == 0x88 {
            stream.conn.send_close_notify();
            return stream.flush();
        }
    }
    Ok(())
}

fn read_head(stream: &mut Stream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// First byte and unmasked payload of a frame.
fn read_frame(stream: &mut Stream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut start = [0; 2];
    stream.read_exact(&mut start)?;
    let length = match start[1] & 0x7f {
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            usize::from(u16::from_be_bytes(length))
        }
        127 => {
            let mut length = [0; 8];
            stream.read_exact(&mut length)?;
            usize::try_from(u64::from_be_bytes(length)).unwrap()
        }
        short => usize::from(short),
    };
    let mut key = [0; 4];
    stream.read_exact(&mut key)?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    for (index, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[index % 4];
    }
    Ok((start[0], payload))
}

/// The authority's certificate in a file.
fn file(authority: &Authority) -> NamedTempFile {
    written(&authority.pem)
}

fn written(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn run(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringload"));
    command.args(["run", url, "--connections", "3", "--json", "-"]);
    command.args(["--warmup", "50ms"]).args(arguments);
    if !arguments.contains(&"--duration") {
        command.args(["--duration", "300ms"]);
    }
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The document of a run that must have gone well.
fn document(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(document["result"]["completed"].as_u64().unwrap() > 0);
    document
}

/// What a run says that must fail with this exit status.
fn failure(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let errors = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    errors
}

#[test]
fn messages_of_every_size_echo_through_tls() {
    let authority = Authority::new("authority");
    let ca = file(&authority);
    let ca = ca.path().to_str().unwrap();
    let address = serve(authority.issue(&["127.0.0.1"]).server(), Habit::Right);
    let url = format!("wss://{address}/");
    for engine in ["auto", "epoll"] {
        for traffic in [
            &["--size", "32"][..],
            &["--size", "0", "--in-flight", "8"],
            &["--size", "20000", "--in-flight", "3"],
            // More than a record holds; time enough for a machine that is busy otherwise.
            &["--size", "100KiB", "--in-flight", "2", "--duration", "1s"],
        ] {
            let arguments = [&["--tls-ca", ca, "--engine", engine], traffic].concat();
            let document = document(&mut run(&url, &arguments));
            let tls = document["load"]["tls"].as_str().unwrap();
            assert!(tls.starts_with("TLSv1.3 "), "{tls}");
            assert_eq!(document["checks"]["messages_unanswered"], 0);
        }
    }
}

#[test]
fn handshakes_that_resume_a_session_are_counted_apart() {
    let authority = Authority::new("authority");
    let ca = file(&authority);
    let ca = ca.path().to_str().unwrap();
    let address = serve(authority.issue(&["127.0.0.1"]).server(), Habit::Right);
    let mut churn = Command::new(env!("CARGO_BIN_EXE_ringload"));
    churn.args(["churn", &format!("wss://{address}/"), "--tls-ca", ca]);
    churn.args([
        "-c",
        "1",
        "--sessions",
        "20",
        "-d",
        "60s",
        "--warmup",
        "0s",
        "--json",
        "-",
    ]);
    let sessions = document(&mut churn)["result"]["sessions"].clone();
    let count = |name: &str| sessions[name]["count"].as_u64().unwrap();
    let (all, resumed) = (count("handshake"), count("handshake_resumed"));
    assert!(0 < resumed && resumed <= all, "{resumed} of {all}");
}

#[test]
fn a_check_goes_through_tls() {
    let authority = Authority::new("authority");
    let ca = file(&authority);
    let address = serve(authority.issue(&["127.0.0.1"]).server(), Habit::Right);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringload"));
    command.args(["check", &format!("wss://{address}/"), "--tls-ca"]);
    command.arg(ca.path()).args(["--json", "-"]);
    command.args(["--only", "frames/binary-of", "--only", "close/code-1000"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["totals"]["pass"], 10, "{document:#}");
}

#[test]
fn a_server_of_tls_1_2_will_do() {
    let authority = Authority::new("authority");
    let ca = file(&authority);
    let config = authority.issue(&["localhost"]).server_of(&[&TLS12]);
    let address = serve(config, Habit::Right);
    let url = format!("wss://localhost:{}/", address.port());
    let ca = ca.path().to_str().unwrap();
    let document = document(&mut run(&url, &["--tls-ca", ca]));
    let tls = document["load"]["tls"].as_str().unwrap();
    assert!(tls.starts_with("TLSv1.2 "), "{tls}");
}

#[test]
fn a_server_is_trusted_for_a_reason_only() {
    let authority = Authority::new("authority");
    let address = serve(authority.issue(&["127.0.0.1"]).server(), Habit::Right);
    let url = format!("wss://{address}/");
    let (right, wrong) = (file(&authority), file(&Authority::new("another")));
    let with_ca = |ca: &NamedTempFile| run(&url, &["--tls-ca", ca.path().to_str().unwrap()]);

    let errors = failure(&mut with_ca(&wrong), 1);
    assert!(
        errors.contains("issuer is unknown") && errors.contains("--tls-insecure"),
        "{errors}"
    );
    let other = format!("wss://localhost:{}/", address.port());
    let path = right.path().to_str().unwrap();
    let errors = failure(&mut run(&other, &["--tls-ca", path]), 1);
    assert!(errors.contains("not for \"localhost\""), "{errors}");

    document(&mut with_ca(&right));
    document(&mut run(&url, &["--tls-insecure"]));
    // The system's certificates are those that OpenSSL's variables name, where they are set.
    document(run(&url, &[]).env("SSL_CERT_FILE", right.path()));
    let errors = failure(run(&url, &[]).env("SSL_CERT_FILE", wrong.path()), 1);
    assert!(
        errors.contains("issuer is unknown") && errors.contains("--tls-ca"),
        "{errors}"
    );
}

#[test]
fn arguments_that_cannot_be_followed_are_told_before_anything_is_done() {
    let empty = NamedTempFile::new().unwrap();
    let empty = empty.path().to_str().unwrap();
    let url = "wss://127.0.0.1:9/";
    for (url, arguments, phrase) in [
        (
            url,
            &["--tls-ca", "/nonexistent"][..],
            "--tls-ca /nonexistent: the file cannot be read",
        ),
        (url, &["--tls-ca", empty], "there is no certificate in it"),
        (
            url,
            &["--tls-ca", empty, "--tls-insecure"],
            "cannot be used with",
        ),
        (
            "ws://127.0.0.1:9/",
            &["--tls-insecure"],
            "needs a wss:// URL",
        ),
        ("tcp://127.0.0.1:9", &["--deflate"], "needs WebSocket"),
        (
            "ws://127.0.0.1:9/",
            &["tcp://127.0.0.1:9"],
            "cannot be mixed",
        ),
        (
            "ws://127.0.0.1:9/",
            &["--header", "Upgrade: x"],
            "set by the handshake",
        ),
        (
            "ws://127.0.0.1:9/",
            &["--header", "A: b\r\nC: d"],
            "control character",
        ),
        (
            "ws://127.0.0.1:9/",
            &["--subprotocol", "a b"],
            "no subprotocol",
        ),
    ] {
        let errors = failure(&mut run(url, arguments), 2);
        assert!(errors.contains(phrase), "{errors}");
    }
    let mut command = run(url, &[]);
    command
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent");
    let errors = failure(&mut command, 2);
    assert!(errors.contains("the system has none"), "{errors}");
}

#[test]
fn headers_and_subprotocols_reach_every_one_of_several_servers() {
    let authority = Authority::new("authority");
    let addresses: Vec<SocketAddr> = (0..2)
        .map(|_| serve(authority.issue(&["127.0.0.1"]).server(), Habit::Right))
        .collect();
    let urls = addresses.iter().map(|address| format!("wss://{address}/"));
    let urls: Vec<String> = urls.collect();
    let offer = [
        "--tls-insecure",
        "--subprotocol",
        "v2.chat",
        "--subprotocol",
        "chat",
    ];
    let mut command = run(&urls[0], &[&urls[1]]);
    let document = document(command.args(offer).args(["--header", "X-Who: a tester"]));
    assert_eq!(document["load"]["subprotocol"], "chat");
    let listed: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    assert_eq!(document["load"]["addresses"], Value::from(listed));
    assert_eq!(document["load"]["urls"], Value::from(urls.clone()));

    let errors = failure(run(&urls[0], &[]).args(offer), 1);
    assert!(
        errors.contains("chose none of the subprotocols offered"),
        "{errors}"
    );
    let errors = failure(&mut run(&urls[0], &["--tls-insecure", "--deflate"]), 1);
    assert!(
        errors.contains("does not accept permessage-deflate"),
        "{errors}"
    );
}

#[test]
fn what_goes_wrong_behind_tls_is_told() {
    let authority = Authority::new("authority");
    let identity = authority.issue(&["127.0.0.1"]);
    for (habit, phrase) in [
        (Habit::Cut(3), "ended the connection"),
        (Habit::Farewell(3), "ended the connection"),
        (Habit::Redirect, "wss://other.example/"),
    ] {
        let url = format!("wss://{}/", serve(identity.server(), habit));
        for engine in ["auto", "epoll"] {
            let errors = failure(&mut run(&url, &["--tls-insecure", "--engine", engine]), 1);
            assert!(errors.contains(phrase), "{errors}");
        }
    }
}

#[test]
fn who_we_are_is_shown_to_a_server_that_asks() {
    let authority = Authority::new("authority");
    let address = serve(authority.guarded_server(&["127.0.0.1"]), Habit::Right);
    let url = format!("wss://{address}/");
    let [certificate, key] = authority.issue_client().map(|pem| written(&pem));
    let [certificate, key] = [&certificate, &key].map(|file| file.path().to_str().unwrap());
    for engine in ["auto", "epoll"] {
        let arguments = ["--tls-insecure", "--engine", engine];
        let shown = ["--tls-cert", certificate, "--tls-key", key];
        document(&mut run(&url, &[&arguments[..], &shown].concat()));
        let errors = failure(&mut run(&url, &arguments), 1);
        assert!(errors.contains("--tls-cert FILE"), "{errors}");
    }
    let wrong = [
        "--tls-insecure",
        "--tls-cert",
        certificate,
        "--tls-key",
        certificate,
    ];
    let errors = failure(&mut run(&url, &wrong), 2);
    assert!(errors.contains("there is no private key in it"), "{errors}");
}

#[test]
fn a_proxy_lies_outside_of_tls() {
    let authority = Authority::new("authority");
    let ca = file(&authority);
    let address = serve(authority.issue(&["far.example"]).server(), Habit::Right);
    let relay = Relay::start(address, Some("HTTP/1.1 200 OK\r\n\r\n"));
    let proxy = format!("http://{}", relay.address);
    let arguments = ["--tls-ca", ca.path().to_str().unwrap(), "--proxy", &proxy];
    let document = document(&mut run("wss://far.example/", &arguments));
    assert_eq!(document["load"]["addresses"][0], relay.address.to_string());
    let request = relay.requests.lock().unwrap()[0].clone();
    assert!(request.starts_with("CONNECT far.example:443 "), "{request}");
}
