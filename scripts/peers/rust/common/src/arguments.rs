//! The arguments of a peer: `--port N [--tls-cert FILE --tls-key FILE]`, or `--version`.

/// What a peer is asked to do.
pub(crate) enum Arguments {
    /// Name the version of its library.
    Version,
    /// Echo.
    Serve(Serve),
}

/// Where to echo.
pub(crate) struct Serve {
    /// The port on 127.0.0.1; 0 lets the kernel choose one.
    pub(crate) port: u16,
    /// With what to encrypt.
    pub(crate) tls: Option<TlsFiles>,
}

/// Paths of PEM files.
pub(crate) struct TlsFiles {
    /// The certificate and those that vouch for it.
    pub(crate) cert: String,
    /// Its private key.
    pub(crate) key: String,
}

impl Arguments {
    /// The error is a sentence for the user.
    pub(crate) fn parse(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let (mut port, mut cert, mut key) = (0, None, None);
        while let Some(name) = given.next() {
            let mut value = || given.next().ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--version" => return Ok(Arguments::Version),
                "--port" => port = parse_port(&value()?)?,
                "--tls-cert" => cert = Some(value()?),
                "--tls-key" => key = Some(value()?),
                _ => {
                    return Err(format!(
                        "{name} is none of --port, --tls-cert, --tls-key, --version"
                    ));
                }
            }
        }
        let tls = match (cert, key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
            _ => return Err("--tls-cert and --tls-key go together".to_owned()),
        };
        Ok(Arguments::Serve(Serve { port, tls }))
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| format!("the port must be a whole number from 0 to 65535, not {text}"))
}
