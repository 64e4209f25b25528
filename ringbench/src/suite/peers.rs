//! The servers: what each `peer.toml` says.

use std::fs;
use std::path::{Path, PathBuf};

use ringload::observe::placement::Placement;
use ringload::target::Target;
use ringload::trial::server::Launch;
use ringload::usage::UsageError;
use serde::Deserialize;

use super::toml_file;

/// Folders below the peers' that are looked into.
const DEPTH_MAX: usize = 3;

/// A server that can be started.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) what: String,
    pub(crate) source: String,
    pub(crate) speed: String,
    /// Commands, run in `folder` unless `installed` is there.
    pub(crate) install: Vec<Vec<String>>,
    pub(crate) installed: String,
    pub(crate) version: Vec<String>,
    pub(crate) run: Vec<String>,
    pub(crate) url: String,
    pub(crate) threads: Threads,
    /// Arguments added to `run` to serve TLS; `None` if it cannot.
    pub(crate) tls: Option<Vec<String>>,
    pub(crate) role: Role,
    pub(crate) folder: PathBuf,
}

/// The CPUs that a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Threads {
    /// Those of the servers' side, one by default.
    One,
    /// Every CPU that may be used, those of the generator too.
    All,
}

/// What a server is to the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// What the project makes.
    Ours,
    /// An RFC 862 echo: what can be reached at most.
    Limit,
    /// What the others are compared with.
    Baseline,
    /// Another project's.
    Peer,
}

impl Threads {
    /// As in the file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Threads::One => "one",
            Threads::All => "all",
        }
    }
}

impl Role {
    /// As in the file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Ours => "ours",
            Role::Limit => "limit",
            Role::Baseline => "baseline",
            Role::Peer => "peer",
        }
    }
}

/// A whole `peer.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    title: String,
    what: String,
    source: String,
    speed: String,
    install: Vec<Vec<String>>,
    installed: String,
    version: Vec<String>,
    run: Vec<String>,
    url: String,
    threads: Threads,
    tls: Option<Vec<String>>,
    role: Role,
    #[serde(default)]
    variant: Vec<Variant>,
}

/// What a variant has of its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    name: String,
    title: Option<String>,
    what: Option<String>,
    source: Option<String>,
    speed: Option<String>,
    install: Option<Vec<Vec<String>>>,
    installed: Option<String>,
    version: Option<Vec<String>>,
    run: Option<Vec<String>>,
    url: Option<String>,
    threads: Option<Threads>,
    tls: Option<Vec<String>>,
    role: Option<Role>,
}

/// What stands for what in a peer's commands.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// Directory of the project.
    pub(crate) root: PathBuf,
    /// Where what is built goes.
    pub(crate) target: PathBuf,
}

/// Certificate and key of a TLS server.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Places {
    /// Fills in the places; `{port}`, `{cert}`, `{key}` and `{workers}` stay.
    pub(crate) fn fill(&self, words: &[String]) -> Vec<String> {
        let (root, target) = (self.root.to_string_lossy(), self.target.to_string_lossy());
        words
            .iter()
            .map(|word| word.replace("{root}", &root).replace("{target}", &target))
            .collect()
    }
}

impl Peer {
    /// How it is started, over TLS if there is a certificate.
    pub(crate) fn launch(
        &self,
        places: &Places,
        placement: &Placement,
        certificate: Option<&Certificate>,
    ) -> Launch {
        let cpus = match self.threads {
            Threads::One => &placement.server_cpus,
            Threads::All => &placement.all_cpus,
        };
        let mut words = places.fill(&self.run);
        let mut url = self.url.clone();
        if let Some(certificate) = certificate {
            let tls = places.fill(self.tls.as_deref().unwrap_or_default());
            let cert = certificate.cert.to_string_lossy();
            let key = certificate.key.to_string_lossy();
            words.extend(
                tls.iter()
                    .map(|word| word.replace("{cert}", &cert).replace("{key}", &key)),
            );
            url = url.replacen("ws://", "wss://", 1);
        }
        let workers = cpus.len().to_string();
        Launch {
            name: self.name.clone(),
            command: words
                .iter()
                .map(|word| word.replace("{workers}", &workers))
                .collect(),
            directory: Some(self.folder.clone()),
            url,
            cpus: cpus.clone(),
        }
    }

    fn check(&self, shown: &str) -> Result<(), UsageError> {
        let wrong = |why: String| Err(UsageError(format!("{shown}: {}: {why}", self.name)));
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || !self.name.chars().all(is_plain) {
            return wrong("name: use lower-case letters, digits and '-' only".to_owned());
        }
        if self.run.is_empty() {
            return wrong("run: give a command".to_owned());
        }
        if self.version.is_empty() || self.install.iter().any(Vec::is_empty) {
            return wrong("version and install: give commands".to_owned());
        }
        if let Err(why) = Target::parse(&self.url.replace("{port}", "1")) {
            return wrong(format!("url: {why}"));
        }
        Ok(())
    }
}

/// Every server and variant below `folder`, in the order of their folders.
pub(crate) fn load(folder: &Path) -> Result<Vec<Peer>, UsageError> {
    let mut files = Vec::new();
    find(folder, DEPTH_MAX, &mut files);
    files.sort();
    let mut peers: Vec<Peer> = Vec::new();
    for file in files {
        let shown = file.strip_prefix(folder).unwrap_or(&file);
        let shown = shown.display().to_string();
        for peer in read(&file, &shown)? {
            if peers.iter().any(|other| other.name == peer.name) {
                let name = peer.name;
                return Err(UsageError(format!("{shown}: there is another {name}")));
            }
            peers.push(peer);
        }
    }
    if peers.is_empty() {
        let folder = folder.display();
        return Err(UsageError(format!(
            "no peer.toml is below {folder}; give --peers"
        )));
    }
    Ok(peers)
}

fn find(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && depth > 0 && name != "node_modules" && name != "target" {
            find(&path, depth - 1, files);
        } else if name == "peer.toml" {
            files.push(path);
        }
    }
}

fn read(path: &Path, shown: &str) -> Result<Vec<Peer>, UsageError> {
    let file: File = toml_file::read(path, shown)?;
    let folder = path.parent().unwrap_or(path);
    let folder = folder
        .canonicalize()
        .map_err(|error| UsageError(format!("{shown}: {error}")))?;
    let first = Peer {
        name: file.name,
        title: file.title,
        what: file.what,
        source: file.source,
        speed: file.speed,
        install: file.install,
        installed: file.installed,
        version: file.version,
        run: file.run,
        url: file.url,
        threads: file.threads,
        tls: file.tls,
        role: file.role,
        folder,
    };
    let variants = file.variant.into_iter().map(|variant| {
        let first = first.clone();
        Peer {
            name: variant.name,
            title: variant.title.unwrap_or(first.title),
            what: variant.what.unwrap_or(first.what),
            source: variant.source.unwrap_or(first.source),
            speed: variant.speed.unwrap_or(first.speed),
            install: variant.install.unwrap_or(first.install),
            installed: variant.installed.unwrap_or(first.installed),
            version: variant.version.unwrap_or(first.version),
            run: variant.run.unwrap_or(first.run),
            url: variant.url.unwrap_or(first.url),
            threads: variant.threads.unwrap_or(first.threads),
            tls: variant.tls.or(first.tls),
            role: variant.role.unwrap_or(first.role),
            folder: first.folder,
        }
    });
    let peers: Vec<Peer> = std::iter::once(first.clone()).chain(variants).collect();
    peers.iter().try_for_each(|peer| peer.check(shown))?;
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = r#"
        name = "echo"
        title = "Echo"
        what = "An echo"
        source = "here"
        speed = "none"
        install = []
        installed = "server"
        version = ["./server", "--version"]
        run = ["{target}/server", "--port", "{port}", "--workers", "{workers}"]
        url = "ws://127.0.0.1:{port}/"
        threads = "one"
        tls = ["--cert", "{cert}", "--key", "{key}"]
        role = "peer"
    "#;

    fn load_text(text: &str) -> Result<Vec<Peer>, UsageError> {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("echo");
        fs::create_dir(&below).unwrap();
        fs::write(below.join("peer.toml"), text).unwrap();
        load(folder.path())
    }

    #[test]
    fn a_variant_has_what_it_does_not_say_from_the_first() {
        let variant = "[[variant]]\nname = 'echo-all'\nthreads = 'all'\nrole = 'limit'";
        let peers = load_text(&format!("{PEER}{variant}")).unwrap();
        let [first, second] = &peers[..] else {
            panic!("{peers:?}")
        };
        assert_eq!(
            (second.name.as_str(), second.title.as_str()),
            ("echo-all", "Echo")
        );
        assert_eq!(
            (first.threads, second.threads),
            (Threads::One, Threads::All)
        );
        assert_eq!((first.role.name(), second.role.name()), ("peer", "limit"));
        assert_eq!(first.run, second.run);
    }

    #[test]
    fn unknown_keys_wrong_names_and_doubles_are_named_with_their_file() {
        for (text, phrase) in [
            (format!("{PEER}colour = 1"), "echo/peer.toml: line "),
            (format!("{PEER}colour = 1"), "`colour`"),
            (format!("{PEER}[[variant]]\nname = 'x'\nrnu = []"), "`rnu`"),
            (
                PEER.replace("\"echo\"", "\"Echo/..\""),
                "name: use lower-case",
            ),
            (PEER.replace("\"peer\"", "\"pear\""), "pear"),
            (PEER.replace("ws://127", "http://127"), "echo: url: "),
            (
                format!("{PEER}[[variant]]\nname = 'echo'"),
                "there is another echo",
            ),
            (
                format!("{PEER}[[variant]]\nname = 'e'\nrun = []"),
                "e: run: give a command",
            ),
        ] {
            let why = load_text(&text).unwrap_err().to_string();
            assert!(why.contains(phrase), "{phrase}: {why}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(
            load(empty.path())
                .unwrap_err()
                .to_string()
                .contains("no peer.toml")
        );
    }

    #[test]
    fn a_launch_has_places_cpus_and_tls_filled_in() {
        let peer = &load_text(PEER).unwrap()[0];
        let places = Places {
            root: "/project".into(),
            target: "/project/target".into(),
        };
        let placement = Placement {
            server_cpus: vec![3],
            generator_cpus: vec![4],
            all_cpus: vec![3, 4],
            warning: None,
        };
        let launch = peer.launch(&places, &placement, None);
        let words = [
            "/project/target/server",
            "--port",
            "{port}",
            "--workers",
            "1",
        ];
        assert_eq!(launch.command, words);
        assert_eq!(
            (launch.cpus, &*launch.url),
            (vec![3], "ws://127.0.0.1:{port}/")
        );
        let certificate = Certificate {
            cert: "c.pem".into(),
            key: "k.pem".into(),
        };
        let all = Peer {
            threads: Threads::All,
            ..peer.clone()
        };
        let launch = all.launch(&places, &placement, Some(&certificate));
        assert_eq!(
            launch.command[4..],
            ["2", "--cert", "c.pem", "--key", "k.pem"]
        );
        assert_eq!(
            (launch.cpus, &*launch.url),
            (vec![3, 4], "wss://127.0.0.1:{port}/")
        );
    }
}
