//! TLS: which certificates belong to which keys, and what is missing.

use super::*;

#[test]
fn certificates_and_keys_are_paired_in_order() {
    let config = flags(&[
        "--listen=tls://127.0.0.1:1",
        "--tls-cert=a.pem,b.pem",
        "--tls-key=a.key",
        "--tls-key=b.key",
        "--tls-client-ca=ca.pem",
    ]);
    assert!(config.listen[0].tls);
    let Some(Tls {
        certificates: Certificates::Files(pairs),
        client_ca: Some(client_ca),
    }) = config.tls
    else {
        panic!("{:?}", config.tls);
    };
    let names = pairs
        .iter()
        .map(|pair| [&pair.certificate.path, &pair.key.path]);
    let names: Vec<_> = names.map(|pair| pair.map(|path| path.to_str())).collect();
    assert_eq!(
        names,
        [["a.pem", "a.key"], ["b.pem", "b.key"]].map(|it| it.map(Some))
    );
    assert_eq!(client_ca.path.to_str(), Some("ca.pem"));
    assert_eq!(client_ca.source, "--tls-client-ca");
}

#[test]
fn each_mistake_is_named() {
    let tls = "--listen=tls://127.0.0.1:1";
    for (args, words) in [
        (
            &[tls][..],
            "--listen: speaks TLS without a certificate; add --tls-cert FILE and --tls-key",
        ),
        (&[tls], "or --tls-self-signed localhost"),
        (
            &[tls, "--tls-cert=a"],
            "--tls-key: is missing: there are 1 of --tls-cert and 0",
        ),
        (
            &[tls, "--tls-key=a"],
            "--tls-cert: is missing: there are 1 of --tls-key and 0",
        ),
        (
            &[tls, "--tls-self-signed=a", "--tls-cert=a", "--tls-key=a"],
            "--tls-self-signed: does not go with --tls-cert",
        ),
        (
            &["--tls-cert=a", "--tls-key=a"],
            "--tls-cert: has no use: no address",
        ),
        (&["--tls-self-signed=a"], "write --listen tls://"),
        (&["--tls-client-ca=a"], "--tls-client-ca: has no use"),
    ] {
        let error = flags_error(args);
        assert!(error.contains(words), "{args:?}: {error}");
    }
}
