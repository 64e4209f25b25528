//! Clients of others.

use std::path::Path;
use std::process::Command;

use crate::client::serve_localhost;
use crate::python;
use crate::support::npm::Scripts;
use crate::support::scripts;

const SCRIPTS: Scripts = Scripts("tests/node");

pub(crate) fn node_is_served(engine: &'static str) {
    if !SCRIPTS.are_ready() {
        return;
    }
    let (server, authority) = serve_localhost(engine, &[]);
    let trust = format!("NODE_EXTRA_CA_CERTS={}", authority.own());
    let port = server.address.port();
    for (script, url) in [
        ("echo.mjs", format!("wss://localhost:{port}/")),
        ("over-tls.mjs", format!("https://localhost:{port}")),
    ] {
        SCRIPTS.run(&["env", &trust, "node", script, &url]);
    }
}

pub(crate) fn python_is_served(engine: &'static str) {
    let Some(programs) = python::programs() else {
        return;
    };
    let (server, authority) = serve_localhost(engine, &[]);
    let python = programs.join("python").display().to_string();
    let url = format!("wss://localhost:{}/", server.address.port());
    let script = [python.as_str(), "over_tls.py", &url, &authority.own()];
    scripts::run(Path::new(python::FOLDER), &script);
}

/// Whether a program is there; says so if not.
pub(crate) fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("version").output().is_ok();
    if !found {
        scripts::leave_out(program, &format!("Debian: apt install {program}"));
    }
    found
}

pub(crate) fn curl_is_served(engine: &'static str) {
    if !is_there("curl") {
        return;
    }
    let (server, authority) = serve_localhost(engine, &[]);
    let url = format!("https://localhost:{}/x/whoami", server.address.port());
    let told = scripts::run(
        authority.folder.path(),
        &[
            "curl",
            "--silent",
            "--show-error",
            "--fail",
            "--cacert",
            &authority.own(),
            &url,
        ],
    );
    assert!(told.contains("\"server_name\":\"localhost\""), "{told}");
    // curl offers HTTP/2 beside, and gets HTTP/1.1.
    assert!(told.contains("\"http\":\"1.1\""), "{told}");
}

pub(crate) fn openssl_is_served(engine: &'static str) {
    if !is_there("openssl") {
        return;
    }
    let (server, authority) = serve_localhost(engine, &[]);
    let address = server.address.to_string();
    let own = authority.own();
    for version in ["-tls1_2", "-tls1_3"] {
        let session = authority.path("session").display().to_string();
        for (round, keeps) in [("-sess_out", "New"), ("-sess_in", "Reused")] {
            let command = format!(
                "(printf 'GET /healthz HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n'; sleep 0.3) | \
                 openssl s_client -connect {address} -servername localhost -CAfile {own} -verify_return_error \
                 {version} {round} {session} -ign_eof 2>&1"
            );
            let told = scripts::run(authority.folder.path(), &["sh", "-c", &command]);
            assert!(told.contains("HTTP/1.1 200 OK"), "{told}");
            assert!(told.contains(keeps), "{keeps}: {told}");
        }
    }
}
