//! nginx as a child process, with all its files in a folder of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::{fs, thread};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::server::{self, Server, until};

/// The page with the configuration that users are told to write.
const DOCUMENTATION: &str = include_str!("../../docs/OPERATIONS.md");

/// An nginx that listens on a port of the loopback.
pub(crate) struct Nginx {
    child: Child,
    folder: TempDir,
    pub(crate) address: SocketAddr,
    /// Keeps the port ours from before nginx listens.
    _port: Socket,
}

impl Nginx {
    /// In front of `servers`, as documented; who fails once is given up for the rest of the test.
    pub(crate) fn start(servers: &[&Server]) -> Self {
        Self::start_without(servers, &[])
    }

    /// The same without the lines in which one of these stands.
    pub(crate) fn start_without(servers: &[&Server], left_out: &[&str]) -> Self {
        let port = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        port.set_reuse_port(true).expect("a socket option");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        port.bind(&any.into()).expect("a free port");
        let address = port.local_addr().expect("an address").as_socket();
        let address = address.expect("an address of IPv4");

        let folder = tempfile::tempdir().expect("a folder");
        let config = config(address, servers, left_out);
        fs::write(folder.path().join("nginx.conf"), config).expect("a file");
        let mut command = Command::new(program().expect("asked for before"));
        command.arg("-p").arg(folder.path());
        command.args(["-c", "nginx.conf", "-e", "error.log"]);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut nginx = Nginx {
            child: child.expect("nginx starts"),
            folder,
            address,
            _port: port,
        };
        until("nginx listens", || {
            let ended = nginx.child.try_wait().expect("a child");
            assert!(ended.is_none(), "nginx ended: {}", nginx.log());
            TcpStream::connect(address).ok()
        });
        nginx
    }

    /// What it says of errors.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // There is one process of it, so nothing is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            println!("nginx's log: {}", self.log());
        }
    }
}

fn config(address: SocketAddr, servers: &[&Server], left_out: &[&str]) -> String {
    let (_, documented) = DOCUMENTATION.split_once("```nginx\n").expect("a block");
    let (documented, _) = documented.split_once("```").expect("its end");
    let mut http = String::new();
    for line in documented.lines() {
        if line.contains("server 127.0.0.1:3000") {
            for server in servers {
                let address = server.address;
                http += &format!("server {address} max_fails=1 fail_timeout=10m;\n");
            }
        } else if line.contains("listen 80") {
            http += &format!("listen {address} reuseport;\n");
        } else if !line.contains("server 127.0.0.1") && !left_out.iter().any(|it| line.contains(it))
        {
            http += &format!("{line}\n");
        }
    }
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    for kind in folders {
        http += &format!("{kind}_temp_path {kind};\n");
    }
    format!(
        "daemon off; master_process off; pid nginx.pid; events {{}}\n\
        http {{\naccess_log off;\n{http}}}\n"
    )
}

/// nginx, if there is one. Debian has it where not everyone's `PATH` looks.
fn program() -> Option<&'static str> {
    static PROGRAM: LazyLock<Option<&str>> = LazyLock::new(|| {
        let mut places = ["nginx", "/usr/sbin/nginx"].into_iter();
        places.find(|place| Command::new(place).arg("-v").output().is_ok())
    });
    *PROGRAM
}

/// The engines to be tested behind nginx: none where there is no nginx, unless nothing may be left out.
pub(crate) fn engines() -> Vec<&'static str> {
    if program().is_some() {
        return server::usable_engines();
    }
    let reason = "nginx is not installed (Debian: apt install nginx)";
    assert!(
        std::env::var_os("CI").is_none(),
        "nothing is left out with CI set: {reason}"
    );
    server::say_skipped("the tests behind nginx", reason);
    Vec::new()
}
