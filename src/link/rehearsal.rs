//! The other side of a link, for tests: rustls' own client, in memory.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Error, RootCertStore};

use super::{Acceptor, Offer, acceptor, self_signed};

/// What accepts for each of these names, the first of which is the default, and who trusts them all.
pub(crate) fn accept(names: &[&str]) -> (Arc<Acceptor>, Arc<ClientConfig>) {
    let pairs: Vec<_> = names
        .iter()
        .map(|name| self_signed(&[name.to_string()]).unwrap())
        .collect();
    let mut roots = RootCertStore::empty();
    for pair in &pairs {
        let key = pair.clone().into_key();
        roots.add(key.cert[0].clone()).unwrap();
    }
    let offer = Offer {
        pairs,
        client_roots: None,
        speaks_http: true,
    };
    let provider = Arc::new(acceptor::provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(8);
    (Acceptor::new(offer).unwrap(), Arc::new(config))
}

/// A client.
pub(crate) struct Client(pub(super) ClientConnection);

impl Client {
    pub(crate) fn new(config: &Arc<ClientConfig>, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        Client(ClientConnection::new(config.clone(), name).unwrap())
    }

    /// What it has to send.
    pub(crate) fn says(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut wire).unwrap();
        }
        wire
    }

    /// What it has to send once it has said this, too.
    pub(crate) fn seals(&mut self, plain: &[u8]) -> Vec<u8> {
        self.0.set_buffer_limit(None);
        self.0.writer().write_all(plain).unwrap();
        self.says()
    }

    /// What is in the bytes that it gets.
    pub(crate) fn opens(&mut self, mut wire: &[u8]) -> Result<Vec<u8>, Error> {
        let mut plain = Vec::new();
        while !wire.is_empty() {
            self.0.read_tls(&mut wire).unwrap();
            self.0.process_new_packets()?;
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = self.0.reader().read(&mut chunk) {
                plain.extend_from_slice(&chunk[..count]);
            }
        }
        Ok(plain)
    }

    /// Whether it was told that nothing follows.
    pub(crate) fn is_told_the_end(&mut self) -> bool {
        let state = self.0.process_new_packets();
        state.is_ok_and(|state| state.peer_has_closed())
    }
}
