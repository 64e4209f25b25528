//! The servers: those of each `peer.toml`, those that a suite has in it, and those given as a command.

use std::path::{Path, PathBuf};

use ringload::observe::placement::Placement;
use ringload::target::Target;
use ringload::trial::server::Launch;
use ringload::usage::UsageError;
use serde::Deserialize;
use toml::Table;
use walkdir::{DirEntry, WalkDir};

use super::document::{ServerEntry, WorkloadEntry};
use super::workload::{check_name, read_toml};

/// How far below the peers' folder files are looked for.
const DEPTH_MAX: usize = 4;

/// What can be said of a server.
const KEYS: &str =
    "name title what source speed role threads run url install installed version tls";

/// A server that can be started.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Peer {
    #[serde(flatten)]
    pub(super) entry: ServerEntry,
    /// Commands, run in `folder` unless `installed` is there.
    #[serde(default)]
    pub(super) install: Vec<Vec<String>>,
    /// Empty if there is nothing to install.
    #[serde(default)]
    pub(super) installed: String,
    #[serde(default)]
    pub(super) version: Vec<String>,
    /// Arguments added to its command to serve TLS; `None` if it cannot.
    pub(super) tls: Option<Vec<String>>,
    #[serde(skip)]
    pub(super) folder: PathBuf,
    /// Given as a command, and so meant for all workloads.
    #[serde(skip)]
    is_given: bool,
}

/// What stands for what in a peer's commands.
pub(super) struct Places {
    /// Directory of the project.
    pub(super) root: PathBuf,
    /// Where what is built goes.
    pub(super) target: PathBuf,
    /// Of certificate and key.
    pub(super) temporary: PathBuf,
}

impl Places {
    /// Fills in the places; `{port}` and `{workers}` stay.
    pub(super) fn fill(&self, words: &[String]) -> Vec<String> {
        let fill = |word: &String| {
            word.replace("{root}", &self.root.to_string_lossy())
                .replace("{target}", &self.target.to_string_lossy())
                .replace("{cert}", &self.temporary.join("cert.pem").to_string_lossy())
                .replace("{key}", &self.temporary.join("key.pem").to_string_lossy())
        };
        words.iter().map(fill).collect()
    }
}

impl Peer {
    /// One that was given as `NAME=COMMAND`; `None` if it was only named.
    pub(super) fn given(text: &str, folder: &Path) -> Option<Result<Peer, UsageError>> {
        let (name, command) = text.split_once('=')?;
        let words = shlex::split(command).unwrap_or_default();
        let has_port = words.iter().any(|word| word.contains("{port}"));
        let keys = [("name", name.into()), ("run", words.into())];
        let table = keys.map(|(key, value): (&str, toml::Value)| (key.to_owned(), value));
        let mut peer = if has_port {
            Peer::of(Table::from_iter(table), folder)
        } else {
            Err("write NAME='COMMAND {port}'; it listens at that port of 127.0.0.1".to_owned())
        };
        peer.iter_mut().for_each(|peer| peer.is_given = true);
        Some(peer.map_err(|why| UsageError(format!("--server {name}=...: {why}"))))
    }

    /// Those that a table describes: itself, and its variants, which have what they do not say from it.
    pub(super) fn all_of(mut table: Table, folder: &Path) -> Result<Vec<Peer>, String> {
        let variants = table
            .remove("variant")
            .map_or(Ok(Vec::new()), toml::Value::try_into);
        let variants: Vec<Table> = variants.map_err(|error| error.message().to_owned())?;
        let mut peers = vec![Peer::of(table.clone(), folder)?];
        for variant in variants {
            let mut whole = table.clone();
            whole.extend(variant);
            peers.push(Peer::of(whole, folder)?);
        }
        Ok(peers)
    }

    fn of(table: Table, folder: &Path) -> Result<Peer, String> {
        let name = table.get("name").and_then(toml::Value::as_str);
        let name = name.unwrap_or_default().to_owned();
        let wrong = |why: &str| Err(format!("{name}: {why}"));
        check_name(&name)?;
        let is_known = |key: &&String| KEYS.split(' ').any(|known| known == **key);
        if let Some(key) = table.keys().find(|key| !is_known(key)) {
            return wrong(&format!("{key} is no key; there are {KEYS}"));
        }
        let read: Result<Peer, toml::de::Error> = table.try_into();
        let mut peer = read.or_else(|error| wrong(error.message()))?;
        peer.folder = folder.to_path_buf();
        let entry = &mut peer.entry;
        for (field, usual) in [
            (&mut entry.title, name.as_str()),
            (&mut entry.role, "peer"),
            (&mut entry.threads, "one"),
            (&mut entry.url, "ws://127.0.0.1:{port}/"),
        ] {
            if field.is_empty() {
                usual.clone_into(field);
            }
        }
        if entry.command.is_empty() || peer.install.iter().any(Vec::is_empty) {
            return wrong("run and install: give commands");
        }
        if !["ours", "limit", "baseline", "peer"].contains(&entry.role.as_str()) {
            return wrong("role: give ours, limit, baseline or peer");
        }
        if !["one", "all"].contains(&entry.threads.as_str()) {
            return wrong("threads: give one or all");
        }
        match Target::parse(&entry.url.replace("{port}", "1")) {
            Ok(_) => Ok(peer),
            Err(why) => wrong(&format!("url: {why}")),
        }
    }

    /// Whether a suite's workload asks for it.
    pub(super) fn is_meant_by(&self, workload: &WorkloadEntry) -> bool {
        let servers = &workload.servers;
        servers.is_empty() || servers.contains(&self.entry.name) || self.is_given
    }

    /// How it is started, over TLS or not.
    pub(super) fn launch(&self, places: &Places, placement: &Placement, tls: bool) -> Launch {
        let entry = &self.entry;
        let cpus = if entry.threads == "all" {
            placement.all_cpus.clone()
        } else {
            placement.server_cpus.clone()
        };
        let tls = self.tls.as_deref().filter(|_| tls);
        let words = places.fill(&[&entry.command, tls.unwrap_or_default()].concat());
        let words = words.iter();
        let workers = cpus.len().to_string();
        let scheme = if tls.is_some() { "wss://" } else { "ws://" };
        Launch {
            name: entry.name.clone(),
            command: words
                .map(|word| word.replace("{workers}", &workers))
                .collect(),
            directory: Some(self.folder.clone()),
            url: entry.url.replacen("ws://", scheme, 1),
            cpus,
        }
    }
}

/// Every server and variant below `folder`, in the order of their folders.
pub(super) fn load(folder: &Path) -> Result<Vec<Peer>, UsageError> {
    let below = WalkDir::new(folder)
        .max_depth(DEPTH_MAX)
        .follow_links(true)
        .sort_by_file_name();
    let is_ours = |it: &DirEntry| {
        it.depth() == 0 || it.file_name() != "node_modules" && it.file_name() != "target"
    };
    let files = below.into_iter().filter_entry(is_ours).flatten();
    let files = files.filter(|it| it.file_name() == "peer.toml");
    let mut peers = Vec::new();
    for file in files.map(DirEntry::into_path) {
        let shown = file.strip_prefix(folder).unwrap_or(&file).display();
        let table: Table = read_toml(&file, &shown.to_string())?;
        let folder = file.parent().unwrap_or(&file);
        let wrong = |why: String| UsageError(format!("{shown}: {why}"));
        let folder = folder
            .canonicalize()
            .map_err(|why| wrong(why.to_string()))?;
        peers.extend(Peer::all_of(table, &folder).map_err(wrong)?);
    }
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const PEER: &str = r#"
        name = "echo"
        title = "Echo"
        run = ["{target}/server", "--port", "{port}", "--workers", "{workers}"]
        tls = ["--cert", "{cert}"]
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
            (&*second.entry.name, &*second.entry.title),
            ("echo-all", "Echo")
        );
        assert_eq!(
            (&*first.entry.threads, &*second.entry.threads),
            ("one", "all")
        );
        assert_eq!((&*first.entry.role, &*second.entry.role), ("peer", "limit"));
        assert_eq!(first.entry.command, second.entry.command);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file_and_server() {
        for (text, phrase) in [
            (
                format!("{PEER}colour = 1"),
                "echo/peer.toml: echo: colour is no key",
            ),
            (
                format!("{PEER}[[variant]]\nname = 'x'\nrnu = []"),
                "x: rnu is no key",
            ),
            (PEER.replace("\"echo\"", "\"../echo\""), "is no name"),
            (format!("{PEER}role = 'pear'"), "role: give ours,"),
            (format!("{PEER}url = 'gopher://x'"), "echo: url: "),
            (
                format!("{PEER}[[variant]]\nname = 'e'\nrun = []"),
                "e: run and install",
            ),
            (format!("{PEER}x"), "echo/peer.toml: line "),
        ] {
            let why = load_text(&text).unwrap_err().to_string();
            assert!(why.contains(phrase), "{phrase}: {why}");
        }
    }

    #[test]
    fn a_server_can_be_given_as_a_command() {
        let given = |text| Peer::given(text, Path::new("/here"));
        assert!(given("bun").is_none());
        let peer = given("mine=./serve --at '127.0.0.1:{port}'")
            .unwrap()
            .unwrap();
        assert_eq!(peer.entry.command, ["./serve", "--at", "127.0.0.1:{port}"]);
        assert_eq!(
            (&*peer.entry.name, &*peer.entry.url),
            ("mine", "ws://127.0.0.1:{port}/")
        );
        let why = given("mine=./serve").unwrap().unwrap_err().to_string();
        assert!(why.contains("{port}"), "{why}");
        assert!(given("a/b=x {port}").unwrap().is_err());
    }

    #[test]
    fn a_launch_has_places_cpus_and_tls_filled_in() {
        let places = Places {
            root: "/project".into(),
            target: "/project/target".into(),
            temporary: "/tmp".into(),
        };
        let placement = Placement {
            server_cpus: vec![3],
            generator_cpus: vec![4],
            all_cpus: vec![3, 4],
            warning: None,
        };
        let text = format!("{PEER}[[variant]]\nname = 'all'\nthreads = 'all'");
        let peers = load_text(&text).unwrap();
        let launch = peers[0].launch(&places, &placement, false);
        let words = [
            "/project/target/server",
            "--port",
            "{port}",
            "--workers",
            "1",
        ];
        assert_eq!(
            (&launch.command[..], launch.cpus),
            (&words.map(str::to_owned)[..], vec![3])
        );
        let launch = peers[1].launch(&places, &placement, true);
        assert_eq!(launch.command[4..], ["2", "--cert", "/tmp/cert.pem"]);
        assert_eq!(
            (launch.cpus, &*launch.url),
            (vec![3, 4], "wss://127.0.0.1:{port}/")
        );
    }
}
