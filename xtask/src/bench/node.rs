//! Making the Node `ws` peer ready, or saying plainly why there is none.

use super::peers::{locked_packages, npm_install, output_of};
use super::process::Interrupt;
use serde::Serialize;
use std::path::Path;
use std::process::Command;

const HOW_TO_GET_NODE: &str = "install Node.js 18.14 or newer with npm, for instance `apt-get install nodejs npm` (Debian, \
     Ubuntu), `dnf install nodejs npm` (Fedora), or from https://nodejs.org";

/// The oldest Node with `buffer.isUtf8`, without which `ws` validates text slowly.
const NODE_VERSION_MIN: (u32, u32) = (18, 14);

/// What the Node peer consists of.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NodePeer {
    pub(crate) node: String,
    pub(crate) ws: String,
    pub(crate) bufferutil: Option<String>,
    /// Why there is no variant with bufferutil, if there is none.
    #[serde(skip)]
    pub(crate) no_bufferutil: Option<String>,
}

/// Installs the peer's locked packages unless they are there. The error is a sentence for the user.
pub(crate) fn prepare(peer: &Path, interrupt: &Interrupt) -> Result<NodePeer, String> {
    let Some(version) = output_of(Command::new("node").arg("--version")) else {
        return Err(format!("Node is not installed: {HOW_TO_GET_NODE}"));
    };
    let version = version.trim_start_matches('v').to_owned();
    if parse_version(&version).is_none_or(|version| version < NODE_VERSION_MIN) {
        return Err(format!("Node {version} is too old: {HOW_TO_GET_NODE}"));
    }
    npm_install(peer, interrupt)?;
    let locked = locked_packages(&peer.join("package-lock.json"));
    let locked = |name: &str| {
        locked
            .iter()
            .find(|(package, _, _)| package == name)
            .map(|(_, version, _)| version.clone())
    };
    let no_bufferutil = why_no_bufferutil(peer);
    Ok(NodePeer {
        node: version,
        ws: locked("ws").unwrap_or_else(|| "unknown".to_owned()),
        bufferutil: if no_bufferutil.is_none() {
            locked("bufferutil")
        } else {
            None
        },
        no_bufferutil,
    })
}

/// `None` when `ws` would use bufferutil's compiled module here.
///
/// bufferutil without a compiled module for this machine loads all the same and falls back to
/// JavaScript, so its loader is asked instead.
fn why_no_bufferutil(peer: &Path) -> Option<String> {
    let script = "
        if (require('http').websocketUnmask) { process.stdout.write('built-in'); }
        else {
            const { dirname } = require('path');
            require('node-gyp-build')(dirname(require.resolve('bufferutil')));
            process.stdout.write('compiled');
        }";
    let mut command = Command::new("node");
    command
        .args(["--eval", script])
        .current_dir(peer)
        .env_remove("NODE_OPTIONS");
    match output_of(&mut command).as_deref() {
        Some("compiled") => None,
        Some(_) => Some("this Node unmasks natively by itself, so node-ws stands for both".into()),
        None => Some("bufferutil has no compiled module for this machine".into()),
    }
}

fn parse_version(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(parse_version("20.9.1").unwrap() >= NODE_VERSION_MIN);
        assert!(parse_version("18.4.0").unwrap() < NODE_VERSION_MIN);
        assert_eq!(parse_version("nightly"), None);
    }
}
