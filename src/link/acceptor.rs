//! What a handshake is made from, and how that is replaced while handshakes go on.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
// The algorithms that TLS is spoken with.
use rustls::crypto::ring as algorithms;
use rustls::pki_types::ServerName;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ProducesTickets, ResolvesServerCert,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig};

use super::certificates::{ClientRoots, Pair, Unfit};

/// The one protocol that is agreed on where a client offers some (ALPN, RFC 7301). HTTP/2 is not spoken.
const HTTP_1_1: &[u8] = b"http/1.1";

/// What is offered to clients.
pub struct Offer {
    /// The certificates with their keys: the first where no other has the name that a client asks for. At least one.
    pub pairs: Vec<Pair>,
    /// Who has to have issued a client's certificate; none: a client needs none.
    pub client_roots: Option<ClientRoots>,
    /// Whether HTTP is what is spoken, and nothing else is agreed on.
    pub speaks_http: bool,
}

/// What all handshakes are made from.
pub struct Acceptor {
    config: RwLock<Arc<ServerConfig>>,
    /// What seals the tickets by which clients resume, and who may: others would let in whom the old ones did.
    tickets: RwLock<(Arc<dyn ProducesTickets>, Option<ClientRoots>)>,
}

pub(super) fn provider() -> CryptoProvider {
    algorithms::default_provider()
}

impl Acceptor {
    /// Of an offer.
    ///
    /// # Errors
    /// Where there is no randomness, or no client could be verified.
    pub fn new(offer: Offer) -> Result<Arc<Self>, Unfit> {
        let tickets = ticketer()?;
        let client_roots = offer.client_roots.clone();
        Ok(Arc::new(Acceptor {
            config: RwLock::new(config(offer, tickets.clone())?),
            tickets: RwLock::new((tickets, client_roots)),
        }))
    }

    /// Makes handshakes that begin from now on from another offer. Those under way, and connections, go on. Who was here
    /// before can resume, unless other clients are let in now.
    ///
    /// # Errors
    /// As for [`Acceptor::new`]; then nothing changes.
    pub fn replace(&self, offer: Offer) -> Result<(), Unfit> {
        let mut tickets = self.tickets.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = tickets.clone();
        if next.1 != offer.client_roots {
            next = (ticketer()?, offer.client_roots.clone());
        }
        let config = config(offer, next.0.clone())?;
        *tickets = next;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// What the next handshake is made from.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        let config = self.config.read();
        config.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Shows no keys.
impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

fn ticketer() -> Result<Arc<dyn ProducesTickets>, Unfit> {
    algorithms::Ticketer::new().map_err(|error| Unfit::Other(error.to_string()))
}

fn config(offer: Offer, tickets: Arc<dyn ProducesTickets>) -> Result<Arc<ServerConfig>, Unfit> {
    let unusable = |error: Error| Unfit::Other(error.to_string());
    let provider = Arc::new(provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match offer.client_roots {
        Some(roots) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(roots.store(), provider)
                .build()
                .map_err(|error| Unfit::Other(error.to_string()))?,
        ),
        None => builder.with_no_client_auth(),
    };
    let keys = offer.pairs.into_iter().map(Pair::into_key).collect();
    let mut config = builder.with_cert_resolver(Arc::new(ByName(keys)));
    if offer.speaks_http {
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    }
    // What a session is resumed by is kept by the client, and one ticket is enough for one who comes again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = tickets;
    config.send_tls13_tickets = 1;
    // For an alert only: a handshake that is not to be finished is ended by one, and TLS 1.3 has the keys for that.
    config.send_half_rtt_data = true;
    Ok(Arc::new(config))
}

/// Chooses the certificate that has the name a client asks for.
#[derive(Debug)]
struct ByName(Vec<Arc<CertifiedKey>>);

thread_local! {
    /// The name that was asked for in the handshake which is under way on this thread: rustls tells it to whoever
    /// chooses a certificate, and to nobody else.
    static ASKED_FOR: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// Takes the name that a client has asked for since this was last asked on this thread.
pub(super) fn take_name() -> Option<Box<str>> {
    ASKED_FOR.take()
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        ASKED_FOR.set(name.map(Box::from));
        let fits = |key: &&Arc<CertifiedKey>| {
            let schemes = hello.signature_schemes();
            key.key.choose_scheme(schemes).is_some()
        };
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let is_of_name = |key: &&Arc<CertifiedKey>| {
            let certificate = key.end_entity_cert().and_then(ParsedCertificate::try_from);
            let is_of = |name| certificate.is_ok_and(|it| verify_server_name(&it, name).is_ok());
            name.as_ref().is_some_and(is_of)
        };
        let keys = || self.0.iter();
        let chosen = match &self.0[..] {
            [only] => Some(only),
            _ => keys()
                .filter(fits)
                .find(is_of_name)
                .or_else(|| keys().find(is_of_name))
                .or_else(|| keys().find(fits))
                .or(self.0.first()),
        };
        chosen.cloned()
    }
}
