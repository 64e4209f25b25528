//! Certificates and keys: read at start, read again when somebody says so or when their files change.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use tracing::{info, warn};

use crate::admin::Reloads;
use crate::config::{Certificates, Config, ConfigError, NamedFile, Protocol, Tls};
use crate::link::{Acceptor, ClientRoots, Offer, Pair, Unfit, self_signed};
use crate::sys::clock;

/// How often it is seen whether files have changed. A change is acted on when it is seen twice: whoever writes a
/// certificate writes its key in a moment.
const LOOKS_APART: Duration = Duration::from_secs(1);

/// What TLS is spoken with, and the thread that looks at its files.
pub(super) struct Keeper {
    source: Arc<Source>,
    /// Where there are files: dropped, they are not looked at any more.
    watch: Option<Sender<()>>,
}

/// What TLS is spoken with, and from where it was read.
struct Source {
    wanted: Tls,
    speaks_http: bool,
    acceptor: Arc<Acceptor>,
    reloads: Arc<Reloads>,
}

impl Keeper {
    /// Reads what `config` names, if an address speaks TLS.
    pub(super) fn open(config: &Config) -> Result<Option<Self>, ConfigError> {
        let Some(wanted) = config.tls.clone() else {
            return Ok(None);
        };
        let speaks_http = config.protocol == Protocol::WebSocket;
        let offer = offer(&wanted, speaks_http)?;
        if let Certificates::SelfSigned { names, .. } = &wanted.certificates {
            for pair in &offer.pairs {
                info!(
                    "made a certificate for {}, which nobody trusts: SHA-256 {}",
                    names.join(", "),
                    pair.fingerprint()
                );
            }
        }
        let source = Source {
            wanted,
            speaks_http,
            acceptor: Acceptor::new(offer).map_err(|unfit| unspeakable(&unfit))?,
            reloads: Arc::default(),
        };
        Ok(Some(Keeper {
            source: Arc::new(source),
            watch: None,
        }))
    }

    /// What handshakes are made from.
    pub(super) fn acceptor(&self) -> Arc<Acceptor> {
        self.source.acceptor.clone()
    }

    /// How often they were read again.
    pub(super) fn reloads(&self) -> Arc<Reloads> {
        self.source.reloads.clone()
    }

    /// Reads the files again, and says what came of it. A certificate made at start stays.
    pub(super) fn reload(&self) {
        match self.source.wanted.certificates {
            Certificates::Files(_) => self.source.reload(),
            Certificates::SelfSigned { .. } => {
                info!("TLS: the certificate was made at start, and stays");
            }
        }
    }

    /// Starts to look at the files, and reads them again when they change.
    ///
    /// # Errors
    /// Where there are no threads left.
    pub(super) fn watch(&mut self) -> io::Result<()> {
        let source = self.source.clone();
        if matches!(source.wanted.certificates, Certificates::SelfSigned { .. }) {
            return Ok(());
        }
        let (watch, is_over) = mpsc::channel();
        let mut acted_on = source.state();
        let mut seen = acted_on;
        thread::Builder::new()
            .name("certificates".to_owned())
            .spawn(move || {
                while is_over.recv_timeout(LOOKS_APART) == Err(RecvTimeoutError::Timeout) {
                    let now = source.state();
                    let is_settled = std::mem::replace(&mut seen, now) == now;
                    if is_settled && now != acted_on {
                        acted_on = now;
                        source.reload();
                    }
                }
            })?;
        self.watch = Some(watch);
        Ok(())
    }
}

impl Source {
    fn reload(&self) {
        let replaced = offer(&self.wanted, self.speaks_http).and_then(|offer| {
            let count = offer.pairs.len();
            let replaced = self
                .acceptor
                .replace(offer)
                .map_err(|unfit| unspeakable(&unfit));
            replaced.map(|()| count)
        });
        let count = if replaced.is_ok() {
            &self.reloads.read
        } else {
            &self.reloads.refused
        };
        count.note();
        match replaced {
            Ok(1) => info!("TLS: read the certificate again; new handshakes have it"),
            Ok(count) => info!("TLS: read {count} certificates again; new handshakes have them"),
            Err(error) => warn!("TLS: the certificates stay as they were: {error}"),
        }
    }

    /// What is in all files: a digest, since one of them is a secret.
    fn state(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let Certificates::Files(pairs) = &self.wanted.certificates else {
            return digest.finalize().into();
        };
        let own = pairs.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
        for file in own.chain(&self.wanted.client_ca) {
            let bytes = fs::read(&file.path).unwrap_or_default();
            digest.update(bytes.len().to_be_bytes());
            digest.update(bytes);
        }
        digest.finalize().into()
    }
}

/// Reads what is offered.
fn offer(wanted: &Tls, speaks_http: bool) -> Result<Offer, ConfigError> {
    let pairs = match &wanted.certificates {
        Certificates::Files(pairs) => {
            let pairs = pairs.iter().map(|pair| {
                let certificates = read(&pair.certificate)?;
                let key = read(&pair.key)?;
                let read = Pair::read(&certificates, &key).map_err(|unfit| {
                    let file = if unfit.blames_key() {
                        &pair.key
                    } else {
                        &pair.certificate
                    };
                    unusable(file, &unfit, unfit.remedy())
                })?;
                warn_of_validity(&pair.certificate.path, &read);
                Ok(read)
            });
            pairs.collect::<Result<_, ConfigError>>()?
        }
        Certificates::SelfSigned { names, source } => {
            let made = self_signed(names).map_err(|unfit| {
                ConfigError::new(source.as_str(), unfit.to_string(), unfit.remedy())
            });
            vec![made?]
        }
    };
    let client_roots = wanted.client_ca.as_ref().map(|file| {
        let read = ClientRoots::read(&read(file)?);
        read.map_err(|unfit| unusable(file, &unfit, unfit.remedy()))
    });
    Ok(Offer {
        pairs,
        client_roots: client_roots.transpose()?,
        speaks_http,
    })
}

fn read(file: &NamedFile) -> Result<Vec<u8>, ConfigError> {
    fs::read(&file.path).map_err(|error| {
        let remedy = "name a file that is there and that this process may read";
        let problem = format!("`{}`: {error}", file.path.display());
        ConfigError::new(file.source.as_str(), problem, remedy)
    })
}

fn unusable(file: &NamedFile, problem: &impl std::fmt::Display, remedy: &str) -> ConfigError {
    let problem = format!("`{}` {problem}", file.path.display());
    ConfigError::new(file.source.as_str(), problem, remedy)
}

/// Of an offer that was read, and cannot be spoken with.
fn unspeakable(unfit: &Unfit) -> ConfigError {
    ConfigError::new("TLS", unfit.to_string(), unfit.remedy())
}

/// Clients refuse a certificate that has expired, or is for later; the server may not know what day it is.
fn warn_of_validity(path: &Path, pair: &Pair) {
    let now = i64::try_from(clock::since_1970().as_secs()).unwrap_or(i64::MAX);
    let (from, until) = pair.validity();
    let date = |seconds: i64| {
        let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        httpdate::fmt_http_date(UNIX_EPOCH + since)
    };
    let path = path.display();
    if now > until {
        warn!("{path}: this certificate has expired: {}", date(until));
    } else if now < from {
        warn!(
            "{path}: this certificate is not valid before {}",
            date(from)
        );
    }
}
