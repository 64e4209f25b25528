//! What the image holds: the binary that needs nothing else, run as a runtime of containers runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::root;
use crate::support::server::{Server, say_skipped, usable_engines};

/// Makes of folder `$1` what a runtime gives a program: a root that cannot be written, with `/proc` and chance in it, for a
/// user that nobody has heard of. All of it is gone with the program, since nobody else sees these mounts.
const CONTAINER: &str = r#"
root="$1"; shift
mount --bind "$root" "$root"
for device in random urandom; do mount --bind "/dev/$device" "$root/dev/$device"; done
mount --rbind /proc "$root/proc"
mount -o remount,bind,ro "$root"
exec chroot --userspec=65532:65532 --groups= "$root" "$@"
"#;

/// The lists of words in the Dockerfile's stage of the server: of its health check, its program, and its arguments.
fn words() -> [Vec<String>; 3] {
    let text = fs::read_to_string(root().join("deploy/Dockerfile")).expect("it");
    let (_, stage) = text
        .split_once("FROM scratch AS ringback\n")
        .expect("the image");
    let (stage, _) = stage.split_once("\nFROM ").expect("another image");
    let lists = stage.lines().map(str::trim).filter_map(|line| {
        let of = ["CMD ", "ENTRYPOINT "].map(|it| line.strip_prefix(it));
        serde_json::from_str(of.into_iter().flatten().next()?).ok()
    });
    lists.collect::<Vec<_>>().try_into().expect("three")
}

/// A folder with the binary alone, if there is one that needs no libraries.
fn image() -> Option<tempfile::TempDir> {
    let Some(binary) = std::env::var_os("RINGBACK_STATIC").map(PathBuf::from) else {
        say_skipped("the image", "scripts/test --full builds its binary");
        return None;
    };
    if !rustix::process::geteuid().is_root() {
        say_skipped("the image", "only root may be somebody else");
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let inside = |path: &str| folder.path().join(path);
    fs::copy(binary, inside("ringback")).expect("the binary");
    for place in ["proc", "dev"] {
        fs::create_dir(inside(place)).expect("a folder");
    }
    for device in ["dev/random", "dev/urandom"] {
        fs::write(inside(device), "").expect("a file");
    }
    // Its owner is who made it; any user may enter.
    let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), everyone).expect("permissions");
    Some(folder)
}

fn inside(folder: &Path, program: &[String]) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-euc", CONTAINER, "sh"])
        .arg(folder)
        .args(program);
    command
}

#[test]
fn the_binary_alone_serves_as_nobody_and_checks_its_own_health() {
    let Some(folder) = image() else { return };
    let [health, program, arguments] = words();
    assert_eq!(arguments, ["--listen", "0.0.0.0:3000"]);
    for engine in usable_engines() {
        let mut program = program.clone();
        program.extend(["--listen", "127.0.0.1:0", "--engine", engine].map(str::to_owned));
        let server = Server::run(inside(folder.path(), &program));
        let status = fs::read_to_string(format!("/proc/{}/status", server.pid().as_raw_nonzero()));
        let uid = "Uid:\t65532\t65532\t65532\t65532";
        assert!(status.expect("it lives").contains(uid), "{engine}");
        let mut health = health.clone();
        let url = health.last_mut().expect("a URL");
        assert_eq!(url, "ws://127.0.0.1:3000/");
        *url = server.url();
        let output = inside(folder.path(), &health).output().expect("it starts");
        assert!(
            output.status.success(),
            "{engine}: {}",
            crate::said(&output)
        );
        server.signal(rustix::process::Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{engine}");
    }
}
