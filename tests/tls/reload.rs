//! Certificates that change while the server runs. How it is done has nothing to do with the engine.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use rustls::HandshakeKind;

use crate::authority::Authority;
use crate::client::{Client, config, serve};
use crate::server::{Server, until};
use crate::support::frames::Frame;

/// The certificate that a newcomer is shown.
fn shown(server: &Server, authority: &Authority) -> Vec<u8> {
    let client = Client::connect(server, authority);
    let shown = client
        .stream
        .conn
        .peer_certificates()
        .expect("a certificate");
    shown[0].to_vec()
}

fn count(server: &Server, words: &str) -> usize {
    let log = server.log();
    log.iter().filter(|line| line.contains(words)).count()
}

/// What the operator is told.
pub(crate) fn metrics(server: &Server) -> String {
    let log = server.log().join("\n");
    let (_, address) = log.split_once("admin listener on ").expect("its address");
    let mut stream = TcpStream::connect(address.lines().next().expect("a line")).expect("in");
    let request = b"GET /metrics HTTP/1.0\r\n\r\n";
    stream.write_all(request).expect("a request");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("a page");
    page
}

const STAYS: &str = "certificates stay as they were";

/// As Kubernetes does it: the files are links into a folder, and that is a link which is replaced.
#[test]
fn a_folder_that_is_swapped_is_read_again() {
    let authority = Authority::new();
    let write = |folder: &str| {
        fs::create_dir(authority.path(folder)).expect("a folder");
        let issued = authority.issue(&["localhost"]);
        authority.write(&format!("{folder}/tls.crt"), &issued.certificate);
        authority.write(&format!("{folder}/tls.key"), &issued.key);
    };
    write("first");
    symlink("first", authority.path("..data")).expect("a link");
    for file in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{file}"), authority.path(file)).expect("a link");
    }
    let server = serve(
        "epoll",
        &[
            format!("--tls-cert={}", authority.path("tls.crt").display()),
            format!("--tls-key={}", authority.path("tls.key").display()),
        ],
    );
    let config = Arc::new(config(&authority, rustls::ALL_VERSIONS, None));
    let mut old = Client::try_connect(&server, "localhost", &config).expect("in");
    old.handshake();
    let before = shown(&server, &authority);
    write("second");
    symlink("second", authority.path("..data_tmp")).expect("a link");
    fs::rename(authority.path("..data_tmp"), authority.path("..data")).expect("a swap");
    until("newcomers see the new one", || {
        (shown(&server, &authority) != before).then_some(())
    });
    until("it is told", || {
        (count(&server, "read the certificate again") == 1).then_some(())
    });
    // Who is here goes on, and who was here resumes.
    let frame = Frame::text("as before");
    old.send(&frame.encode());
    let echo = Frame { key: None, ..frame }.encode();
    assert_eq!(old.read_exact(echo.len()), echo);
    let again = Client::try_connect(&server, "localhost", &config).expect("in");
    assert_eq!(
        again.stream.conn.handshake_kind(),
        Some(HandshakeKind::Resumed)
    );
}

#[test]
fn a_pair_that_does_not_fit_is_refused_and_the_old_one_stays() {
    let authority = Authority::new();
    let mut options = authority.options(&["localhost"]);
    options.push("--admin=127.0.0.1:0".to_owned());
    let server = serve("epoll", &options);
    let before = shown(&server, &authority);
    let next = authority.issue(&["localhost"]);
    authority.write("0.pem", &next.certificate);
    until("it is refused", || {
        (count(&server, STAYS) == 1).then_some(())
    });
    assert_eq!(count(&server, "does not belong to the certificate"), 1);
    assert!(shown(&server, &authority) == before);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(count(&server, STAYS), 1, "it is said once");
    // When it is asked to, it says it again.
    server.signal(Signal::HUP);
    until("it is asked to", || {
        (count(&server, STAYS) == 2).then_some(())
    });
    authority.write("0.key", &next.key);
    until("now it fits", || {
        (shown(&server, &authority) != before).then_some(())
    });
    let page = metrics(&server);
    for line in ["{result=\"read\"} 1\n", "{result=\"refused\"} 2\n"] {
        let line = format!("ringback_tls_reloads_total{line}");
        assert!(page.contains(&line), "{line} in {page}");
    }
    let log = server.log().join("\n");
    assert!(!log.contains("PRIVATE"), "{log}");
}

#[test]
fn a_signal_reads_them_at_once() {
    let authority = Authority::new();
    let server = serve("epoll", &authority.options(&["localhost"]));
    server.signal(Signal::HUP);
    until("it was read again", || {
        (count(&server, "read the certificate again") == 1).then_some(())
    });
    drop(Client::upgrade(&server, &authority));
}
